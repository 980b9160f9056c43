"""Mask-based enhancement with a spectral loss and mimic loss."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mimic.errors import UserError
from mimic.frontend.front_end import FEATURE_CONFIG, copy_options
from mimic.frontend.stft import Stft, StftConfig
from mimic.io import archives, feature_dir
from mimic.io.audio import AudioReader
from mimic.io.batching import pad, to_device
from mimic.io.tables import evenly
from mimic.losses.config import EnhanceLoss
from mimic.losses.enhancement import EnhancementLoss, Waveforms
from mimic.models.config import Config
from mimic.models.enhancer import network
from mimic.nets.enhancers import MaskConfig, SpectrumEnhancer
from mimic.tasks.dev_scores import DevScores
from mimic.tasks.enhance_config import EnhanceData
from mimic.tasks.samples import dev_samples
from mimic.tasks.start import start_enhancer
from mimic.training import parallel
from mimic.training.samples import Sample
from mimic.training.task import WHOLE, Task, weighted


class Batch(NamedTuple):
    """log1p magnitudes (batch, frames, bins), padded, and lengths (batch,).

    For losses of waveforms: both sides (batch, samples), and their lengths (batch,), too.
    """

    noisy: Tensor
    clean: Tensor
    lengths: Tensor
    noisy_waveforms: Tensor | None = None
    clean_waveforms: Tensor | None = None
    samples: Tensor | None = None


class EnhanceTask(Task):
    SECTIONS = {"mask": MaskConfig, "data": EnhanceData, "loss": EnhanceLoss}
    METRICS = {"loss": "min", "pesq": "max", "stoi": "max", "estoi": "max"}

    model: Any  # an enhancer of mimic.nets

    def __init__(self, config: Config, directory: Path):
        super().__init__()
        self.config, data = config, config.data
        copy_options(Path(data.train_noisy), directory)
        self.stft = Stft(StftConfig.read(directory / FEATURE_CONFIG))
        self.model = self.new_model(directory)
        self.losses = EnhancementLoss(config.loss, self.stft)
        self.noisy = _pair_features(data.train_noisy, data.train_clean) | _pair_features(data.dev_noisy, data.dev_clean)
        self.lengths, self.dev_lengths = (feature_dir.read(side)[1] for side in (data.train_noisy, data.dev_noisy))
        if data.train_utterances:
            self.lengths = {utt: self.lengths[utt] for utt in evenly(sorted(self.lengths), data.train_utterances)}
        self.of_waveforms = self.losses.uses_waveforms or isinstance(self.model, SpectrumEnhancer)
        if self.of_waveforms:
            sets = ((data.train_noisy, data.train_clean), (data.dev_noisy, data.dev_clean))
            self.waveforms = [[AudioReader(side, self.stft.rate) for side in pair] for pair in sets]
        self.scores = DevScores(data.dev_noisy, data.dev_clean, self.dev_lengths, data.valid_utterances)

    def close(self) -> None:
        self.scores.close()

    def new_model(self, directory: Path) -> nn.Module:
        """The enhancer before training: another one's weights, if the configuration names one."""
        model = self.new_network(directory)
        if self.config.data.init:
            start_enhancer(model, Path(self.config.data.init), self.stft.config)
        return model

    def new_network(self, directory: Path) -> nn.Module:
        """The enhancer with weights drawn by chance."""
        return network(self.config, self.stft)

    def stream(self, utterances: list[str]) -> None:
        archives.read_ahead(entry for utt in utterances for entry in self.noisy[utt])

    def load(self, utterances: list[str]) -> Any:  # a Batch here; other tasks have others
        noisy, lengths = pad([self._noisy(utt) for utt in utterances])
        clean, clean_lengths = pad([archives.load(self.noisy[utt][1]) for utt in utterances])
        for utt, a, b in zip(utterances, lengths.tolist(), clean_lengths.tolist(), strict=True):
            if a != b:
                raise UserError(f"{utt}: {a} noisy but {b} clean frames: check the pair with steps/validate_data.sh")
        if not self.of_waveforms:
            return Batch(noisy, clean, lengths)
        sides = self.waveforms[utterances[0] not in self.lengths]
        noisy_waveforms, clean_waveforms, samples = load_pairs(utterances, sides)
        for utt, a, b in zip(utterances, lengths.tolist(), self.stft.num_frames(samples).tolist(), strict=True):
            if a != b:
                raise UserError(f"{utt}: {a} frames of features but {b} of its waveform: run steps/make_feats.sh again")
        return Batch(noisy, clean, lengths, noisy_waveforms, clean_waveforms, samples)

    def _noisy(self, utt: str) -> np.ndarray:
        return feature_dir.load(self.noisy[utt][0], utt, self.lengths.get(utt) or self.dev_lengths[utt])

    def load_dev(self, utterances: list[str]) -> Any:
        """The batch of some utterances of the development set, on CPU."""
        return self.load(utterances)

    def sizes(self, batch: Any) -> dict[str, int]:
        return self.losses.sizes(batch.lengths, batch.samples)

    def forward(self, batch: Any, epoch: int, share: Mapping[str, float] = WHOLE) -> dict[str, Tensor]:
        if isinstance(self.model, SpectrumEnhancer):
            enhanced = self.model.transform(batch.noisy_waveforms, batch.samples, self.stft)
            waveforms = Waveforms.of(enhanced, batch.clean_waveforms, batch.samples)
            parts = self.losses(enhanced.magnitude, batch.clean, enhanced.frames, waveforms)
            return weighted(parts, self.losses.weights_at(epoch), share)
        enhanced, sounds = self.model(batch.noisy, batch.lengths), None
        if batch.noisy_waveforms is not None:
            spectrum = self.stft.transform(batch.noisy_waveforms)
            output = self.stft.resynthesise(enhanced, spectrum, batch.samples)
            sounds = Waveforms(output, batch.clean_waveforms, batch.samples, spectrum)
        parts = self.losses(enhanced, batch.clean, batch.lengths, sounds)
        return weighted(parts, self.losses.weights_at(epoch), share)

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Mean loss, wb-PESQ, STOI and eSTOI (percent)."""
        size = self.config.train.batch_size
        scores = self.scores.start(self.model, self.stft, size)
        losses: dict[int, list[float]] = {}
        device = next(self.model.parameters()).device
        for start in parallel.shard(range(0, len(self.scores.utterances), size)):
            utterances = self.scores.utterances[start : start + size]
            batch = to_device(self.load_dev(utterances), device)
            losses[start] = [float(self(batch, 0)["loss"])] * len(utterances)
        return {"loss": float(np.mean(sum(parallel.all_gather(losses), []))), **DevScores.means(scores)}

    def samples(self, count: int) -> list[Sample]:
        return dev_samples(self.scores.sides, self.scores.utterances, self.model, self.stft, count)


def load_pairs(utterances: list[str], sides: Sequence[AudioReader]) -> tuple[Tensor, Tensor, Tensor]:
    """Padded noisy and clean waveforms (batch, samples) and their lengths. UserError where a pair differs in length."""
    (noisy, samples), (clean, ends) = (pad([side[utt] for utt in utterances]) for side in sides)
    check_lengths(utterances, samples, ends)
    return noisy, clean, samples


def check_lengths(utterances: list[str], noisy: Tensor, clean: Tensor) -> None:
    """UserError that names the first utterance whose sides do not have the same number of samples."""
    for utt, a, b in zip(utterances, noisy.tolist(), clean.tolist(), strict=True):
        if a != b:
            raise UserError(f"{utt}: {a} noisy but {b} clean samples: check with steps/validate_data.sh")


def _pair_features(noisy: str, clean: str) -> dict[str, tuple[str, str]]:
    """Archive entries of both sides by utterance."""
    left, right = (archives.read_scp(Path(directory) / "feats.scp") for directory in (noisy, clean))
    if left.keys() != right.keys():
        utt = min(left.keys() ^ right.keys())
        raise UserError(f"{utt}: is in only one of {noisy} and {clean}: steps/make_feats.sh of the same utterances")
    return {utt: (left[utt], right[utt]) for utt in left}
