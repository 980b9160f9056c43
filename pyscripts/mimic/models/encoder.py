"""Self-supervised encoders, wherever they come from: published, trained here, students."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from mimic.errors import UserError
from mimic.io.resampling import resample
from mimic.models import trained
from mimic.models.config import Config, read_config
from mimic.models.trained import Trained
from mimic.nets import ssl
from mimic.nets.graphs import Graph
from mimic.nets.ssl_files import write_directory
from mimic.nets.student import Student


def student_network(config: Config, units: int, normalise: bool) -> Student:
    """A student of a teacher with so many units, with random weights."""
    return Student(config.model, len(config.teacher.layers), units, config.loss.enhance_weight > 0, normalise)


def read_student(config: Config, directory: Path) -> Student:
    """The trained student of an experiment directory. Raises UserError for one that is pruned."""
    if config.net != "student":
        raise UserError(f"{directory}: a pruned student: what is left of it is in {directory / 'encoder'}")
    state = trained.read_weights(directory)
    normalise = ssl.load(directory / "encoder").normalise
    net = student_network(config, trained.size(state, "predictor.tasks.0.bias", directory, config), normalise)
    return trained.fill(net, state, directory, config)


class Encoder(Trained):
    """Gives the hidden states of waveforms.

    net: `net(waveforms, layers)` gives hidden states 0 to `net.num_layers`, and their lengths; frozen. A student's
        predictions are its last layers.
    """

    TASKS = ("distill", "pretrain_ssl")
    WHAT = "an encoder"
    FILES = ()

    net: ssl.SslEncoder | Student

    def __init__(self, config: Config | None, net: ssl.SslEncoder | Student):
        self.config = cast(Config, config)  # None beside an SslEncoder: nothing asks for it then
        self.net, self.files = net, {}
        net.requires_grad_(False)

    @classmethod
    def load(cls, directory: str | Path, overrides: Iterable[str] = (), device: str = "cpu") -> "Encoder":
        """An encoder, in eval mode on `device`, of an experiment directory, or of what `ssl.load` reads.

        Raises UserError for anything else.
        """
        path = Path(directory)
        if ssl.is_ssl(path):
            return cls(None, ssl.load(path)).to(device)
        config = read_config(path, overrides)
        if config.task == "distill" and config.net == "student":
            return cls(config, read_student(config, path)).to(device)
        if not (path / "encoder" / "config.json").is_file():
            raise UserError(f"{path}: a model of task {config.task}, which has no encoder, or has not finished")
        return cls(None, ssl.load(path / "encoder")).to(device)

    @property
    def num_layers(self) -> int:
        """The number of the last hidden state; 0 is the input of the first transformer layer."""
        return self.net.num_layers

    @torch.inference_mode()
    def encode(self, samples: np.ndarray, rate: int, layers: Sequence[int] | None = None) -> list[np.ndarray]:
        """Hidden states, each (frames, units), of a waveform (samples,) in [-1, 1) at `rate` Hz: all, or some.

        Frames are 20 ms apart in published encoders.
        """
        wanted = list(range(self.num_layers + 1)) if layers is None else list(layers)
        if wrong := [layer for layer in wanted if not 0 <= layer <= self.num_layers]:
            raise UserError(f"layer {wrong[0]}: this encoder has 0 to {self.num_layers}")
        x = torch.from_numpy(resample(samples, rate, ssl.RATE)).to(self.device)
        states, _ = self.net([x], wanted)
        return [state[0].cpu().numpy() for state in states]

    def embed(self, samples: np.ndarray, rate: int) -> np.ndarray:
        """The mean (units,) over time of the last hidden states of a waveform, as `encode` takes it."""
        return self.encode(samples, rate, [self.num_layers])[0].mean(axis=0)

    def onnx(self) -> Graph:
        def run(waveform: Tensor) -> Tensor:
            return torch.cat(self.net([waveform[0]], list(range(self.num_layers + 1)))[0])

        return Graph(run, run, [self.net], ssl.RATE, "states")

    def save(self, directory: str | Path) -> None:
        """Write a directory that `load` reads: config.json and weights in the format of transformers; of a student, an
        experiment directory.
        """
        directory = Path(directory)
        if isinstance(self.net, ssl.SslEncoder):
            write_directory(self.net.net, self.net.normalise, directory)
            return
        super().save(directory)
        write_directory(self.net.encoder.net, self.net.encoder.normalise, directory / "encoder")


def is_encoder(path: Path) -> bool:
    """Whether `load` reads it: an encoder, or an experiment directory that has one."""
    return ssl.is_ssl(path) or (path / "encoder" / "config.json").is_file()
