"""Options of features, kept beside them and beside the models that were trained on them, to be compared."""

from pathlib import Path
from typing import NamedTuple

from mimic.errors import UserError

OPTIONS = "features.conf"  # in the directory of a model


class Difference(NamedTuple):
    """An option that two files give different values."""

    option: str
    there: str
    here: str


def difference(there: Path, here: Path) -> Difference | None:
    """The first option with different values in two files in Kaldi's format."""
    a, b = _read(there), _read(here)
    for key in sorted(a.keys() | b.keys()):
        if a.get(key) != b.get(key):
            return Difference(key, a.get(key, "its default"), b.get(key, "its default"))
    return None


def of_features(directory: Path) -> Path | None:
    """The option file of a feature directory; None where something else has made it."""
    files = sorted((directory / "conf").glob("*.conf"))
    return files[0] if len(files) == 1 else None


def check_features(model: Path, features: Path) -> None:
    """UserError where both say how features are made, and it is not the same."""
    trained, made = model / OPTIONS, of_features(features)
    if made and trained.exists() and (found := difference(trained, made)):
        what = f"feature option {found.option} is {found.here}, and {found.there} in {trained}"
        raise UserError(f"{features}: {what}: make the features with that file")


def _read(path: Path) -> dict[str, str]:
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return {name: value for name, _, value in (line.partition("=") for line in lines if line)}
