"""Configuration of a training run: typed sections with documented defaults and ranges, YAML over them, command line
over it.

A configuration names a `task` and a `net` and has one section per dataclass of the two, plus `train`. It may start
from another one (`base: file.yaml`) and change some of its values. The same file with every value written out,
exp/*/config.yaml, rebuilds the model for inference (mimic.models.config).
"""

from collections.abc import Iterable
from pathlib import Path

from mimic.errors import UserError
from mimic.models.config import Config, pairs, read_raw, task_name, write
from mimic.nets import NETS
from mimic.settings import build, check_keys, nearest
from mimic.tasks import TASKS
from mimic.training.config import TrainConfig

__all__ = ["Config", "read", "read_raw", "write"]


def read(path: str | Path, overrides: Iterable[str] = ()) -> Config:
    """Read a YAML file and `--section.key value` overrides.

    Raises UserError for a missing file, an unknown key, naming the nearest known one, a value of the wrong type or
    outside its range, and for values that do not fit each other.
    """
    raw = read_raw(path, pairs(overrides))
    name, net = task_name(raw, str(path)), str(raw.get("net"))
    if net not in NETS[name]:
        raise UserError(f"{path}: net: {nearest(net, list(NETS[name]))}")
    classes = {"model": NETS[name][net][1], **TASKS[name].SECTIONS, "train": TrainConfig}
    check_keys(raw, ["task", "net", *classes], f"{path}: ")
    sections = {key: build(section, raw.get(key) or {}, f"{path}: {key}") for key, section in classes.items()}
    return Config(name, net, sections)
