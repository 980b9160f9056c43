"""Weights as files: tensors by their names, written whole or not at all, read without executing anything."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import safetensors.torch
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
    """Read a file written by `save` or `save_safetensors`, to CPU. Raises UserError when it is missing or damaged."""
    try:
        if Path(path).suffix == ".safetensors":
            return load_safetensors(path)
        with zipfile.ZipFile(path) as parts:  # torch does not look at the checksums that it writes
            if damaged := parts.testzip():
                raise ValueError(f"checksum of {damaged}")
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such model: the training of {Path(path).parent} has not finished") from None
    except Exception as error:  # torch raises whatever the damaged bytes lead to
        what = f"damaged checkpoint ({type(error).__name__})"
        raise UserError(f"{path}: {what}: copy it again, or delete it and run its training again") from None


def save_safetensors(state: dict[str, Tensor], path: str | Path) -> None:
    """Write a file in the format of safetensors, with a checksum of the values: the format has none of its own."""
    state = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    data = safetensors.torch.save(state, {"format": "pt", "crc32": _checksum(state)})
    with atomic.replace(path, "wb") as f:
        f.write(data)


def load_safetensors(path: str | Path) -> dict[str, Tensor]:
    """Read such a file, with or without a checksum, to CPU. Raises OSError, and ValueError for a damaged one."""
    try:
        with safetensors.safe_open(path, "pt") as f:
            state = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118  # it is not a dict
            known = (f.metadata() or {}).get("crc32")
    except safetensors.SafetensorError as error:
        raise ValueError(f"not safetensors: {error}") from None
    if known not in (None, _checksum(state)):
        raise ValueError("its values differ from its checksum")
    return state


def _checksum(state: dict[str, Tensor]) -> str:
    found = 0
    for name in sorted(state):
        found = zlib.crc32(state[name].reshape(-1).view(torch.uint8).numpy().data, found)
    return f"{found:08x}"


def check_weights(state: Any, file: Path, advice: str) -> None:
    """UserError unless these are tensors by their names, all of whose values are numbers."""
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        found = "nothing" if state == {} else f"a {type(state).__name__} that is not weights by their names"
        raise UserError(f"{file}: holds {found}: {advice}")
    for name, value in state.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise UserError(f"{file}: {name} has NaN or infinity: {advice}")
