"""Scores as values: of one utterance, their mean with a bootstrap interval over a set, and those of its conditions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mimic.metrics.conditions import grouped
from mimic.metrics.identity import Identity

REPLICATIONS = 2000
BLOCK = 2**15  # draws that are held at a time
DIGITS = 4  # after the point, of means and limits in files

Pairs = list[tuple[str, str, str]]  # reference token, hypothesis token (either may be ***), one of C S I D


@dataclass(frozen=True)
class Row:
    """One utterance: values of measures of enhanced speech (None: none, for `reason`), alignments by "wer", "cer"."""

    utt: str
    scores: dict[str, float | None] = field(default_factory=dict)
    reason: str = "-"
    alignments: Mapping[str, Pairs] = field(default_factory=dict)
    present: bool = True  # False: there was no hypothesis, and every token counts as deleted


@dataclass(frozen=True)
class Mean:
    """Mean over `n` items with its 95 % interval, `na` left out; NaN where n is 0.

    Of an error rate: errors per 100 of `n` reference tokens, `na` sentences without a hypothesis (which count), and
    its counts by name (errors, ins, del, sub, sentences, wrong_sentences). NaN limits: no interval is known.
    """

    mean: float
    low: float
    high: float
    n: int
    na: int
    counts: Mapping[str, int] = field(default_factory=dict)

    def cells(self) -> list[str]:
        """Mean, limits, n and na as text; NA where there is no mean."""
        values = (self.mean, self.low, self.high)
        return [f"{v:.{DIGITS}f}" if self.n else "NA" for v in values] + [str(self.n), str(self.na)]

    def rounded(self) -> "Mean":
        """With the digits that `cells` shows, so that JSON and tables give the same figures."""
        mean, low, high = (float(f"{v:.{DIGITS}f}") for v in (self.mean, self.low, self.high))
        return replace(self, mean=mean, low=low, high=high)


@dataclass(frozen=True)
class Condition:
    """The figures of the utterances of one condition, such as snr 2.5."""

    condition: str
    value: str
    figures: Mapping[str, Mean]


@dataclass(frozen=True)
class Scores:
    """All figures of a set, by measure ("wer", "cer", "wb-pesq", ...); `data`: what was scored, None: not recorded."""

    utterances: int
    figures: Mapping[str, Mean]
    data: Identity | None = None
    conditions: Sequence[Condition] = ()
    weights: str = ""  # of a decoding: language model weight and insertion penalty, as in names of Kaldi's files, 7_0.0


def mean(values: Iterable[float | None]) -> Mean:
    """Percentile bootstrap over utterances; the seed is fixed, so that the same scores give the same interval."""
    values = list(values)
    x = np.array([v for v in values if v is not None])
    na = len(values) - len(x)
    if not len(x):
        return Mean(float("nan"), float("nan"), float("nan"), 0, na)
    rng = np.random.default_rng(0)
    block = max(1, BLOCK // len(x))
    sizes = [min(block, REPLICATIONS - done) for done in range(0, REPLICATIONS, block)]
    means = np.concatenate([x[rng.integers(len(x), size=(size, len(x)))].mean(1) for size in sizes])
    low, high = np.percentile(means, [2.5, 97.5])
    return Mean(float(x.mean()), float(low), float(high), len(x), na)


def means(rows: Sequence[Row], measures: Sequence[str]) -> dict[str, Mean]:
    """The mean of each measure."""
    return {m: mean(row.scores[m] for row in rows).rounded() for m in measures}


def by_condition(rows: Sequence[Row], measures: Sequence[str], data_dirs: Sequence[str | Path]) -> list[Condition]:
    """`means` for each SNR, noise type, speaker and class of length that one of the directories knows."""
    groups = grouped(rows, lambda row: row.utt, data_dirs)
    return [Condition(condition, value, means(some, measures)) for condition, value, some in groups]


def summary(figures: Mapping[str, Mean]) -> list[list[str]]:
    """A header and a line for each measure: mean, interval, utterances scored, utterances NA."""
    return [["measure", "mean", "ci95min", "ci95max", "n", "na"], *([m, *f.cells()] for m, f in figures.items())]


def breakdown(conditions: Sequence[Condition]) -> list[list[str]]:
    """As `summary`, for each condition."""
    head = ["condition", "value", "measure", "mean", "ci95min", "ci95max", "n", "na"]
    return [head, *([c.condition, c.value, m, *f.cells()] for c in conditions for m, f in c.figures.items())]
