"""Configurations as YAML, and what inference reads of one: the names of task and network, sizes, and a few settings.

A configuration names a `task` and a `net` and has sections of settings. A trained directory's config.yaml has every
value written out, of training, too (mimic.tasks.config reads all of it); a model needs the sections below. A
section of `PARTS` is read in part: its other settings are of training alone. Nothing here loads torch.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml

from mimic import renamed, yaml_file
from mimic.errors import UserError
from mimic.inputs import similar
from mimic.io.atomic import replace
from mimic.nets import NETS
from mimic.registry import Registry
from mimic.settings import Count, CountOrZero, NotNegative, Range, build, check_keys, hints, nearest


@dataclass
class TokenData:
    """What a model of text needs to know of its data.

    Attributes:
        token_type: phn reads text.phn; char, unigram and bpe (of sentencepiece) read text.
    """

    token_type: Literal["phn", "char", "unigram", "bpe"] = "unigram"


@dataclass
class RecogniserData(TokenData):
    """The same of a recogniser.

    Attributes:
        normalise: global normalises features with mean and deviation of the training set, utterance with each
            utterance's own mean and the deviation of the training set; none takes them as they are.
    """

    normalise: Literal["global", "utterance", "none"] = "global"


@dataclass
class RecogniserLoss:
    """Which parts a recogniser has.

    Attributes:
        attention_weight: of the decoder's loss; 0: the recogniser has no decoder, its CTC output alone is searched.
    """

    attention_weight: NotNegative = 0.7


@dataclass
class AcousticData:
    """What an acoustic model's features are.

    Attributes:
        norm_vars: divide by each speaker's standard deviation, not only subtract the mean.
    """

    norm_vars: bool = True


@dataclass
class AcousticLoss:
    """What log-priors are made of.

    Attributes:
        prior_floor: smallest prior of a pdf in decoding, as a share of the training frames.
    """

    prior_floor: Annotated[float, Range(above=0, most=1)] = 1e-5


@dataclass
class MmiOutputs:
    """The output layers of a network that LF-MMI trains.

    Attributes:
        hidden: units of the dense layer before each of them.
        bottleneck: width between that and the outputs.
    """

    hidden: Count = 768
    bottleneck: Count = 192


@dataclass
class StudentTeacher:
    """What a student predicts.

    Attributes:
        layers: hidden states of the teacher that are distilled; 0 is the input of the first transformer layer.
    """

    layers: list[CountOrZero] = field(default_factory=lambda: [4, 8, 12])


@dataclass
class StudentLoss:
    """Which parts a student has.

    Attributes:
        enhance_weight: of the enhancement head's loss; 0: there is no head. Published: 2.
    """

    enhance_weight: NotNegative = 0.0


_MASK = Registry({"mask": "mimic.nets.enhancers:MaskConfig"})
SECTIONS: dict[str, Registry] = {
    "asr": Registry(
        {
            "decoder": "mimic.nets.attention_decoder:DecoderConfig",
            "data": "mimic.models.config:RecogniserData",
            "loss": "mimic.models.config:RecogniserLoss",
            "decode": "mimic.decoding.config:DecodeConfig",
        }
    ),
    "classify": Registry({}),
    "denoise": _MASK,
    "distill": Registry({"teacher": "mimic.models.config:StudentTeacher", "loss": "mimic.models.config:StudentLoss"}),
    "enhance": _MASK,
    "hybrid": Registry({"data": "mimic.models.config:AcousticData", "loss": "mimic.models.config:AcousticLoss"}),
    "lfmmi": Registry({"data": "mimic.models.config:AcousticData", "loss": "mimic.models.config:MmiOutputs"}),
    "lm": Registry({"data": "mimic.models.config:TokenData"}),
    "metricgan": _MASK,
    "pretrain_ssl": Registry({}),
    "probe_enhance": _MASK,
    "segan": Registry({}),
}
SECTIONS["joint"] = SECTIONS["asr"]
PARTS = ("data", "loss", "teacher")


@dataclass
class Config:
    """A resolved configuration: the names, and an instance of every section's dataclass, which is its attribute.

    others: sections, and settings of sections, that are kept as they were read: of a trained directory, those of
        training.
    """

    task: str
    net: str
    sections: dict[str, Any]
    others: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["sections"][name]
        except KeyError:
            raise AttributeError(name) from None

    def values(self) -> dict[str, Any]:
        """All values as YAML has them."""
        found: dict[str, Any] = {"task": self.task, "net": self.net} | self.others
        return found | {name: found.get(name, {}) | vars(section) for name, section in self.sections.items()}


def read_config(directory: Path, overrides: Iterable[str] = ()) -> Config:
    """What inference reads of a trained directory's config.yaml, with `--section.name value` overrides.

    Raises UserError for a directory that is not there, with what has a similar name, for one of something else, for
    a setting that is wrong, and for an override of what inference does not read.
    """
    if not directory.is_dir():
        raise UserError(f"{directory}: no such model directory{similar(directory)}: steps/train.sh makes one")
    path = directory / "config.yaml"
    if not path.exists():
        raise UserError(f"{directory}: holds no config.yaml, so it is not a model of steps/train.sh")
    given = pairs(overrides)
    raw = read_raw(path, given)
    task, net = task_name(raw, str(path)), str(raw.get("net"))
    if net not in NETS[task]:
        raise UserError(f"{path}: net: {nearest(net, list(NETS[task]))}")
    classes = {"model": NETS[task][net][1], **SECTIONS[task]}
    for name, _ in renamed.rename_pairs(given):
        section, _, key = name.partition(".")
        check_keys({section: None}, list(classes), f"{path}: ")
        check_keys({key: None}, list(hints(classes[section])), f"{path}: {section}: ")
    sections = {}
    for name, section in classes.items():
        values = raw.get(name) or {}
        if name in PARTS and isinstance(values, dict):
            values = {key: value for key, value in values.items() if key in hints(section)}
        sections[name] = build(section, values, f"{path}: {name}")
    return Config(task, net, sections, {key: value for key, value in raw.items() if key not in ("task", "net")})


def read_raw(path: str | Path, overrides: Iterable[tuple[str, str]] = ()) -> dict[str, Any]:
    """What files and overrides (see `pairs`) say, not checked. Former names of settings are replaced, with a note."""
    raw, _ = yaml_file.read(Path(path))
    for key, value in renamed.rename_pairs(list(overrides)):
        *sections, last = key.split(".")
        values = raw
        for section in sections:
            if values.get(section) is None:  # a section without a line
                values[section] = {}
            values = values[section]
            if not isinstance(values, dict):
                raise UserError(f"--{key}: {section} has no keys of its own")
        values[last] = value
    return raw


def pairs(arguments: Iterable[str]) -> list[tuple[str, str]]:
    """The words of a command line `--section.name value ...` as (section.name, value)."""
    words = list(arguments)
    if len(words) % 2 or any(not name.startswith("--") for name in words[::2]):
        raise UserError(f"expected `--section.key value` pairs, got: {' '.join(words)}")
    return [(name[2:].replace("-", "_"), value) for name, value in zip(words[::2], words[1::2], strict=True)]


def task_name(raw: dict[str, Any], where: str) -> str:
    """The task of `read_raw`'s values. Raises UserError for one that is not known."""
    name = str(raw.get("task"))
    if name not in NETS:
        raise UserError(f"{where}: task: {nearest(name, list(NETS))}")
    return name


def write(config: Config, path: str | Path) -> None:
    """Write every value, defaults included."""
    with replace(path) as f:
        yaml.safe_dump(config.values(), f, sort_keys=False)
