"""Means of scores with bootstrap intervals, of a whole set and of its conditions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mimic.metrics.conditions import grouped
from mimic.metrics.enhancement import Row

REPLICATIONS = 2000
BLOCK = 2**15  # draws that are held at a time


@dataclass(frozen=True)
class Mean:
    """Mean over `n` utterances with its 95 % interval, `na` left out; NaN where n is 0."""

    mean: float
    low: float
    high: float
    n: int
    na: int

    def cells(self) -> list[str]:
        """Mean, limits, n and na as text; NA where there is no mean."""
        return [f"{v:.4f}" if self.n else "NA" for v in (self.mean, self.low, self.high)] + [str(self.n), str(self.na)]


def mean(values: Iterable[float | None]) -> Mean:
    """Percentile bootstrap over utterances; the seed is fixed, so that the same scores give the same interval."""
    values = list(values)
    x = np.array([v for v in values if v is not None])
    na = len(values) - len(x)
    if not len(x):
        return Mean(*[float("nan")] * 3, 0, na)
    rng = np.random.default_rng(0)
    block = max(1, BLOCK // len(x))
    sizes = [min(block, REPLICATIONS - done) for done in range(0, REPLICATIONS, block)]
    means = np.concatenate([x[rng.integers(len(x), size=(size, len(x)))].mean(1) for size in sizes])
    low, high = np.percentile(means, [2.5, 97.5])
    return Mean(float(x.mean()), float(low), float(high), len(x), na)


def summary(rows: Sequence[Row], measures: Sequence[str]) -> list[list[str]]:
    """A header and a line for each measure: mean, interval, utterances scored, utterances NA."""
    lines = [[m, *mean(row.scores[m] for row in rows).cells()] for m in measures]
    return [["measure", "mean", "ci95min", "ci95max", "n", "na"], *lines]


def breakdown(rows: Sequence[Row], measures: Sequence[str], data_dirs: Sequence[str | Path]) -> list[list[str]]:
    """As `summary`, for each SNR, noise kind, speaker and class of length that one of the directories tells."""
    lines = [["condition", "value", "measure", "mean", "ci95min", "ci95max", "n", "na"]]
    for condition, value, those in grouped(rows, lambda row: row.utt, data_dirs):
        lines += [[condition, value, m, *mean(row.scores[m] for row in those).cells()] for m in measures]
    return lines
