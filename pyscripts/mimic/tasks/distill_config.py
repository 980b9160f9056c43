"""Sections of a distillation's configuration: its teacher, its data and its loss."""

from dataclasses import dataclass
from typing import Literal

from mimic import inputs
from mimic.inputs import DataDir, KmeansTargets, Noises, Rirs, TeacherStates
from mimic.models.config import StudentLoss, StudentTeacher
from mimic.settings import BelowOne, NotNegative


@dataclass
class Teacher(StudentTeacher):
    """What the student learns from.

    Attributes:
        path: a self-supervised encoder (wav2vec 2.0, HuBERT, WavLM): a file of weights as torchaudio downloads it, or a
            directory of transformers, or the directory `encoder` of a trained one.
        start: the student begins with the teacher's convolutions, projection, positions and first layers.
        dropout: of the teacher during distillation. The published code leaves it in training mode: 0.1.
    """

    path: inputs.Teacher = ""
    start: bool = True
    dropout: BelowOne = 0.0


@dataclass
class DistillData:
    """Clean speech, and what is mixed into it for the student.

    Attributes:
        train: data directory of clean speech.
        targets: feature directory with the teacher's hidden states of it, `teacher.layers` side by side, from
            steps/extract_ssl.sh: then the teacher does not run in training. Empty: it runs. For training that
            leaves speed and length of speech as they are.
        noises: folder of recordings, or a data directory with their wav.scp; the type of a noise is its name up to
            the first "-". Empty: babble only.
        rirs: room impulse responses, in the same form. Empty: none.
        dev_noisy: data directory of noisy speech, for validation.
        dev_clean: the same utterances, clean.
    """

    train: DataDir = ""
    targets: TeacherStates = ""
    noises: Noises = ""
    rirs: Rirs = ""
    dev_noisy: DataDir = ""
    dev_clean: DataDir = ""


@dataclass
class DistillLoss(StudentLoss):
    """loss = l1_weight * L1 + cosine_weight * cosine + enhance_weight * distance of enhanced speech.

    Attributes:
        l1_weight: of the mean difference of predictions and hidden states.
        cosine_weight: of the mean of -log sigmoid(cosine similarity) of a frame.
        enhance: l1 or l2 of magnitudes; stft (multi-resolution STFT) or si_sdr (dB) of waveforms.
    """

    l1_weight: NotNegative = 1.0
    cosine_weight: NotNegative = 1.0
    enhance: Literal["l1", "l2", "stft", "si_sdr"] = "l1"

    def check(self) -> str:
        """What does not fit, see `mimic.settings.build`."""
        return "" if self.l1_weight or self.cosine_weight or self.enhance_weight else "all weights are 0"


@dataclass
class PretrainData:
    """Speech, and the unit of each of its frames: a k-means cluster, or the state of a phone.

    Attributes:
        train: data directory.
        targets: directory of steps/apply_kmeans.sh or steps/ali_to_units.sh with the units of these utterances, 20 ms a
            frame.
        dev: data directory for validation.
        dev_targets: its targets, of the same units.
    """

    train: DataDir = ""
    targets: KmeansTargets = ""
    dev: DataDir = ""
    dev_targets: KmeansTargets = ""


@dataclass
class PretrainLoss:
    """loss = masked_weight * cross entropy of masked frames + unmasked_weight * that of the others.

    Attributes:
        masked_weight: weight of the masked frames.
        unmasked_weight: weight of the frames that are not masked.
    """

    masked_weight: NotNegative = 1.0
    unmasked_weight: NotNegative = 0.0

    def check(self) -> str:
        """What does not fit, see `mimic.settings.build`."""
        return "" if self.masked_weight or self.unmasked_weight else "all weights are 0"
