"""Weights as files: tensors by their names, written whole or not at all, read without executing anything."""

import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mimic.errors import UserError
from mimic.io import atomic


def save(state: dict[str, Any], path: str | Path) -> None:
    """Write `state` so that `path` is either the old file or the new one, whenever the process dies."""
    with atomic.replace(path, "wb") as f:
        try:
            torch.save(state, f)
        except RuntimeError as error:  # of torch's own, while it closes what a full disk has cut short
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def load(path: str | Path) -> dict[str, Any]:
    """Read a file written by `save`, to CPU. Raises UserError when it is missing or damaged."""
    try:
        with zipfile.ZipFile(path) as parts:  # torch does not look at the checksums that it writes
            if damaged := parts.testzip():
                raise ValueError(f"checksum of {damaged}")
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such model: the training of {Path(path).parent} has not finished") from None
    except Exception as error:  # torch raises whatever the damaged bytes lead to
        what = f"damaged checkpoint ({type(error).__name__})"
        raise UserError(f"{path}: {what}: copy it again, or delete it and run its training again") from None


def check_weights(state: Any, file: Path, advice: str) -> None:
    """UserError unless these are tensors by their names, all of whose values are numbers."""
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        found = "nothing" if state == {} else f"a {type(state).__name__} that is not weights by their names"
        raise UserError(f"{file}: holds {found}: {advice}")
    for name, value in state.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise UserError(f"{file}: {name} has NaN or infinity: {advice}")
