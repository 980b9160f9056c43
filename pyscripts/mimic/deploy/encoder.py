"""A self-supervised encoder, wherever it comes from: published, trained here, a student."""

from pathlib import Path

from torch import nn

from mimic.errors import UserError
from mimic.models.trained import read_config
from mimic.nets import ssl
from mimic.tasks import TASKS


def load(path: Path) -> nn.Module:
    """`encoder(waves, layers)` gives hidden states 0 to `encoder.num_layers` of waves at 16 kHz, and their lengths.

    path: as of `ssl.load`, or an experiment directory. A student's predictions are its last layers.
    """
    if ssl.is_ssl(path):
        return ssl.load(path)
    config = read_config(path)
    if config.task == "distill" and config.net == "student":
        return TASKS["distill"].build(config, path)[0].requires_grad_(False)
    if not (path / "encoder" / "config.json").is_file():
        raise UserError(f"{path}: a model of task {config.task}, which has no encoder, or has not finished")
    return ssl.load(path / "encoder")


def is_encoder(path: Path) -> bool:
    """Whether `load` reads it: an encoder, or an experiment directory that has one."""
    return ssl.is_ssl(path) or (path / "encoder" / "config.json").is_file()
