"""A distillation's teacher: its encoder, its hidden states on disk, and the student that begins as part of it."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from mimic.errors import UserError
from mimic.io import archives
from mimic.io.batching import pad
from mimic.models.config import Config
from mimic.models.encoder import student_network
from mimic.nets import ssl
from mimic.nets.pruned import PrunedStudent
from mimic.nets.student import start_from_teacher
from mimic.tasks.distill_config import Teacher


def load_teacher(config: Teacher) -> ssl.SslEncoder:
    if not config.path or not ssl.is_ssl(Path(config.path)):
        raise UserError(
            f"--teacher.path {config.path}: expected a file of weights or a directory with config.json; "
            "local/run_pretrain_ssl.sh trains a small teacher"
        )
    teacher = ssl.load(Path(config.path), config.dropout)
    if wrong := [layer for layer in config.layers if not 0 <= layer <= teacher.num_layers] or not config.layers:
        raise UserError(f"teacher.layers {config.layers}: {config.path} has 0 to {teacher.num_layers}, not {wrong}")
    return teacher


def new_student(config: Config, teacher: ssl.SslEncoder) -> nn.Module:
    """The student before training: a small encoder, or a copy of the teacher that is to be pruned."""
    units = teacher.net.encoder.feature_projection.projection.out_features
    if config.net == "pruned":
        first = ssl.load(Path(config.model.initial_encoder or config.teacher.path), config.model.dropout)
        head = config.loss.enhance_weight > 0
        return PrunedStudent(config.model, first.requires_grad_(True), config.teacher.layers, units, head)
    model = student_network(config, units, teacher.normalise)
    if config.teacher.start:
        start_from_teacher(model.encoder, teacher)
    return model


class StoredStates:
    """The teacher's hidden states of the training utterances, from the feature directory `data.targets`.

    Raises UserError where training changes the speech, or an utterance is missing.
    """

    def __init__(self, config: Config, teacher: ssl.SslEncoder, utterances: Mapping[str, int], units: int):
        self.folder, self.layers, self.units, self.teacher = config.data.targets, config.teacher.layers, units, teacher
        a = config.augment
        if a.speeds or a.stretch_prob or a.pitch_prob or a.crop_s or config.teacher.dropout:
            names = "augment.speeds, stretch_prob, pitch_prob, crop_s or teacher.dropout"
            raise UserError(f"data.targets stay the same in every epoch: give it without {names}")
        self.entries = archives.read_scp(Path(self.folder) / "feats.scp")
        if missing := utterances.keys() - self.entries.keys():
            raise UserError(f"{self.folder} has no {min(missing)}: run steps/extract_ssl.sh on {config.data.train}")

    def __call__(self, utterances: list[str], samples: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, frames, layers, units) of waveforms of these lengths (batch,), and lengths (batch,)."""
        rows, sizes = [], (len(self.layers), self.units)
        for utt, frames in zip(utterances, self.teacher.num_frames(samples).tolist(), strict=True):
            row = archives.load(self.entries[utt])  # (frames, layers * units)
            if row.shape != (frames, sizes[0] * sizes[1]):
                what = f"{row.shape}, not {(frames, sizes[0] * sizes[1])}: is it of this teacher and these layers?"
                raise UserError(f"{utt}: in {self.folder} it has {what}")
            rows.append(row.reshape(frames, *sizes))
        return pad(rows)
