"""What is judged: noisy speech with its transcripts, and enhancers: models, or speech that was enhanced elsewhere."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from mimic import models
from mimic.errors import UserError
from mimic.io.recording import write_wav
from mimic.io.tables import read_text
from mimic.judging.findings import NAME, RATE, digest, directory_digest
from mimic.metrics.pairs import open_audio
from mimic.models.ratio import AUTO, mix, read_curve

NOISY = "noisy"


@dataclass(frozen=True)
class System:
    """Noisy speech, or an enhancer at a ratio from 0 to 1, or `auto`."""

    enhancer: str = NOISY
    ratio: float | str = 0.0

    @property
    def name(self) -> str:
        return NOISY if self.enhancer == NOISY else f"{self.enhancer}@{ratio_text(self.ratio)}"


def ratio_text(ratio: float | str) -> str:
    return ratio if isinstance(ratio, str) else f"{ratio:g}"


class Model:
    """An enhancer of this recipe. What it enhanced is kept in `folder`, by what the model and the speech hold."""

    def __init__(self, name: str, directory: Path, folder: Path) -> None:
        if models.kind(directory) != "Enhancer":
            raise UserError(f"enhancer {directory}: not an enhancer: give one, as exp/enhance_mimic")
        self.name, self.directory, self.curve = name, directory, read_curve(directory)
        self.identity = f"mimic {directory_digest(directory)}"
        self.folder = folder / f"{name}-{digest(self.identity.encode())[:8]}"
        self._model: Any = None

    def enhance(self, utt: str, noisy: np.ndarray) -> np.ndarray:
        """The enhanced signal (samples,) of a noisy one, at 16 kHz, as it is in a 16-bit wav."""
        path = self.folder / f"{digest(noisy.tobytes())}.wav"
        if not path.exists():
            if self._model is None:
                self._model = models.load(self.directory)
            self.folder.mkdir(parents=True, exist_ok=True)
            write_wav(path, self._model.enhance(noisy, RATE, ratio=1.0))
        return soundfile.read(path, dtype="float32")[0]


class Enhanced:
    """Speech that was enhanced elsewhere: a data directory, or a folder of audio with the names of the utterances."""

    curve = None

    def __init__(self, name: str, directory: Path, allow_pipes: bool) -> None:
        self.name, self.directory, self.identity = name, directory, "enhanced elsewhere"
        self.reader = open_audio(directory, allow_pipes, 0)

    def enhance(self, utt: str, noisy: np.ndarray) -> np.ndarray:
        """The enhanced signal (samples,). UserError where it is missing or has another length."""
        if utt not in self.reader:
            raise UserError(f"{utt}: not in {self.directory}")
        x = self.reader[utt]
        if len(x) != len(noisy):
            raise UserError(f"{utt}: {len(noisy)} samples are noisy, and {len(x)} in {self.directory}: keep the length")
        return x


def parse_enhancer(text: str, folder: Path, allow_pipes: bool = False) -> Model | Enhanced:
    """`[NAME=]DIRECTORY`, or pretrained: the default one. UserError: no such directory, or a name in the way."""
    name, equals, place = text.partition("=")
    if not equals:
        name, place = "", text
    directory = models.find(None) if place == "pretrained" else models.find(place)
    if not directory.is_dir():
        raise UserError(f"enhancer {text}: there is no directory {directory}")
    name = name or directory.resolve().name
    if not NAME.fullmatch(name) or name == NOISY:
        raise UserError(
            f"enhancer {text}: '{name}' cannot be a name here: write another one before it, as mine={place}"
        )
    if (directory / "config.yaml").exists():
        return Model(name, directory, folder)
    return Enhanced(name, directory, allow_pipes)


class Material:
    """Noisy speech: `utts`, `texts` of those that have a transcript, signals.

    `gaps`: {utterance: reason} of audio without a transcript, where others have one, and of transcripts without audio.
    """

    def __init__(self, data: Path, text: Path | None, allow_pipes: bool, channel: int | None) -> None:
        self.data, self.reader = data, open_audio(data, allow_pipes, channel)
        self.utts = list(self.reader.utts)
        texts = read_texts(text, data)
        self.texts = {utt: texts[utt] for utt in self.utts if texts.get(utt)}
        if texts and not self.texts:
            raise UserError(f"{text or data / 'text'}: has none of the utterances of {data}")
        self.gaps = {}
        if texts:
            self.gaps = dict.fromkeys(texts.keys() - set(self.utts), "it has a transcript, and no audio")
            self.gaps |= {utt: "it has no transcript" for utt in self.utts if utt not in self.texts}

    def noisy(self, utt: str) -> np.ndarray:
        """Samples (samples,) float32 at 16 kHz."""
        return self.reader[utt]

    def signal(self, utt: str, system: System, enhancers: Mapping[str, Model | Enhanced]) -> np.ndarray:
        """What recognisers are given: enhanced and noisy speech in the ratio."""
        noisy = self.noisy(utt)
        if system.enhancer == NOISY:
            return noisy
        enhancer = enhancers[system.enhancer]
        ratio = enhancer.curve if system.ratio == AUTO else system.ratio
        if ratio is None or isinstance(ratio, str):
            raise UserError(
                f"enhancer {enhancer.name}: no ratio {AUTO} was fitted: steps/fit_ratio.sh, or leave it out"
            )
        return mix(noisy, enhancer.enhance(utt, noisy), ratio)


def read_texts(text: Path | None, data: Path | None = None) -> Mapping[str, str]:
    """Transcripts of a Kaldi table, of a folder of <utterance>.txt, or, without one, of `text` in `data`; else none."""
    if text and text.is_dir():
        return {path.stem: " ".join(path.read_text(encoding="utf-8").split()) for path in sorted(text.glob("*.txt"))}
    path = text or (data / "text" if data else None)
    return read_text(path) if path and (text or path.exists()) else {}


def dev_part(utts: list[str], share: float) -> list[str]:
    """A share of the utterances, drawn by their names alone, so that it stays the same; one at least."""
    order = sorted(utts, key=lambda utt: hashlib.sha256(utt.encode()).hexdigest())
    return sorted(order[: max(1, round(share * len(utts)))])
