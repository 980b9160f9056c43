"""What a recogniser is to a judge.

It has a `name` for tables, an `identity`, which changes with whatever changes its words, and `words`: takes
(utterance, samples (samples,) float32 at 16 kHz) pairs and gives (utterance, found) pairs: `hyp`, its words, and
`confidence`, 0 to 1, the mean over them, None where it has none.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np

from mimic.judging.findings import Found

RATE = 16000  # Hz
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")  # of an enhancer or a recogniser, where one stands before its word
Signals = Iterable[tuple[str, np.ndarray]]


class Recogniser(Protocol):
    """See the head of this file."""

    name: str
    identity: str

    def words(self, signals: Signals) -> Iterator[tuple[str, Found]]: ...


def mean(values: list[float]) -> float | None:
    """The mean with 4 digits, None of nothing."""
    return round(float(np.mean(values)), 4) if values else None
