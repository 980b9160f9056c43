"""A feature directory as a whole: its archives and the lengths that batches are made by."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from mimic.errors import UserError
from mimic.io import archives
from mimic.io.tables import read_frames

AGAIN = "run steps/make_feats.sh again"


def read(directory: str | Path) -> tuple[dict[str, str], dict[str, int]]:
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
