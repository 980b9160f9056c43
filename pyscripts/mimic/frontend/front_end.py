"""What turns a waveform into features: the interface of all front ends, and the one that an option file names.

The feature configuration is such a file: beside features, and copied beside the models trained on them.

Inference imports this and the one front end that its model was trained on; making archives of features is
mimic.corpus.features.
"""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from torch import Tensor, nn

from mimic.errors import UserError
from mimic.io import atomic
from mimic.io.lines import read_lines
from mimic.registry import Registry

# Each is a FrontEnd and the dataclass of its options, imported when it is used.
FRONT_ENDS = Registry(
    {
        "fbank": "mimic.frontend.fbank:Fbank,FbankConfig",
        "logmel": "mimic.frontend.logmel:LogMel,LogMelConfig",
        "mfcc": "mimic.frontend.mfcc:Mfcc,MfccConfig",
        "ssl": "mimic.models.ssl_features:SslFeatures,SslConfig",
        "stft": "mimic.frontend.stft:Stft,StftConfig",
    }
)
FEATURE_CONFIG = "features.conf"  # in the directory of a model
UNNAMED = ("fbank", "stft", "mfcc")  # their option files need no line --type=NAME
Lengths = TypeVar("Lengths", int, Tensor)  # of one signal, or of a batch


class FrontEnd(nn.Module):
    """Features of waveforms. Call it: float samples in [-1, 1), (samples,) -> (frames, dim).

    Attributes:
        rate: Hz of the waveforms.
        frame_shift_s: seconds from frame to frame.
        dim: size of a feature vector.
    """

    rate: int
    frame_shift_s: float
    dim: int

    def num_frames(self, samples: Lengths) -> Lengths:
        """Number of frames of `samples` samples: an int or a tensor of lengths; 0 for what is too short."""
        raise NotImplementedError

    def forward(self, waveform: Tensor) -> Tensor:
        raise NotImplementedError

    def onnx(self) -> nn.Module:
        """The same of one signal, (1, samples) -> (1, frames, dim), in operators that ONNX has."""
        raise UserError(f"{type(self).__name__} features cannot be exported yet")


def blocks(frames: int, x: Tensor) -> Iterator[tuple[int, int]]:
    """(first, one past the last) of the frames of a batch `x`, some at a time: the spectrum of an hour fits nowhere.

    About 512 frames stay in the cache of a processor; a GPU wants many.
    """
    step = max(1, (512 if x.device.type == "cpu" else 1 << 17) // len(x))
    for first in range(0, frames, step):
        yield first, min(frames, first + step)


def make_front_end(name: str, options: Path) -> FrontEnd:
    """The front end `name` of FRONT_ENDS with the options of a file in Kaldi's format."""
    features, config = FRONT_ENDS[name]
    return features(config.read(options))


def front_end(options: Path) -> FrontEnd:
    """The front end that a model was trained on, from the option file in its directory: see `feature_type`."""
    return make_front_end(feature_type(options), options)


def feature_type(options: Path) -> str:
    """The front end that an option file is of.

    A line `--type=NAME` says which one it is. Without it, it is the one of UNNAMED whose options these all are, and
    fbank where there is none: its reader says what is wrong. UserError for an unknown one.
    """
    lines = (line.partition("#")[0].strip() for _, line in read_lines(options, "option file"))
    named = [line.removeprefix("--type=") for line in lines if line.startswith("--type=")]
    if not named:
        return next((name for name in UNNAMED if _has_options(options, name)), "fbank")
    if named[-1] not in FRONT_ENDS:
        raise UserError(f"{options}: --type={named[-1]}: features are of type {', '.join(FRONT_ENDS)}")
    return named[-1]


class Difference(NamedTuple):
    """An option that two files give different values."""

    option: str
    there: Any
    here: Any


def option_difference(there: Path, here: Path) -> Difference | None:
    """The first option with different values in two files in Kaldi's format; what is not given has its default."""
    a, b = _values(there), _values(here)
    return next((Difference(key, a.get(key), b.get(key)) for key in [*a, *b] if a.get(key) != b.get(key)), None)


def copy_options(features: Path, directory: Path, name: str = FEATURE_CONFIG) -> None:
    """Keep the options of the training features beside the model: inference reads nothing but its directory."""
    made = _option_file(features)
    if not made:
        found = "several option files, or no option file in its conf"
        raise UserError(f"{features}: {found}: steps/make_feats.sh makes a feature directory")
    with atomic.replace(directory / name, "wb") as f:
        f.write(made.read_bytes())


def check_features(model: Path, features: Path) -> None:
    """UserError where both say how features are made, and it is not the same."""
    trained, made = model / FEATURE_CONFIG, _option_file(features)
    if made and trained.exists() and (found := option_difference(trained, made)):
        what = f"feature option --{found.option} is {found.here}, and {found.there} in {trained}"
        raise UserError(f"{features}: {what}: make the features with that file")


def _has_options(path: Path, name: str) -> bool:
    """Whether all options of a file are of this front end."""
    try:
        FRONT_ENDS[name][1].read(path)
    except UserError:
        return False
    return True


def _values(path: Path) -> dict[str, Any]:
    """All options of a file, defaults and the type included."""
    name = feature_type(path)
    values = asdict(FRONT_ENDS[name][1].read(path))
    return {"type": name} | {option.replace("_", "-"): value for option, value in values.items()}


def _option_file(directory: Path) -> Path | None:
    """The option file of a feature directory; None where something else has made it."""
    files = sorted((directory / "conf").glob("*.conf"))
    return files[0] if len(files) == 1 else None
