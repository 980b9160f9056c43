"""What weights of a file have to be, whoever wrote it."""

from pathlib import Path
from typing import Any

from torch import Tensor

from mimic.errors import UserError


def check_weights(state: Any, file: Path, advice: str) -> None:
    """UserError unless these are tensors by their names, all of whose values are numbers."""
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        found = "nothing" if state == {} else f"a {type(state).__name__} that is not weights by their names"
        raise UserError(f"{file}: holds {found}: {advice}")
    for name, value in state.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise UserError(f"{file}: {name} has NaN or infinity: {advice}")
