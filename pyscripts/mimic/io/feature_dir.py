"""A feature directory: its archives, the lengths that batches are made by, and its CMVN statistics in Kaldi's format.

CMVN statistics are a float64 matrix 2 x (dim + 1): sums and the number of frames, sums of squares and a zero.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

import numpy as np

from mimic.errors import UserError
from mimic.io import archives
from mimic.io.tables import read_frames

AGAIN = "run steps/make_feats.sh again"
GLOBAL_KEY = "global"
BLOCK = 1 << 14  # frames in double precision at a time


def read(directory: str | Path) -> tuple[dict[str, archives.Entry], dict[str, int]]:
    """Archive entry and frames of each utterance. UserError where feats.scp and utt2num_frames have others."""
    entries, frames = archives.read_scp(Path(directory) / "feats.scp"), read_frames(directory)
    if odd := entries.keys() ^ frames.keys():
        utt = min(odd)
        there, here = ("feats.scp", "utt2num_frames") if utt in entries else ("utt2num_frames", "feats.scp")
        raise UserError(f"{directory}: {utt} is in {there} and not in {here}: {AGAIN}")
    return entries, frames


def load(entry: str, utt: str, frames: int) -> np.ndarray:
    """Features (frames, bins). UserError where there are more or fewer than utt2num_frames says."""
    features = archives.load(entry)
    if len(features) != frames:
        raise UserError(f"{utt}: {len(features)} frames in feats.scp and {frames} in utt2num_frames: {AGAIN}")
    return features


def load_all(utterances: Iterable[str], entries: Mapping[str, str], frames: Mapping[str, int]) -> list[np.ndarray]:
    """`load` of each of these utterances."""
    return [load(entries[utt], utt, frames[utt]) for utt in utterances]


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
        # A sum of nothing would be 0.
        return cast("np.ndarray", sum(self.by_key[key] for key in sorted(self.by_key)))

    def write(self, ark: str | Path, scp: str | Path) -> None:
        """Write an archive with one matrix per speaker, in C order."""
        write_stats(ark, scp, ((key, self.by_key[key]) for key in sorted(self.by_key)))


def write_stats(ark: str | Path, scp: str | Path, stats: Iterable[tuple[str, np.ndarray]]) -> None:
    """Write (key, statistics) pairs as a Kaldi archive of double matrices."""
    with archives.ArkWriter(ark, scp) as writer:
        for key, matrix in stats:
            writer.write(key, matrix.astype(np.float64, copy=False))


def read_global(feat_dir: str | Path) -> np.ndarray:
    """Read the statistics (2, dim + 1) of a feature directory. They are found also after the directory has moved."""
    return archives.load(f"{feat_dir}/global_cmvn.ark:{len(GLOBAL_KEY) + 1}")
