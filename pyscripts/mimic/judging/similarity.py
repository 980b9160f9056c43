"""How similar a trained model finds clean and enhanced speech: in speaker, and in phones.

spksim-NAME: cosine of the embeddings of both, -1 to 1, by a classifier of speakers or an encoder (the mean over time of
its last hidden states). lps-NAME: Levenshtein phone similarity (J. Pirklbauer et al., "Evaluation Metrics for
Generative Speech Enhancement Methods: Issues and Perspectives", ITG Speech Communication 2023): 1 - edit distance of
the phones that a recogniser finds in both, divided by their number in clean speech; 1 at most, below 0 where more
phones are wrong than there are. Both depend on the model, so NAME is part of the measure's name.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import kaldialign
import numpy as np

from mimic.errors import NotScored, UserError
from mimic.judging.findings import NAME, RATE, digest, directory_digest
from mimic.metrics.enhancement import parse_measures
from mimic.metrics.mos_models import MosModel, mos_models
from mimic.models.config import read_raw, task_name


class Similarity:
    """A measure of clean and enhanced speech by the model of `[NAME=]DIR`; without NAME it is the directory's.

    measure: its name in tables. The model is loaded when it is asked for. UserError for a directory that is
    not there, and for a model of another task than one of TASKS.
    """

    PREFIX, WHAT, OPTION, FIX = "", "", "", ""
    TASKS: tuple[str, ...] = ()

    def __init__(self, text: str) -> None:
        name, equals, directory = text.partition("=")
        if not equals or not NAME.fullmatch(name):
            name, directory = Path(text).resolve().name, text
        self.directory = Path(directory)
        if not self.directory.exists():
            raise UserError(f"{self.OPTION} {text}: there is no {directory}: {self.FIX}")
        if not NAME.fullmatch(name):
            raise UserError(f"{self.OPTION} {text}: write NAME=DIR, NAME of letters, digits and _.+-")
        config = self.directory / "config.yaml"
        if config.is_file() and (task := task_name(read_raw(config), str(config))) not in self.TASKS:
            raise UserError(f"{self.OPTION} {text}: a model of task {task}: {self.FIX}")
        self.measure = f"{self.PREFIX}-{name}"

    @property
    def description(self) -> str:
        """What the measure is and which model gives it, for the header of a score file."""
        is_file = self.directory.is_file()
        model = digest(self.directory.read_bytes()) if is_file else directory_digest(self.directory)
        return f"; {self.measure}: {self.WHAT} {self.directory} ({model[:12]})"

    @cached_property
    def model(self) -> Any:
        from mimic import models  # torch takes seconds to load

        return models.load(self.directory)

    def __call__(self, clean: np.ndarray, enhanced: np.ndarray) -> list[float]:
        """The score of two signals (samples,) at 16 kHz. NotScored where there is none."""
        try:
            return [self.compare(clean.astype(np.float32), enhanced.astype(np.float32))]
        except (UserError, RuntimeError) as error:  # of a signal that the model does not take: other measures may
            raise NotScored(str(error)) from None

    def compare(self, clean: np.ndarray, enhanced: np.ndarray) -> float:
        raise NotImplementedError


class SpeakerSimilarity(Similarity):
    """Cosine of embeddings."""

    PREFIX, WHAT, OPTION = "spksim", "cosine of the embeddings of", "--speaker-model"
    FIX = "give a classifier of speakers (steps/train.sh conf/probe_speaker.yaml) or an encoder"
    TASKS = ("classify", "distill", "pretrain_ssl")

    def compare(self, clean: np.ndarray, enhanced: np.ndarray) -> float:
        x, y = (self.model.embed(signal, RATE).astype(np.float64) for signal in (clean, enhanced))
        norm = np.linalg.norm(x) * np.linalg.norm(y)
        if not norm:
            raise NotScored("an embedding is 0")
        return float(x @ y / norm)


class PhoneSimilarity(Similarity):
    """Levenshtein phone similarity."""

    PREFIX, WHAT, OPTION = "lps", "Levenshtein similarity of the phones of", "--phone-model"
    FIX = "give a recogniser of phones (steps/train.sh conf/perceptual.yaml)"
    TASKS = ("asr",)

    @cached_property
    def model(self) -> Any:
        recogniser = super().model
        if recogniser.tokens.token_type != "phn":
            raise UserError(
                f"{self.OPTION} {self.directory}: its tokens are {recogniser.tokens.token_type}: {self.FIX}"
            )
        return recogniser

    def compare(self, clean: np.ndarray, enhanced: np.ndarray) -> float:
        return phone_similarity(*(self.phones(signal) for signal in (clean, enhanced)))

    def phones(self, signal: np.ndarray) -> list[str]:
        """What the recogniser finds in a signal (samples,) at 16 kHz."""
        return [phone.word for phone in self.model.recognise(signal, RATE).words]


def phone_similarity(clean: Sequence[str], enhanced: Sequence[str]) -> float:
    """1 - edit distance / phones of clean speech. NotScored where clean speech has none."""
    if not clean:
        raise NotScored("no phone is recognised in the clean audio")
    return 1 - kaldialign.edit_distance(list(clean), list(enhanced))["total"] / len(clean)


def similarities(speaker_model: str | None, phone_model: str | None, clean: bool = True) -> list[Similarity]:
    """The measures of the models that are given. UserError where there is no `clean` side."""
    found: list[Similarity] = [SpeakerSimilarity(speaker_model)] if speaker_model else []
    found += [PhoneSimilarity(phone_model)] if phone_model else []
    if found and not clean:
        raise UserError(f"{found[0].OPTION}: similarity needs clean speech, and --reference is none")
    return found


def chosen(
    measures: str, clean: bool, speaker_model: str | None, phone_model: str | None, models: str
) -> tuple[tuple[str, ...], dict[str, Similarity | MosModel]]:
    """The names of all measures that the options of steps/score_enhancement.sh ask for, and those of a model by name.

    UserError for what is not known, not there, or needs a `clean` side, and where there is none at all.
    """
    of_models: list[Similarity | MosModel] = [*similarities(speaker_model, phone_model, clean), *mos_models(models)]
    names = (*parse_measures(measures, clean), *(one.measure for one in of_models))
    if not names:
        raise UserError("--measures none: there is no other measure either, such as of --mos-models")
    return names, {one.measure: one for one in of_models}
