"""What a training is made from, without loading torch: the shell asks for that before anything else."""

from pathlib import Path
from typing import NamedTuple

from mimic import inputs
from mimic.errors import UserError
from mimic.losses.config import EnhanceLoss
from mimic.models import config as configuration
from mimic.nets.pruned_config import PrunedConfig
from mimic.settings import build
from mimic.tasks.asr_config import AsrData, ClassifyData, HybridData, JointConfig, JointData, LmData
from mimic.tasks.distill_config import DistillData, PretrainData, Teacher
from mimic.tasks.enhance_config import DenoiseData, EnhanceData, ProbeEnhanceData, SeganData
from mimic.yaml_file import flat

# Of each task's sections those with input paths. What only decoding reads is not here.
SECTIONS: dict[str, dict[str, type]] = {
    "asr": {"data": AsrData},
    "classify": {"data": ClassifyData},
    "denoise": {"data": DenoiseData, "loss": EnhanceLoss},
    "distill": {"model": PrunedConfig, "teacher": Teacher, "data": DistillData},
    "enhance": {"data": EnhanceData, "loss": EnhanceLoss},
    "hybrid": {"data": HybridData},
    "joint": {"data": JointData, "joint": JointConfig, "enhance_loss": EnhanceLoss},
    "lm": {"data": LmData},
    "metricgan": {"data": DenoiseData, "loss": EnhanceLoss},
    "pretrain_ssl": {"data": PretrainData},
    "probe_enhance": {"data": ProbeEnhanceData, "loss": EnhanceLoss},
    "segan": {"data": SeganData},
}


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


# Ways of working: no weight depends on them.
NOT_RESULTS = (
    *("train.workers", "train.checkpoint_interval", "train.max_nonfinite_batches", "train.tracker", "train.profile"),
    *("train.detect_anomaly", "data.max_skip"),
)


def training(path: Path, overrides: list[str], *, exist: bool = True) -> Training:
    """What a training with this configuration and `--section.name value` pairs is made from.

    Raises UserError for a setting of these sections that is wrong, and for an input that is not given or not there.
    """
    raw = configuration.read_raw(path, configuration.pairs(overrides))
    task = configuration.task_name(raw, str(path))
    reads = []
    for name, section in SECTIONS[task].items():
        given = raw.get(name) or {}
        if section is PrunedConfig:  # a student of another kind has other settings
            given = {"initial_encoder": given["initial_encoder"]} if "initial_encoder" in given else {}
        for field, read, paths in inputs.of_section(build(section, given, f"{path}: {name}")):
            if not paths and read.needed:
                raise UserError(f"--{name}.{field} is not given: {read.maker} makes it")
            for place in paths:
                if exist:
                    inputs.check(f"--{name}.{field}", read, place)
                reads.append(Read(f"{name}.{field}", place, read.maker))
    settings = {name: value for name, value in flat(raw).items() if name not in NOT_RESULTS}
    return Training(task, settings, reads)
