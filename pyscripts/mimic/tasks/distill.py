"""Distillation: a student learns the hidden states of a large self-supervised encoder, also from noisy speech.

The teacher runs on clean speech, the student on the same speech with noise and reverberation. Losses per layer: L1
and the negative log-sigmoid of the cosine similarity, both over real frames alone; with a head also the distance of
enhanced speech.

The way of a batch: `load`, `teacher_states`, the student's `predict`, `compare`. `distill_teacher` has how both
networks begin, and the teacher's states on disk; a student that is pruned says its own part of the loss.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mimic.augment import mixing
from mimic.augment.augmenter import AugmentConfig, Augmenter
from mimic.augment.recordings import CachedAudio, Recordings
from mimic.errors import UserError
from mimic.frontend.stft import Stft
from mimic.io.audio import AudioReader
from mimic.io.batching import pad, to_device
from mimic.io.tables import read_table
from mimic.losses.waveform import multi_resolution_stft, negative_si_sdr
from mimic.models.config import Config
from mimic.nets.masking import masked_mean, valid_frames
from mimic.nets.ssl_files import write_directory
from mimic.nets.student import FRONT
from mimic.tasks.denoise import seconds
from mimic.tasks.distill_config import DistillData, DistillLoss, Teacher
from mimic.tasks.distill_teacher import StoredStates, load_teacher, new_student
from mimic.tasks.enhance import load_pairs
from mimic.tasks.samples import dev_samples
from mimic.training import checkpoint, parallel
from mimic.training.samples import Sample
from mimic.training.task import WHOLE, Task, weighted


class Batch(NamedTuple):
    """Waveforms (batch, samples) of both sides, and lengths (batch,).

    Where they are known, the teacher's hidden states (batch, frames, layers, units), and their lengths (batch,).
    """

    noisy: Tensor
    clean: Tensor
    samples: Tensor
    targets: Tensor | None = None
    frames: Tensor | None = None


class DistillTask(Task):
    SECTIONS = {"teacher": Teacher, "data": DistillData, "augment": AugmentConfig, "loss": DistillLoss}
    METRICS = {"loss": "min", "l1": "min", "cosine": "min"}

    model: Any  # a Student or a PrunedStudent

    def __init__(self, config: Config, directory: Path):
        super().__init__()
        self.config, self.epoch, data = config, 1, config.data
        self.teacher = load_teacher(config.teacher)
        self.stft = Stft(FRONT)
        self.weights = {name: getattr(config.loss, f"{name}_weight") for name in ("l1", "cosine", "enhance")}
        self.model = new_student(config, self.teacher)
        speech, speaker_of = CachedAudio(data.train), read_table(Path(data.train) / "utt2spk")
        noises, rirs = (Recordings(name) if name else None for name in (data.noises, data.rirs))
        self.augmenter = Augmenter(speech, speaker_of, noises, config.augment, config.train.seed, rirs)
        longest = config.augment.crop_s or float("inf")
        samples = {utt: round(min(s, longest) * mixing.RATE) for utt, s in seconds(speech).items()}
        self.lengths = {utt: int(self.teacher.num_frames(torch.tensor(n))) for utt, n in samples.items()}
        self.stored = StoredStates(config, self.teacher, self.lengths, self.model.units) if data.targets else None
        self.dev = AudioReader(data.dev_noisy), AudioReader(data.dev_clean)
        if odd := set(self.dev[0].utts) ^ set(self.dev[1].utts):
            raise UserError(f"{min(odd)}: is in only one of {data.dev_noisy} and {data.dev_clean}")

    def begin_epoch(self, epoch: int) -> None:
        super().begin_epoch(epoch)
        self.epoch = epoch
        self.teacher.train(self.config.teacher.dropout > 0)

    def load(self, utterances: list[str]) -> Batch:
        mixtures = self.augmenter.batch(utterances, self.epoch)
        utterances = [utterances[i % len(utterances)] for i in range(len(mixtures))]
        noisy, samples = pad([mixture.noisy for mixture in mixtures])
        clean, _ = pad([mixture.target for mixture in mixtures])
        return Batch(noisy, clean, samples, *(self.stored(utterances, samples) if self.stored else ()))

    def load_dev(self, utterances: list[str]) -> Batch:
        return Batch(*load_pairs(utterances, self.dev))

    def sizes(self, batch: Batch) -> dict[str, int]:
        frames = int(self.teacher.num_frames(batch.samples).sum())
        magnitudes = self.config.loss.enhance in ("l1", "l2")
        enhanced = int(self.stft.num_frames(batch.samples).sum()) if magnitudes else len(batch.samples)
        return {"l1": frames, "cosine": frames, "enhance": enhanced, "sparsity": frames}

    def forward(self, batch: Batch, epoch: int, share: Mapping[str, float] = WHOLE) -> dict[str, Tensor]:
        parts = self.parts(batch) | self.model.penalties(epoch)
        return weighted(parts, self.weights | {"sparsity": 1.0}, share)

    def parts(self, batch: Batch) -> dict[str, Tensor]:
        """The parts of the loss."""
        wanted, lengths = self.teacher_states(batch)
        output = self.model.predict(cut(batch.noisy, batch.samples))
        parts = compare(output.predictions, wanted, torch.minimum(output.lengths, lengths))
        if self.weights["enhance"]:
            parts["enhance"] = self._enhancement(batch, output.head_input)
        return parts

    def teacher_states(self, batch: Batch) -> tuple[Sequence[Tensor], Tensor]:
        """The teacher's hidden states of clean speech (batch, frames, units), one for each layer; lengths (batch,)."""
        if batch.targets is not None and batch.frames is not None:
            return batch.targets.unbind(2), batch.frames
        with torch.no_grad(), torch.autocast(batch.clean.device.type, enabled=False):
            return self.teacher(cut(batch.clean, batch.samples), self.config.teacher.layers)

    def _enhancement(self, batch: Batch, head_input: Tensor) -> Tensor:
        kind = self.config.loss.enhance
        enhanced = self.model.transform(batch.noisy, batch.samples, self.stft, head_input)
        if kind == "stft":
            return multi_resolution_stft(enhanced.waveforms, batch.clean, batch.samples).mean()
        if kind == "si_sdr":
            return negative_si_sdr(enhanced.waveforms, batch.clean, batch.samples).mean()
        error = enhanced.magnitude.expm1() - self.stft(batch.clean).expm1()
        return masked_mean(error.abs() if kind == "l1" else error.square(), enhanced.frames)

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """The loss and its parts over stored mixtures; of a student that is pruned, what share of it is gone."""
        device, step = next(self.model.parameters()).device, self.config.train.batch_size
        results: dict[int, list[float]] = {}
        for start in parallel.shard(range(0, len(self.dev[0].utts), step)):
            batch = to_device(self.load_dev(self.dev[0].utts[start : start + step]), device)
            sizes, parts = self.sizes(batch), self.parts(batch)
            results[start] = [float(parts[name]) * sizes[name] for name in parts] + [sizes[name] for name in parts]
        totals = np.sum(parallel.all_gather(results), axis=0)
        means = totals[: len(totals) // 2] / totals[len(totals) // 2 :]
        figures = dict(zip(("l1", "cosine", "enhance"), means.tolist(), strict=False))
        figures["loss"] = sum(self.weights[name] * value for name, value in figures.items())
        return figures | self.model.figures()

    def samples(self, count: int) -> list[Sample]:
        """Nothing of a student without an enhancement head."""
        return dev_samples(self.dev, self.dev[0].utts, self.model, self.stft, count) if self.weights["enhance"] else []

    def finish(self, directory: Path) -> None:
        """The encoder alone, in the format of transformers."""
        self.model.load_state_dict(checkpoint.load(directory / "model.pt"))
        encoder = self.model.final_encoder()
        write_directory(encoder.net, encoder.normalise, directory / "encoder")


def cut(waveforms: Tensor, samples: Tensor) -> list[Tensor]:
    """Padded waveforms (batch, samples) -> each as long as it is, (samples,)."""
    return [waveform[:n] for waveform, n in zip(waveforms, samples.tolist(), strict=True)]


def compare(predictions: Sequence[Tensor], wanted: Sequence[Tensor], lengths: Tensor) -> dict[str, Tensor]:
    """Parts of the loss, mean of all layers, of predictions and hidden states (batch, frames, units).

    One side may have more frames than the other: those that both have count, `lengths` (batch,) of them.
    """
    frames = int(lengths.max())
    real = valid_frames(lengths, frames)
    a, b = (torch.stack([x[:, :frames][real] for x in side]) for side in (predictions, wanted))  # (layers, n, units)
    a, b = a.float(), b.float()
    return {"l1": F.l1_loss(a, b), "cosine": -F.logsigmoid(F.cosine_similarity(a, b, dim=2)).mean()}
