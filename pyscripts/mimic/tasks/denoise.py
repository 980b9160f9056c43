"""Enhancement learnt from clean speech alone: noise and reverberation are mixed in while it is trained.

The network gives a mask of spectra or enhanced waveforms. Validation takes mixtures that were made once, and
stored, so that its scores can be compared from epoch to epoch and between systems.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from mimic.augment import mixing
from mimic.augment.augmenter import AugmentConfig, Augmenter
from mimic.augment.recordings import CachedAudio, Recordings
from mimic.errors import UserError
from mimic.frontend.front_end import FEATURE_CONFIG
from mimic.frontend.stft import Stft, StftConfig
from mimic.io import atomic
from mimic.io.audio import AudioReader
from mimic.io.batching import pad
from mimic.io.tables import read_table
from mimic.losses.config import EnhanceLoss
from mimic.losses.enhancement import EnhancementLoss, Waveforms
from mimic.models.config import Config
from mimic.nets.enhancers import Enhanced, MaskConfig
from mimic.tasks.dev_scores import DevScores
from mimic.tasks.enhance import EnhanceTask, load_pairs
from mimic.tasks.enhance_config import DenoiseData
from mimic.training.task import WHOLE, Task, weighted


class Batch(NamedTuple):
    """Padded waveforms (batch, samples) and their lengths (batch,)."""

    noisy: Tensor
    clean: Tensor
    samples: Tensor


class DenoiseTask(EnhanceTask):
    SECTIONS = {"mask": MaskConfig, "data": DenoiseData, "augment": AugmentConfig, "loss": EnhanceLoss}

    def __init__(self, config: Config, directory: Path):
        Task.__init__(self)
        self.config, self.epoch, data = config, 1, config.data
        write_options(data.stft, directory)
        self.stft = Stft(StftConfig.read(directory / FEATURE_CONFIG))
        if self.stft.rate != mixing.RATE:
            raise UserError(f"{data.stft}: noise is mixed in at {mixing.RATE} Hz, not at {self.stft.rate}")
        self.model = self.new_model(directory)
        self.losses = EnhancementLoss(config.loss, self.stft)
        speech = CachedAudio(data.train, self.stft.rate)
        sources = [Recordings(name) if name else None for name in (data.noises, data.rirs)]
        speaker_of = read_table(Path(data.train) / "utt2spk")
        self.augmenter = Augmenter(speech, speaker_of, sources[0], config.augment, config.train.seed, sources[1])
        longest = config.augment.crop_s or float("inf")
        self.lengths = {utt: self._frames(min(s, longest)) for utt, s in seconds(speech).items()}
        self.dev = AudioReader(data.dev_noisy, self.stft.rate), AudioReader(data.dev_clean, self.stft.rate)
        if odd := set(self.dev[0].utts) ^ set(self.dev[1].utts):
            raise UserError(f"{min(odd)}: is in only one of {data.dev_noisy} and {data.dev_clean}")
        self.scores = DevScores(data.dev_noisy, data.dev_clean, self.dev[0].utts, data.valid_utterances)

    def _frames(self, length: float) -> int:
        return int(self.stft.num_frames(round(length * self.stft.rate)))

    def begin_epoch(self, epoch: int) -> None:
        super().begin_epoch(epoch)
        self.epoch = epoch

    def stream(self, utterances: list[str]) -> None:
        pass  # waveforms lie in files of their own

    def load(self, utterances: list[str]) -> Batch:
        mixtures = self.augmenter.batch(utterances, self.epoch)
        noisy, samples = pad([mixture.noisy for mixture in mixtures])
        return Batch(noisy, pad([mixture.target for mixture in mixtures])[0], samples)

    def load_dev(self, utterances: list[str]) -> Batch:
        return Batch(*load_pairs(utterances, self.dev))

    def sizes(self, batch: Batch) -> dict[str, int]:
        return self.losses.sizes(self.stft.num_frames(batch.samples), batch.samples)

    def enhance_batch(self, batch: Batch) -> tuple[Enhanced, Tensor, dict[str, Tensor]]:
        """Enhanced speech of a batch, log1p magnitudes (batch, frames, bins) of the clean speech, the losses."""
        enhanced, clean = self.model.transform(batch.noisy, batch.samples, self.stft), self.stft(batch.clean)
        waveforms = Waveforms.of(enhanced, batch.clean, batch.samples)
        return enhanced, clean, self.losses(enhanced.magnitude, clean, enhanced.frames, waveforms)

    def forward(self, batch: Batch, epoch: int, share: Mapping[str, float] = WHOLE) -> dict[str, Tensor]:
        return weighted(self.enhance_batch(batch)[2], self.losses.weights_at(epoch), share)


def seconds(reader: AudioReader) -> dict[str, float]:
    """Length of each utterance: of utt2dur where it is there, else of the headers."""
    table = reader.data_dir / "utt2dur"
    known = read_table(table) if table.exists() else {}
    return {utt: float(known[utt]) if utt in known else reader.info(utt).seconds for utt in reader.utts}


def write_options(path: str, directory: Path) -> None:
    """Keep the options of the STFT beside the model: inference reads nothing but its directory."""
    options = Path(path).read_bytes() if path else b""
    with atomic.replace(directory / FEATURE_CONFIG, "wb") as f:
        f.write(options)
