"""The feature configuration: the option file beside features and beside the models trained on them; comparing two."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from mimic.errors import UserError
from mimic.frontend.front_end import FRONT_ENDS, kind_of

OPTIONS = "features.conf"  # in the directory of a model


class Difference(NamedTuple):
    """An option that two files give different values."""

    option: str
    there: Any
    here: Any


def difference(there: Path, here: Path) -> Difference | None:
    """The first option with different values in two files in Kaldi's format; what is not given has its default."""
    a, b = _values(there), _values(here)
    return next((Difference(key, a.get(key), b.get(key)) for key in [*a, *b] if a.get(key) != b.get(key)), None)


def of_features(directory: Path) -> Path | None:
    """The option file of a feature directory; None where something else has made it."""
    files = sorted((directory / "conf").glob("*.conf"))
    return files[0] if len(files) == 1 else None


def check_features(model: Path, features: Path) -> None:
    """UserError where both say how features are made, and it is not the same."""
    trained, made = model / OPTIONS, of_features(features)
    if made and trained.exists() and (found := difference(trained, made)):
        what = f"feature option --{found.option} is {found.here}, and {found.there} in {trained}"
        raise UserError(f"{features}: {what}: make the features with that file")


def _values(path: Path) -> dict[str, Any]:
    kind = kind_of(path)
    values = asdict(FRONT_ENDS[kind][1].read(path))
    return {"type": kind} | {name.replace("_", "-"): value for name, value in values.items()}
