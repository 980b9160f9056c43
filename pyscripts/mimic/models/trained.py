"""The parts of a trained directory, read so that parts which do not belong together are told, not tracebacks.

config.yaml says which network it is, model.pt has its weights, tokens.txt or labels.txt the meaning of its outputs.
"""

from pathlib import Path
from typing import TypeVar

from torch import Tensor, nn

from mimic.errors import UserError
from mimic.inputs import similar
from mimic.models.weights import check_weights
from mimic.training import checkpoint
from mimic.training import config as configuration
from mimic.training.config import Config

T = TypeVar("T", bound=nn.Module)
MODEL = "model.pt"


def read_config(directory: Path, overrides: list[str] | None = None) -> Config:
    """The configuration of a trained directory, with `--section.key value` overrides.

    Raises UserError for a directory that is not there, with what has a similar name, and for one of something else.
    """
    if not directory.is_dir():
        made = "steps/train.sh makes one"
        raise UserError(f"{directory}: no such model directory{similar(directory)}: {made}")
    if not (directory / "config.yaml").exists():
        raise UserError(f"{directory}: holds no config.yaml, so it is no model of steps/train.sh")
    return configuration.read(directory / "config.yaml", overrides)


def read_weights(directory: Path) -> dict[str, Tensor]:
    """The weights in model.pt by their names. Raises UserError for anything else, and for NaN and infinity."""
    path = directory / MODEL
    state = checkpoint.load(path)
    check_weights(state, path, "train the model again, or take an undamaged copy")
    return state


def size(state: dict[str, Tensor], name: str, directory: Path, config: Config, dim: int = 0) -> int:
    """Size of a weight, from which the network is built. UserError where model.pt does not have it."""
    if name not in state or state[name].dim() <= dim:
        raise UserError(f"{directory}: {MODEL} has no {name}: it is no model of config.yaml ({_net(config)})")
    return state[name].shape[dim]


def check_count(directory: Path, outputs: int, file: str, lines: int, what: str) -> None:
    """UserError unless the model has as many outputs as a table beside it has lines."""
    if outputs != lines:
        raise UserError(
            f"{directory}: {MODEL} has {outputs} {what} and {file} has {lines}: they are of two models, or {file} was "
            "changed: take both from the same one"
        )


def fill(model: T, state: dict[str, Tensor], directory: Path, config: Config) -> T:
    """The network with these weights, in eval mode. UserError names the first weight that does not fit it."""
    here = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    there = {name: tuple(value.shape) for name, value in state.items()}
    for name in [*here, *there]:
        a, b = here.get(name), there.get(name)
        if a != b:
            raise UserError(
                f"{directory}: {name} is {_shape(b)} in {MODEL} and {_shape(a)} by config.yaml ({_net(config)}) and "
                "what lies beside it: they are of two models, or sizes were changed, which stay as they were trained"
            )
    model.load_state_dict(state)
    return model.eval()


def _net(config: Config) -> str:
    return f"{config.task}/{config.net}"


def _shape(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else "x".join(map(str, shape)) or "one number"
