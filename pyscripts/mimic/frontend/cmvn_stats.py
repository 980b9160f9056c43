"""Cepstral mean and variance statistics in Kaldi's format; without torch, so that small programs start at once.

Statistics are a float64 matrix 2 x (dim + 1): sums and the number of frames, sums of squares and a zero.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from mimic.errors import UserError
from mimic.io.archives import ArkWriter, load

GLOBAL_KEY = "global"
BLOCK = 1 << 14  # frames in double precision at a time


class CmvnStats:
    """Statistics per key (speaker), added up one utterance at a time: memory holds one matrix per speaker."""

    def __init__(self) -> None:
        self.by_key: dict[str, np.ndarray] = {}

    def add(self, key: str, feats: np.ndarray) -> None:
        """Add an utterance (frames, dim) of speaker `key`."""
        stats = np.zeros((2, feats.shape[1] + 1))
        stats[0, -1] = len(feats)
        for first in range(0, len(feats), BLOCK):
            x = feats[first : first + BLOCK].astype(np.float64)
            ones = np.ones(len(x))  # a product with ones is the fastest sum over frames
            stats[0, :-1] += ones @ x
            x *= x
            stats[1, :-1] += ones @ x
        self.add_stats(key, stats)

    def add_stats(self, key: str, stats: np.ndarray) -> None:
        """Add statistics (2, dim + 1) that were made elsewhere, e.g. by another job."""
        known = self.by_key.setdefault(key, np.zeros(stats.shape))
        if known.shape != stats.shape:
            raise UserError(f"{key}: features of {stats.shape[1] - 1} dimensions beside {known.shape[1] - 1}")
        known += stats

    def total(self) -> np.ndarray:
        """The statistics (2, dim + 1) of all speakers together."""
        return sum(self.by_key[key] for key in sorted(self.by_key))

    def write(self, ark: str | Path, scp: str | Path) -> None:
        """Write an archive with one matrix per speaker, in C order."""
        write_stats(ark, scp, ((key, self.by_key[key]) for key in sorted(self.by_key)))


def write_stats(ark: str | Path, scp: str | Path, stats: Iterable[tuple[str, np.ndarray]]) -> None:
    """Write (key, statistics) pairs as a Kaldi archive of double matrices."""
    with ArkWriter(ark, scp) as writer:
        for key, matrix in stats:
            writer.write(key, matrix.astype(np.float64, copy=False))


def read_global(feat_dir: str | Path) -> np.ndarray:
    """Read the statistics (2, dim + 1) of a feature directory. They are found also after the directory has moved."""
    return load(f"{feat_dir}/global_cmvn.ark:{len(GLOBAL_KEY) + 1}")
