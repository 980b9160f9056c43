"""Configuration of a training run: typed sections with documented defaults and ranges, YAML over them, command line
over it; and what a training is made from, which the shell asks for before anything else, without loading torch.

A configuration names a `task` and a `net` and has one section per dataclass of the two, plus `train`. It may start
from another one (`base: file.yaml`) and change some of its values. The same file with every value written out,
exp/*/config.yaml, rebuilds the model for inference (mimic.models.config).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from mimic import inputs
from mimic.errors import UserError
from mimic.losses.config import EnhanceLoss
from mimic.models.config import Config, pairs, read_raw, task_name, write
from mimic.nets import NETS
from mimic.nets.pruned_config import PrunedConfig
from mimic.settings import build, check_keys, nearest
from mimic.tasks import TASKS
from mimic.tasks.asr_config import (
    AsrData,
    AsrLoss,
    ClassifyData,
    ClassifyLoss,
    HybridData,
    HybridLoss,
    JointConfig,
    JointData,
    LfmmiData,
    LfmmiLoss,
    LmData,
)
from mimic.tasks.distill_config import DistillData, DistillLoss, PretrainData, PretrainLoss, Teacher
from mimic.tasks.enhance_config import DenoiseData, EnhanceData, ProbeEnhanceData, SeganData, SeganLoss
from mimic.training.config import TrainConfig
from mimic.yaml_file import flat

__all__ = ["Config", "Training", "read", "read_raw", "training", "write"]

# Of each task's sections, beside `train`, those that load no torch, among them all with input paths of a training. The
# path settings of `decode` are not read by a training.
LIGHT_SECTIONS: dict[str, dict[str, type]] = {
    "asr": {"data": AsrData, "loss": AsrLoss},
    "classify": {"data": ClassifyData, "loss": ClassifyLoss},
    "denoise": {"data": DenoiseData, "loss": EnhanceLoss},
    "distill": {"model": PrunedConfig, "teacher": Teacher, "data": DistillData, "loss": DistillLoss},
    "enhance": {"data": EnhanceData, "loss": EnhanceLoss},
    "hybrid": {"data": HybridData, "loss": HybridLoss},
    "joint": {"data": JointData, "loss": AsrLoss, "joint": JointConfig, "enhance_loss": EnhanceLoss},
    "lfmmi": {"data": LfmmiData, "loss": LfmmiLoss},
    "lm": {"data": LmData},
    "metricgan": {"data": DenoiseData, "loss": EnhanceLoss},
    "pretrain_ssl": {"data": PretrainData, "loss": PretrainLoss},
    "probe_enhance": {"data": ProbeEnhanceData, "loss": EnhanceLoss},
    "segan": {"data": SeganData, "loss": SeganLoss},
}
# Ways of working: no weight depends on them.
NOT_RESULTS = (
    *("train.workers", "train.checkpoint_interval", "train.max_nonfinite_batches", "train.tracker", "train.profile"),
    *("train.detect_anomaly", "train.samples", "train.samples_every", "train.histograms_every", "train.keep_ckpts"),
    "data.max_skip",
)


class Read(NamedTuple):
    """The setting "section.name", its path, and what makes it."""

    setting: str
    path: str
    maker: str


class Training(NamedTuple):
    """The task, each setting that is given ("section.name": its value as text), and what is read."""

    task: str
    settings: dict[str, str]
    reads: list[Read]


def read(path: str | Path, overrides: Iterable[str] = ()) -> Config:
    """Read a YAML file and `--section.key value` overrides.

    Raises UserError for a missing file, an unknown key, naming the nearest known one, a value of the wrong type or
    outside its range, and for values that do not fit each other.
    """
    raw = read_raw(path, pairs(overrides))
    name = task_name(raw, str(path))
    net = net_name(raw, name, str(path))
    classes = {"model": NETS[name][net][1], **TASKS[name].SECTIONS, "train": TrainConfig}
    check_keys(raw, ["task", "net", *classes], f"{path}: ")
    sections = {key: build(section, raw.get(key) or {}, f"{path}: {key}") for key, section in classes.items()}
    return Config(name, net, sections)


def net_name(raw: dict, task: str, where: str) -> str:
    """The network of `read_raw`'s values. Raises UserError for one that the task does not train."""
    net = str(raw.get("net"))
    if net not in NETS[task]:
        raise UserError(f"{where}: net: {nearest(net, list(NETS[task]))}")
    return net


def training(path: Path, overrides: list[str], *, exist: bool = True) -> Training:
    """What a training with this configuration and `--section.name value` pairs is made from.

    Raises UserError for a setting of these sections that is wrong, and for an input that is not given or not there.
    """
    raw = read_raw(path, pairs(overrides))
    task = task_name(raw, str(path))
    built: dict[str, Any] = {}
    for name, section in {**LIGHT_SECTIONS[task], "train": TrainConfig}.items():
        given = raw.get(name) or {}
        if section is PrunedConfig:  # a student of another kind has other settings
            given = {"initial_encoder": given["initial_encoder"]} if "initial_encoder" in given else {}
        built[name] = build(section, given, f"{path}: {name}")
    reads = []
    for name, section in built.items():
        for field, read, paths in inputs.of_section(section):
            if not paths and read.needed:
                raise UserError(f"--{name}.{field} is not given: {read.maker} makes it")
            for place in paths:
                if exist:
                    inputs.check(f"--{name}.{field}", read, place)
                reads.append(Read(f"{name}.{field}", place, read.maker))
    settings = {name: value for name, value in flat(raw).items() if name not in NOT_RESULTS}
    return Training(task, settings, reads)
