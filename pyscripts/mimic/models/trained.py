"""What all trained models have in common: a directory with config.yaml, model.pt and a few files beside them.

config.yaml says which network it is, model.pt has its weights (model.safetensors those of a pretrained model), the
files beside them the front end's options and the meaning of the outputs. What does not fit together is one line, not a
traceback.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, TypeVar

import torch
from torch import Tensor, nn

from mimic.errors import UserError
from mimic.frontend.front_end import FEATURE_CONFIG
from mimic.io import atomic, weights
from mimic.models import config as configuration
from mimic.models.config import Config, read_config
from mimic.nets.graphs import Graph

N = TypeVar("N", bound=nn.Module)
M = TypeVar("M", bound="Trained")
MODEL, SHIPPED = "model.pt", "model.safetensors"


class Trained:
    """A network and what it needs to be used.

    A subclass says which TASKS train it, what it is (WHAT, for messages), which FILES lie beside config.yaml and
    model.pt, and how `from_directory` makes it.

    Attributes:
        config: names, sizes and settings.
        net: the network, in eval mode when it was loaded.
        files: {name: content} of what lies beside config.yaml and model.pt.
    """

    TASKS: ClassVar[tuple[str, ...]]
    WHAT: ClassVar[str]
    FILES: ClassVar[tuple[str, ...]] = (FEATURE_CONFIG,)

    def __init__(self, config: Config, net: nn.Module, directory: Path):
        self.config, self.net = config, net
        self.files = {name: (directory / name).read_bytes() for name in self.FILES if (directory / name).is_file()}

    @classmethod
    def load(cls: type[M], directory: str | Path, overrides: Iterable[str] = (), device: str = "cpu") -> M:
        """The trained model of a directory, in eval mode on `device`.

        overrides: words `--section.name value` that change settings of config.yaml. Raises UserError for the directory
        of something else, for a setting that is wrong, and for parts that do not belong together.
        """
        directory = Path(directory)
        config = read_config(directory, overrides)
        if config.task == "joint":
            parts = " or ".join(str(directory / name) for name in ("enhancer", "recogniser"))
            raise UserError(f"{directory}: enhancer and recogniser in one: give {parts}")
        if config.task not in cls.TASKS:
            raise UserError(f"{directory}: a model of task {config.task}, not {cls.WHAT}")
        model = cls.from_directory(config, directory)
        model.net.eval()
        return model.to(device)

    @classmethod
    def from_directory(cls: type[M], config: Config, directory: Path) -> M:
        """The same, where config.yaml has been read."""
        raise NotImplementedError

    @property
    def device(self) -> torch.device:
        """Where the network's weights are."""
        return next(self.net.parameters()).device

    def to(self: M, device: str | torch.device) -> M:
        """The same model with its network, and its front end, on this device."""
        self.net.to(device)
        return self

    def onnx(self) -> Graph:
        """The model as a graph from a waveform, in operators that ONNX has (mimic.deploy.onnx writes it)."""
        raise UserError(f"a model of task {self.config.task} cannot be exported")

    def save(self, directory: str | Path) -> None:
        """Write a directory that `load` reads: config.yaml, model.pt and the files beside them."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        configuration.write(self.config, directory / "config.yaml")
        for name, content in self.files.items():
            with atomic.replace(directory / name, "wb") as f:
                f.write(content)
        weights.save({name: value.cpu() for name, value in self.net.state_dict().items()}, directory / MODEL)


def read_weights(directory: Path) -> dict[str, Tensor]:
    """The weights in model.pt, or model.safetensors, by their names.

    Raises UserError for anything else, and for NaN and infinity.
    """
    path = directory / MODEL
    if not path.exists() and (directory / SHIPPED).exists():
        path = directory / SHIPPED
    state = weights.load(path)
    weights.check_weights(state, path, "train the model again, or take an undamaged copy")
    return state


def size(state: dict[str, Tensor], name: str, directory: Path, config: Config, dim: int = 0) -> int:
    """Size of a weight, from which the network is built. UserError where model.pt does not have it."""
    if name not in state or state[name].dim() <= dim:
        raise UserError(f"{directory}: {MODEL} has no {name}: it is not a model of config.yaml ({_net(config)})")
    return state[name].shape[dim]


def check_count(directory: Path, outputs: int, file: str, lines: int, what: str) -> None:
    """UserError unless the model has as many outputs as a table beside it has lines."""
    if outputs != lines:
        raise UserError(
            f"{directory}: {MODEL} has {outputs} {what} and {file} has {lines}: they are of two models, or {file} was "
            "changed: take both from the same one"
        )


def fill(net: N, state: dict[str, Tensor], directory: Path, config: Config) -> N:
    """The network with these weights, in eval mode. UserError names the first weight that does not fit it."""
    here = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    there = {name: tuple(value.shape) for name, value in state.items()}
    for name in [*here, *there]:
        a, b = here.get(name), there.get(name)
        if a != b:
            raise UserError(
                f"{directory}: {name} is {_shape(b)} in {MODEL} and {_shape(a)} by config.yaml ({_net(config)}) and "
                "what lies beside it: they are of two models, or sizes were changed, which stay as they were trained"
            )
    net.load_state_dict(state)
    return net.eval()


def _net(config: Config) -> str:
    return f"{config.task}/{config.net}"


def _shape(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else "x".join(map(str, shape)) or "one number"
