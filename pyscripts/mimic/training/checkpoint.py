"""Checkpoints: tensors and plain Python values only, written atomically, the last two kept."""

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from mimic.errors import UserError
from mimic.io.weights import load, save

__all__ = ["average", "load", "load_latest", "save", "save_latest"]

log = logging.getLogger(__name__)
KEEP = 2


def save_latest(state: dict[str, Any], directory: Path, step: int) -> None:
    """Write the resume checkpoint of `step` and remove all but the last two."""
    directory.mkdir(parents=True, exist_ok=True)
    save(state, directory / f"step-{step:09d}.pt")
    for old in _newest_first(directory)[KEEP:]:
        old.unlink()


def load_latest(directory: Path) -> dict[str, Any] | None:
    """The newest readable resume checkpoint; a damaged one is named and the one before it taken."""
    for path in _newest_first(directory):
        try:
            return load(path)
        except UserError as error:
            log.warning("%s: continuing from the checkpoint before it", error)
    return None


def average(paths: Iterable[Path]) -> dict[str, torch.Tensor]:
    """Mean of the weights in `paths`; integers (batch counters) are taken from the last file, not averaged.

    Raises UserError when one is missing or damaged: the epochs that lead to it have to be trained again.
    """
    states = []
    for path in paths:
        try:
            states.append(load(path))
        except UserError:
            raise UserError(f"{path}: damaged or gone: remove {path.parent.parent} and run again") from None
    mean = dict(states[-1])
    for name, value in mean.items():
        if value.is_floating_point():
            mean[name] = torch.stack([state[name].double() for state in states]).mean(0).to(value.dtype)
    return mean


def _newest_first(directory: Path) -> list[Path]:
    return sorted(directory.glob("step-*.pt"), key=os.fspath, reverse=True)
