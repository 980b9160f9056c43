"""Configuration of a training run: typed sections with documented defaults, YAML over them, command line over it.

A configuration names a `task` and a `net` and has one section per dataclass of the two, plus `train`. It may start
from another one (`base: file.yaml`) and change some of its values. The same file with every value written out,
exp/*/config.yaml, rebuilds the model for inference.
"""

import difflib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from mimic.atomic import replace
from mimic.errors import UserError


@dataclass
class TrainConfig:
    """The training loop.

    Attributes:
        seed: of initial weights, batch order, dropout and augmentation.
        epochs: passes over the training set.
        batch_utterances: most utterances in a batch, that is for one optimiser step. Several processes share a batch.
        batch_frames: most frames in a batch, padding included; 0 means no limit.
        accumulate: pieces into which each process cuts its share of a batch, to hold one of them in memory at a time.
        sorting: order of batches by length: ascending and descending keep it every epoch, random shuffles batches of
            utterances of similar length, curriculum is ascending in the first epoch and random then.
        shard_utterances: a random epoch of a training set that is larger than shard_buffer shards takes its utterances
            shard by shard: stretches of so many that follow each other in the archives, which are read in their order;
            0 takes them from everywhere.
        shard_buffer: shards in random order from which batches are mixed at a time. Memory of the system's file cache
            should hold three times as many.
        optimiser: adam, adamw or rmsprop.
        lr: highest learning rate.
        weight_decay: of adamw, on matrices only.
        rms_decay: of rmsprop, the share of its mean square that a step keeps.
        schedule: constant; step (times lr_factor every lr_every epochs); cosine (to zero at the last step); plateau
            (times lr_factor after each validation whose figure `select` is not better than the one before by at least
            the share lr_threshold).
        lr_every: epochs between two reductions of the step schedule.
        lr_factor: factor of a reduction.
        lr_threshold: of the plateau schedule.
        warmup: optimiser steps over which the rate rises from zero, whatever the schedule.
        clip: largest norm of the gradient; 0 means no limit.
        precision: of matrix products; mixed keeps weights and what is sensitive to rounding in 32 bits.
        compile: true compiles the networks with torch.compile, which takes minutes and needs a C++ compiler on a CPU.
        select: the validation figure that ranks epochs.
        average: epochs whose weights are averaged into the final model.
        average_of: average the best epochs by `select`, or the last ones.
        validate_every: epochs between validations; the last epoch is always validated.
        workers: threads that read, and where the task does that, augment batches ahead.
        save_minutes: minutes between checkpoints inside an epoch; one is always saved at an epoch's end.
        nonfinite_limit: consecutive batches with a NaN or infinite loss or gradient that stop the run.
    """

    seed: int = 1
    epochs: int = 20
    batch_utterances: int = 8
    batch_frames: int = 0
    accumulate: int = 1
    sorting: Literal["random", "ascending", "descending", "curriculum"] = "random"
    shard_utterances: int = 256
    shard_buffer: int = 8
    optimiser: Literal["adam", "adamw", "rmsprop"] = "adam"
    lr: float = 1e-4
    weight_decay: float = 0.0
    rms_decay: float = 0.99
    schedule: Literal["constant", "step", "cosine", "plateau"] = "constant"
    lr_every: int = 3
    lr_factor: float = 0.5
    lr_threshold: float = 0.001
    warmup: int = 0
    clip: float = 5.0
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    compile: bool = False
    select: str = "loss"
    average: int = 1
    average_of: Literal["best", "last"] = "best"
    validate_every: int = 1
    workers: int = 1
    save_minutes: float = 10.0
    nonfinite_limit: int = 3


@dataclass
class Config:
    """A resolved configuration: the names, and an instance of every section's dataclass."""

    task: str
    net: str
    sections: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["sections"][name]
        except KeyError:
            raise AttributeError(name) from None


def read(path: str | Path, overrides: list[str] | None = None) -> Config:
    """Read a YAML file and `--section.key value` overrides.

    Raises UserError for a missing file, a value of the wrong type, and an unknown key, naming the nearest known one.
    """
    raw = _load(Path(path))
    for key, value in _pairs(overrides or []):
        _set(raw, key, value)
    return _build(raw, str(path))


def write(config: Config, path: str | Path) -> None:
    """Write every value, defaults included."""
    values = {"task": config.task, "net": config.net}
    values |= {name: vars(section) for name, section in config.sections.items()}
    with replace(path) as f:
        yaml.safe_dump(values, f, sort_keys=False)


def _load(path: Path) -> dict:
    """The YAML file, over the file that its `base` names (beside it), if it names one."""
    try:
        with open(path, encoding="utf-8") as f:
            raw = yaml.safe_load(f) or {}
    except FileNotFoundError:
        raise UserError(f"{path}: no such configuration") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise UserError(f"{path}: expected `key: value` lines")
    base = raw.pop("base", None)
    return _merge(_load(path.parent / base), raw) if base else raw


def _merge(base: dict, over: dict) -> dict:
    both = {k: _merge(base[k], v) for k, v in over.items() if isinstance(v, dict) and isinstance(base.get(k), dict)}
    return base | over | both


def _pairs(arguments: list[str]) -> list[tuple[str, str]]:
    if len(arguments) % 2 or any(not name.startswith("--") for name in arguments[::2]):
        raise UserError(f"expected `--section.key value` pairs, got: {' '.join(arguments)}")
    return [(name[2:].replace("-", "_"), value) for name, value in zip(arguments[::2], arguments[1::2], strict=True)]


def _set(raw: dict, key: str, value: str) -> None:
    *sections, last = key.split(".")
    for section in sections:
        raw = raw.setdefault(section, {})
        if not isinstance(raw, dict):
            raise UserError(f"--{key}: {section} has no keys of its own")
    raw[last] = yaml.safe_load(value)


def _build(raw: dict, where: str) -> Config:
    # Imported here: the tasks import this module for their type annotations.
    from mimic.tasks import TASKS

    names = {}
    for kind in ("task", "net"):
        known = TASKS if kind == "task" else TASKS[names["task"]].NETS
        if raw.get(kind) not in known:
            raise UserError(f"{where}: {kind}: {_nearest(str(raw.get(kind)), list(known))}")
        names[kind] = raw[kind]
    task = TASKS[names["task"]]
    classes = {"model": task.NETS[names["net"]][1], **task.SECTIONS, "train": TrainConfig}
    parser = ArgumentParser(exit_on_error=False)
    sections = {}
    for name, section in classes.items():
        given = raw.get(name) or {}
        _check_keys(given, [f.name for f in fields(section)], f"{where}: {name}: ")
        parser.add_argument(f"--{name}", type=section, default=section())
        sections[name] = given
    _check_keys(raw, ["task", "net", *classes], f"{where}: ")
    try:
        built = parser.instantiate(parser.parse_object(sections))
    except ArgumentError as error:
        raise UserError(f"{where}: {' '.join(str(error).replace('Parser key', '').split())}") from None
    return Config(names["task"], names["net"], {name: getattr(built, name) for name in classes})


def _check_keys(given: dict, known: list[str], prefix: str) -> None:
    if not isinstance(given, dict):
        raise UserError(f"{prefix}expected a section of `key: value` lines")
    for key in given:
        if key not in known:
            raise UserError(f"{prefix}{_nearest(str(key), known)}")


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, 1, 0.5)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
    return f"unknown name {word!r}: {hint}"
