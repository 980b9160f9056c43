"""Configuration of a training run: typed sections with documented defaults and ranges, YAML over them, command line
over it.

A configuration names a `task` and a `net` and has one section per dataclass of the two, plus `train`. It may start
from another one (`base: file.yaml`) and change some of its values. The same file with every value written out,
exp/*/config.yaml, rebuilds the model for inference.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml

from mimic import renamed, yaml_file
from mimic.errors import UserError
from mimic.io.atomic import replace
from mimic.settings import Count, CountOrZero, NotNegative, Positive, Range, Share, build, check_keys, nearest
from mimic.tasks import TASKS


@dataclass
class TrainConfig:
    """The training loop.

    Attributes:
        seed: of initial weights, batch order, dropout and augmentation.
        epochs: passes over the training set.
        batch_size: most utterances in a batch, that is for one optimiser step. Several processes share a batch.
        max_frames: most frames in a batch, padding included; 0 means no limit.
        accum_grad: pieces into which each process cuts its share of a batch, to hold one of them in memory at a time.
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
        beta2: of adam and adamw: how slowly their mean of squared gradients follows.
        epsilon: of adam and adamw, under the division by its root.
        schedule: constant; step (times lr_factor every lr_every epochs); cosine, linear (to zero at the last step);
            plateau (times lr_factor after each validation whose `best_metric` is not better than the one before by at
            least the share lr_threshold).
        lr_every: epochs between two reductions of the step schedule.
        lr_factor: factor of a reduction.
        lr_threshold: of the plateau schedule.
        warmup: optimiser steps over which the rate rises from zero, whatever the schedule.
        max_grad_norm: largest norm of the gradient; 0 means no limit.
        precision: of matrix products; mixed keeps weights and what is sensitive to rounding in 32 bits.
        compile: true compiles the networks with torch.compile, which takes minutes and needs a C++ compiler on a CPU.
        best_metric: the validation figure that ranks epochs.
        num_avg_ckpts: epochs whose weights are averaged into the final model.
        avg_policy: average the best epochs by `best_metric`, or the last ones.
        validate_every: epochs between validations; the last epoch is always validated.
        workers: threads that read, and where the task does that, augment batches ahead; 0: none is ahead.
        checkpoint_interval: minutes between checkpoints inside an epoch; one is always saved at an epoch's end.
        max_nonfinite_batches: consecutive batches with a NaN or infinite loss or gradient that stop the run.
    """

    seed: Annotated[int, Range(0, 2**32 - 1)] = 1
    epochs: Count = 20
    batch_size: Count = 8
    max_frames: CountOrZero = 0
    accum_grad: Count = 1
    sorting: Literal["random", "ascending", "descending", "curriculum"] = "random"
    shard_utterances: CountOrZero = 256
    shard_buffer: Count = 8
    optimiser: Literal["adam", "adamw", "rmsprop"] = "adam"
    lr: Positive = 1e-4
    weight_decay: NotNegative = 0.0
    rms_decay: Annotated[float, Range(least=0, below=1)] = 0.99
    beta2: Annotated[float, Range(least=0, below=1)] = 0.999
    epsilon: Positive = 1e-8
    schedule: Literal["constant", "step", "cosine", "linear", "plateau"] = "constant"
    lr_every: Count = 3
    lr_factor: Annotated[float, Range(above=0, most=1)] = 0.5
    lr_threshold: Share = 0.001
    warmup: CountOrZero = 0
    max_grad_norm: NotNegative = 5.0
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    compile: bool = False
    best_metric: str = "loss"
    num_avg_ckpts: Count = 1
    avg_policy: Literal["best", "last"] = "best"
    validate_every: Count = 1
    workers: Annotated[int, Range(0, 256)] = 1
    checkpoint_interval: NotNegative = 10.0
    max_nonfinite_batches: Count = 3


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

    Raises UserError for a missing file, an unknown key, naming the nearest known one, a value of the wrong type or
    outside its range, and for values that do not fit each other.
    """
    raw = read_raw(path, overrides)
    name, net = task_name(raw, str(path)), str(raw.get("net"))
    task = TASKS[name]
    if net not in task.NETS:
        raise UserError(f"{path}: net: {nearest(net, list(task.NETS))}")
    classes = {"model": task.NETS[net][1], **task.SECTIONS, "train": TrainConfig}
    check_keys(raw, ["task", "net", *classes], f"{path}: ")
    sections = {key: build(section, raw.get(key) or {}, f"{path}: {key}") for key, section in classes.items()}
    return Config(name, net, sections)


def read_raw(path: str | Path, overrides: list[str] | None = None) -> dict:
    """What files and command line say, not checked yet. Former names of settings are replaced, with a note of each.

    A config.yaml was written by `write`, maybe of an earlier release: its former names get no note.
    """
    raw, _ = yaml_file.read(
        Path(path), lambda raw, file: renamed.rename(raw, "" if file.name == "config.yaml" else str(file))
    )
    for key, value in renamed.rename_pairs(_pairs(overrides or [])):
        _set(raw, key, value)
    return raw


def write(config: Config, path: str | Path) -> None:
    """Write every value, defaults included."""
    values = {"task": config.task, "net": config.net}
    values |= {name: vars(section) for name, section in config.sections.items()}
    with replace(path) as f:
        yaml.safe_dump(values, f, sort_keys=False)


def task_name(raw: dict, where: str) -> str:
    """The task of `read_raw`'s values. Raises UserError for one that is not known."""
    name = str(raw.get("task"))
    if name not in TASKS:
        raise UserError(f"{where}: task: {nearest(name, list(TASKS))}")
    return name


def _pairs(arguments: list[str]) -> list[tuple[str, str]]:
    if len(arguments) % 2 or any(not name.startswith("--") for name in arguments[::2]):
        raise UserError(f"expected `--section.key value` pairs, got: {' '.join(arguments)}")
    return [(name[2:].replace("-", "_"), value) for name, value in zip(arguments[::2], arguments[1::2], strict=True)]


def _set(raw: dict, key: str, value: str) -> None:
    *sections, last = key.split(".")
    for section in sections:
        if raw.get(section) is None:  # a section without a line
            raw[section] = {}
        raw = raw[section]
        if not isinstance(raw, dict):
            raise UserError(f"--{key}: {section} has no keys of its own")
    raw[last] = value
