"""Joint training: an enhancer and the recogniser after it, from waveforms to tokens, by the recogniser's loss.

Both start from trained ones. SpeechBrain's recipe calls it unfreezing the enhancer in robust ASR.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mimic.errors import UserError
from mimic.frontend.fbank import Fbank, FbankConfig
from mimic.frontend.front_end import FEATURE_CONFIG
from mimic.io import atomic
from mimic.io.audio import AudioReader
from mimic.io.batching import pad
from mimic.losses.config import EnhanceLoss
from mimic.losses.enhancement import EnhancementLoss, Waveforms
from mimic.models.config import Config
from mimic.models.enhancer import Enhancer
from mimic.models.recogniser import Recogniser
from mimic.nets.joint import Joint
from mimic.tasks import asr
from mimic.tasks.asr import AsrTask
from mimic.tasks.asr_config import AsrData, JointConfig, JointData
from mimic.tasks.dev_scores import DevScores
from mimic.tasks.enhance import check_lengths
from mimic.tasks.samples import dev_samples
from mimic.training import checkpoint
from mimic.training.samples import Sample
from mimic.training.task import WHOLE, weighted


class Batch(NamedTuple):
    """Padded waveforms (batch, samples), token ids (batch, length), and the lengths of both."""

    noisy: Tensor
    clean: Tensor | None
    samples: Tensor
    tokens: Tensor
    token_lengths: Tensor


class JointTask(AsrTask):
    SECTIONS = AsrTask.SECTIONS | {"data": JointData, "joint": JointConfig, "enhance_loss": EnhanceLoss}
    METRICS = AsrTask.METRICS | {"pesq": "max", "stoi": "max", "estoi": "max"}

    model: Joint
    enhancer: Any  # with `transform`
    enhancement_losses: EnhancementLoss | None

    def __init__(self, config: Config, directory: Path):
        if config.waveform_augment.active:
            raise UserError("joint training takes noisy speech as it is: leave the section waveform_augment out")
        super().__init__(config, directory)
        self.augmented = None
        data, weights = config.data, config.enhance_loss
        for name in ("train_clean", "dev_clean") if weights.active else ("dev_clean",):
            if not getattr(data, name):
                raise UserError(f"give --data.{name} DIR: the losses and scores of the enhancer need clean speech")
        self.parts = {
            "enhancer": self.start,
            "recogniser": Recogniser(_recogniser_config(config), self.recogniser, self.tokens, Path(data.init)),
        }
        self.model = Joint(self.enhancer, self.stft, self.recogniser, self.fbank)
        self.enhancement_losses = None
        if weights.active:
            self.enhancement_losses = EnhancementLoss(weights, self.stft)
            self.clean = AudioReader(data.train_clean, self.stft.rate), AudioReader(data.dev_clean, self.stft.rate)
        self.scores = DevScores(data.dev, data.dev_clean, self.dev_lengths, data.valid_utterances)

    def close(self) -> None:
        self.scores.close()

    def open_data(self, directory: Path) -> None:
        """Data directories, and the two experiment directories to start from, each with its feature options."""
        data, joint = self.config.data, self.config.joint
        if not data.init or not joint.enhancer:
            raise UserError("joint training starts from two models: give --data.init DIR and --joint.enhancer DIR")
        changed = ("--mask.weight", str(joint.mask_weight)) if joint.mask_weight else ()
        self.start = Enhancer.load(joint.enhancer, changed)
        self.enhancer, self.stft = self.start.net, self.start.front
        if not hasattr(self.enhancer, "transform"):
            raise UserError(f"--joint.enhancer {joint.enhancer}: no gradient passes through it: give one of masks")
        self.fbank = Fbank(FbankConfig.read(Path(data.init) / FEATURE_CONFIG))
        if self.stft.rate != self.fbank.rate:
            raise UserError(f"{joint.enhancer} is for {self.stft.rate} Hz, {data.init} for {self.fbank.rate} Hz")
        self.noisy = AudioReader(data.train, self.stft.rate), AudioReader(data.dev, self.stft.rate)

    def frames(self, directory: Path) -> dict[str, int]:
        reader = AudioReader(directory)
        headers = {utt: reader.info(utt) for utt in reader.utts}
        return {utt: self.fbank.num_frames(round(info.seconds * self.stft.rate)) for utt, info in headers.items()}

    def stream(self, utterances: list[str]) -> None:
        """Nothing: each waveform is a file of its own."""

    def load(self, utterances: list[str]) -> Batch:
        side = 0 if utterances[0] in self.lengths else 1  # of the training or the development set
        noisy, samples = pad([self.noisy[side][utt] for utt in utterances])
        tokens, token_lengths = pad([np.array(self.targets[utt], dtype=np.int64) for utt in utterances])
        clean = None
        if self.enhancement_losses is not None:
            clean, clean_samples = pad([self.clean[side][utt] for utt in utterances])
            check_lengths(utterances, samples, clean_samples)
        return Batch(noisy, clean, samples, tokens, token_lengths)

    def recogniser_batch(self, batch: Batch) -> asr.Batch:
        return self._enhanced_batch(batch, self.model.enhance(batch.noisy, batch.samples).waveforms)

    def _enhanced_batch(self, batch: Batch, waveforms: Tensor) -> asr.Batch:
        features, lengths = self.model.features(waveforms, batch.samples)
        return asr.Batch(features, lengths, batch.tokens, batch.token_lengths)

    def sizes(self, batch: Batch) -> dict[str, int]:
        sizes = super().sizes(batch)
        if self.enhancement_losses is not None:
            sizes |= self.enhancement_losses.sizes(self.stft.num_frames(batch.samples), batch.samples)
        return sizes

    def forward(self, batch: Batch, epoch: int, share: Mapping[str, float] = WHOLE) -> dict[str, Tensor]:
        enhanced = self.model.enhance(batch.noisy, batch.samples)
        losses, weights = self.recognition_losses(self._enhanced_batch(batch, enhanced.waveforms), epoch)
        if self.enhancement_losses is not None and batch.clean is not None:  # load gives them together
            clean = self.stft(batch.clean)
            waveforms = Waveforms.of(enhanced, batch.clean, batch.samples)
            losses |= self.enhancement_losses(enhanced.magnitude, clean, enhanced.frames, waveforms)
            weights |= self.enhancement_losses.weights_at(epoch)
        return weighted(losses, weights, share)

    def frozen(self, epoch: int) -> list[nn.Module]:
        enhancer = [self.enhancer] if epoch < self.config.joint.unfreeze_epoch else []
        return super().frozen(epoch) + enhancer

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """The figures of a recogniser, and wb-PESQ, STOI and eSTOI (percent) of the enhancer."""
        scores = self.scores.start(self.enhancer, self.stft, self.config.train.batch_size)
        return super().validate() | DevScores.means(scores)

    def samples(self, count: int) -> list[Sample]:
        return dev_samples(self.scores.sides, self.scores.utterances, self.enhancer, self.stft, count)

    def finish(self, directory: Path) -> None:
        """Write enhancer/ and recogniser/, trained directories of their own."""
        self.model.load_state_dict(checkpoint.load(directory / "model.pt"))
        for name, part in self.parts.items():
            with atomic.new_dir(directory / name) as folder:
                part.save(folder)


def _recogniser_config(config: Config) -> Config:
    """The configuration of the recogniser alone."""
    sections = {name: config.sections[name] for name in ("model", *AsrTask.SECTIONS, "train")}
    sections["data"] = AsrData(**{field.name: getattr(config.data, field.name) for field in fields(AsrData)})
    return replace(config, task="asr", sections=sections)
