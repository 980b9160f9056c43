"""Which parts of a model are frozen in which epochs: the setting `train.freeze`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn

from mimic.errors import UserError
from mimic.training.config import TrainConfig
from mimic.training.task import Task

_WORD = re.compile(r"([^\s:]+)(?::(\d+)(-(\d*))?)?")


@dataclass(frozen=True)
class Frozen:
    """Modules of this name, which may be a pattern, are frozen from epoch `first` to epoch `last`."""

    name: str
    first: int
    last: float


def parse(words: list[str]) -> list[Frozen]:
    """Entries "NAME", "NAME:3", "NAME:1-4" or "NAME:5-". Raises UserError for anything else."""
    found = []
    for word in words:
        match = _WORD.fullmatch(word)
        first, last = (int(match[2] or 1), match[4]) if match else (0, None)
        end = float(last) if last else float(first) if match and match[2] and not match[3] else float("inf")
        if match is None or not 1 <= first <= end:
            raise UserError(f"--train.freeze: '{word}' is not NAME, NAME:EPOCH, NAME:FIRST-LAST or NAME:FIRST-")
        found.append(Frozen(match[1], first, end))
    return found


def modules(task: Task) -> Iterator[tuple[str, nn.Module]]:
    """What may be frozen, by name: parts of the model, and with its name before it, of any other trained module."""
    for key, module in task.trainable().items():
        for name, part in module.named_modules():
            if name or key != "model":
                yield name if key == "model" else f"{key}.{name}".rstrip("."), part


def freeze(task: Task, config: TrainConfig, epoch: int) -> None:
    """Freeze the parts that `train.freeze` names for this epoch, which has begun."""
    for part in _frozen(task, config, epoch):
        part.requires_grad_(False).eval()


def _frozen(task: Task, config: TrainConfig, epoch: int) -> list[nn.Module]:
    now = [entry.name for entry in parse(config.freeze) if entry.first <= epoch <= entry.last]
    known = modules(task) if now else ()
    return [part for name, part in known if any(fnmatchcase(name, pattern) for pattern in now)]


def check(task: Task, config: TrainConfig) -> None:
    """Raises UserError for a name that no module has, and for an epoch in which everything is frozen."""
    known = [name for name, _ in modules(task)] if config.freeze else []
    entries = parse(config.freeze)
    for entry in entries:
        if not any(fnmatchcase(name, entry.name) for name in known):
            top = ", ".join(name for name in known if "." not in name)
            raise UserError(
                f"--train.freeze: no part of the model is called '{entry.name}': it has {top} and their parts"
            )
    for epoch in sorted({entry.first for entry in entries if entry.first <= config.epochs}):
        parts = task.frozen(epoch) + _frozen(task, config, epoch)
        frozen = {id(p) for part in parts for p in part.parameters()}
        for key, module in task.trainable().items():
            if frozen >= {id(p) for p in module.parameters()}:
                raise UserError(f"--train.freeze: all of the {key} is frozen in epoch {epoch}")
