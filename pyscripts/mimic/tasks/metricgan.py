"""MetricGAN+ (Fu et al., 2021): enhancement towards a high PESQ, by way of a discriminator that predicts PESQ."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mimic.errors import UserError
from mimic.metrics.pesq import version
from mimic.models.config import Config
from mimic.nets.metricgan import MetricDiscriminator
from mimic.settings import Count, CountOrZero, NotNegative
from mimic.tasks.denoise import Batch, DenoiseTask
from mimic.training.task import WHOLE, weighted

SCORED = ("clean", "enhanced", "noisy", "former")  # by the discriminator


@dataclass
class MetricganConfig:
    """The discriminator learns (PESQ + 0.5) / 5 of enhanced, noisy and clean speech; the enhancer is to reach 1.

    Attributes:
        weight: of (D(enhanced, clean) - 1)^2 in the enhancer's loss, beside the losses of the section `loss`.
        channels: of the discriminator's convolutions.
        replay: how many enhanced utterances of former steps are kept; the discriminator scores them again, so that it
            does not forget worse enhancers.
        replay_share: of a batch, how many of these it scores in addition.
        replay_frames: of an utterance, most that are kept.
    """

    weight: NotNegative = 1.0
    channels: Count = 15
    replay: CountOrZero = 64
    replay_share: NotNegative = 0.2
    replay_frames: Count = 200


class Critic(nn.Module):
    """The discriminator with its memory: pairs of spectra (frames, bins) in half precision, and the score of each."""

    def __init__(self, config: MetricganConfig):
        super().__init__()
        self.net, self.config = MetricDiscriminator(config.channels), config
        self.memory: list[tuple[Tensor, Tensor, float]] = []

    def forward(self, degraded: Tensor, clean: Tensor, lengths: Tensor) -> Tensor:
        return self.net(degraded, clean, lengths)

    def store(self, enhanced: Tensor, clean: Tensor, lengths: Tensor, scores: Tensor) -> None:
        """Keep a batch, each in a place that is drawn once the memory is full."""
        most = self.config.replay_frames
        for a, b, n, score in zip(enhanced, clean, lengths.tolist(), scores.tolist(), strict=True):
            if n > most or np.isnan(score) or not self.config.replay:
                continue  # a piece of an utterance would not deserve the score of the whole
            entry = (a[:n].half().cpu(), b[:n].half().cpu(), score)
            if len(self.memory) < self.config.replay:
                self.memory.append(entry)
            else:
                self.memory[int(torch.randint(len(self.memory), ()))] = entry

    def sample(self, batch: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
        """Some of the memory: two spectra (some, frames, bins), lengths and scores (some,)."""
        count = min(len(self.memory), round(batch * self.config.replay_share))
        if not count:
            return None
        chosen = [self.memory[i] for i in torch.randperm(len(self.memory))[:count].tolist()]
        degraded, clean = (
            nn.utils.rnn.pad_sequence([entry[side] for entry in chosen], batch_first=True).float().to(device)
            for side in (0, 1)
        )
        lengths = torch.tensor([len(entry[0]) for entry in chosen], device=device)
        return degraded, clean, lengths, torch.tensor([entry[2] for entry in chosen], device=device)

    def get_extra_state(self) -> list[tuple[Tensor, Tensor, float]]:
        return list(self.memory)

    def set_extra_state(self, state: list[tuple[Tensor, Tensor, float]]) -> None:
        self.memory = list(state)


class MetricganTask(DenoiseTask):
    SECTIONS = DenoiseTask.SECTIONS | {"gan": MetricganConfig}

    def __init__(self, config: Config, directory: Path):
        if version() == "not installed":
            raise UserError("MetricGAN+ needs PESQ, which is not installed: see requirements-pesq.txt")
        super().__init__(config, directory)
        self.critic = Critic(config.gan)

    def trainable(self) -> dict[str, nn.Module]:
        return {"model": self.model, "critic": self.critic}

    def sizes(self, batch: Batch) -> dict[str, int]:
        return super().sizes(batch) | dict.fromkeys(("metric", *SCORED), len(batch.noisy))

    def optimiser_losses(
        self, batch: Batch, epoch: int, share: Mapping[str, float] = WHOLE
    ) -> Iterator[tuple[str, dict[str, Tensor]]]:
        enhanced, clean, parts = self.enhance_batch(batch)
        frames, fake = enhanced.frames, enhanced.magnitude.detach()
        with torch.no_grad():
            noisy = self.stft(batch.noisy)
        scores = self._scores(batch.clean, enhanced.waveforms.detach(), batch.samples).to(fake.device)
        learnt = {"clean": (self.critic(clean, clean, frames) - 1).square().mean()}
        learnt["enhanced"] = _distance(self.critic(fake, clean, frames), scores)
        noisy_scores = self._scores(batch.clean, batch.noisy, batch.samples).to(fake.device)
        learnt["noisy"] = _distance(self.critic(noisy, clean, frames), noisy_scores)
        former = self.critic.sample(len(fake), fake.device)
        if former is not None:
            learnt["former"] = _distance(self.critic(*former[:3]), former[3])
        yield "critic", weighted(learnt, dict.fromkeys(learnt, 1.0), share)
        self.critic.store(fake, clean, frames, scores)
        parts["metric"] = (self.critic(enhanced.magnitude, clean, frames) - 1).square().mean()
        weights = self.losses.weights_at(epoch) | {"metric": self.config.gan.weight}
        yield "model", weighted(parts, weights, share)

    def _scores(self, clean: Tensor, degraded: Tensor, samples: Tensor) -> Tensor:
        """(PESQ + 0.5) / 5 of each utterance (batch,), NaN where there is none; in processes beside this one."""
        pairs = [
            (x[:n].cpu().numpy(), y[:n].cpu().numpy())
            for x, y, n in zip(clean, degraded, samples.tolist(), strict=True)
        ]
        return (torch.tensor(self.scores.pesq(pairs)) + 0.5) / 5


def _distance(estimates: Tensor, scores: Tensor) -> Tensor:
    """Mean square over the utterances; what has no score costs nothing."""
    known = ~scores.isnan()
    return torch.where(known, estimates - scores.nan_to_num(), 0.0).square().mean()
