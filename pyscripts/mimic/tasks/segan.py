"""SEGAN: a generator and a discriminator that learn in turn, on windows of waveforms."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mimic.corpus.scan import resampled_length
from mimic.errors import UserError
from mimic.io.audio import AudioReader
from mimic.models.config import Config
from mimic.nets.segan import Discriminator, Segan, SeganFront, preemphasise
from mimic.tasks.dev_scores import DevScores
from mimic.tasks.enhance_config import SeganData, SeganLoss
from mimic.tasks.samples import dev_samples
from mimic.training.samples import Sample
from mimic.training.task import WHOLE, Task, weighted


class Batch(NamedTuple):
    """Pre-emphasised windows (batch, window)."""

    noisy: Tensor
    clean: Tensor


class SeganTask(Task):
    SECTIONS = {"data": SeganData, "loss": SeganLoss}
    METRICS = {"loss": "min", "pesq": "max", "estoi": "max"}

    model: Segan

    def __init__(self, config: Config, directory: Path):
        super().__init__()
        self.config, data = config, config.data
        self.model = Segan(config.model)
        self.discriminator = Discriminator(config.model)
        self.front = SeganFront(config.model)
        self.noisy, self.clean = AudioReader(data.train_noisy), AudioReader(data.train_clean)
        if self.noisy.utts != self.clean.utts:
            utt = min(set(self.noisy.utts) ^ set(self.clean.utts))
            raise UserError(f"{utt}: is in only one of {data.train_noisy} and {data.train_clean}: make both alike")
        self.lengths = dict(self._windows())
        self.dev = AudioReader(data.dev_noisy), AudioReader(data.dev_clean)
        self.scores = DevScores(data.dev_noisy, data.dev_clean, self.dev[0].utts, data.valid_utterances)

    def close(self) -> None:
        self.scores.close()

    def _windows(self) -> Iterator[tuple[str, int]]:
        """(`utterance start`, samples) of each training window: they overlap by half, and the last holds the tail."""
        size = self.config.model.window
        for utt in self.noisy.utts:
            info = self.noisy.info(utt)
            samples = resampled_length(info.frames, info.rate, self.noisy.rate)
            for start in range(0, max(1, samples - size // 2), size // 2):
                yield f"{utt} {start}", size

    def load(self, utterances: list[str]) -> Batch:
        return Batch(
            *(torch.stack([self._window(reader, name) for name in utterances]) for reader in (self.noisy, self.clean))
        )

    def _window(self, reader: AudioReader, name: str) -> Tensor:
        """A window of the pre-emphasised utterance, zeros beyond its end."""
        utt, place = name.rsplit(" ", 1)
        config, start = self.config.model, int(place)
        # A sample more in front: pre-emphasis is of the whole signal, not of each window.
        x = np.concatenate([[0.0], reader[utt]])[start : start + config.window + 1].astype(np.float32)
        y = preemphasise(torch.from_numpy(x), config.preemphasis)[1:]
        return F.pad(y, (0, config.window - len(y)))

    def trainable(self) -> dict[str, nn.Module]:
        if self.config.loss.adversarial_weight == 0:
            return {"model": self.model}
        return {"model": self.model, "discriminator": self.discriminator}

    def sizes(self, batch: Batch) -> dict[str, int]:
        return dict.fromkeys(("real", "fake", "adversarial", "l1"), len(batch.noisy))

    def forward(self, batch: Batch, epoch: int, share: Mapping[str, float] = WHOLE) -> dict[str, Tensor]:
        """The generator's loss."""
        return self._generator_loss(self._generate(batch), batch, epoch, share)

    def optimiser_losses(
        self, batch: Batch, epoch: int, share: Mapping[str, float]
    ) -> Iterator[tuple[str, dict[str, Tensor]]]:
        enhanced = self._generate(batch)
        if self.config.loss.adversarial_weight > 0:
            real, reference = self.discriminator(self._pair(batch.clean, batch, epoch))
            fake, _ = self.discriminator(self._pair(enhanced.detach(), batch, epoch), reference)
            parts = {"real": (real - 1).square().mean(), "fake": fake.square().mean()}
            yield "discriminator", weighted(parts, {"real": 1.0, "fake": 1.0}, share)
        yield "model", self._generator_loss(enhanced, batch, epoch, share)

    def _generate(self, batch: Batch) -> Tensor:
        return self.model(batch.noisy, self.model.draw(len(batch.noisy), batch.noisy.device))

    def _pair(self, windows: Tensor, batch: Batch, epoch: int) -> Tensor:
        """Input of the discriminator (batch, 2, window): clean or enhanced windows beside the noisy ones."""
        pair = torch.stack([windows, batch.noisy], dim=1)
        deviation = self.config.loss.noise(epoch)
        return pair + deviation * torch.randn_like(pair) if deviation else pair

    def _generator_loss(
        self, enhanced: Tensor, batch: Batch, epoch: int, share: Mapping[str, float]
    ) -> dict[str, Tensor]:
        loss = self.config.loss
        parts = {"l1": (enhanced - batch.clean).abs().mean()}
        if loss.adversarial_weight > 0:
            with torch.no_grad():
                _, reference = self.discriminator(self._pair(batch.clean, batch, epoch))
            fake, _ = self.discriminator(self._pair(enhanced, batch, epoch), reference)
            parts["adversarial"] = (fake - 1).square().mean()
        return weighted(parts, {"l1": loss.l1_weight, "adversarial": loss.adversarial_weight}, share)

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """L1 distance over the first window of each utterance, wb-PESQ and eSTOI (percent) of whole utterances."""
        scores = self.scores.start(self.model, self.front, 1)
        distances = []
        for utt in self.scores.utterances:
            noisy, clean = (self._window(side, f"{utt} 0").to(self.model.z.device) for side in self.dev)
            distances.append(float((self.model(noisy[None], self.model.z) - clean).abs().mean()))
        return {"loss": float(np.mean(distances)), **DevScores.means(scores)}

    def samples(self, count: int) -> list[Sample]:
        return dev_samples(self.dev, self.scores.utterances, self.model, self.front, count)
