"""Things by the name that a configuration gives them, imported when they are used; packages that need not be there."""

import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mimic.errors import UserError

JUDGES = "steps/setup.sh --judges true"  # installs recognisers, and models that predict scores


class Registry(Mapping[str, Any]):
    """Names -> what `module:Name` is, or, of `module:Name,Other`, a tuple of these.

    package: a name that is not listed may be such a place in this package: `file:Name,Other`. So what is new needs no
    line in a list.
    """

    def __init__(self, places: Mapping[str, str], package: str = "") -> None:
        self._places, self._package = dict(places), package

    def __getitem__(self, name: str) -> Any:
        place = self.place(name)
        if place is None:
            raise KeyError(name)
        module, _, words = place.partition(":")
        loaded = import_module(module)
        if missing := [word for word in words.split(",") if not hasattr(loaded, word)]:
            raise UserError(f"{name}: {loaded.__file__} has no {missing[0]}")
        found = [getattr(loaded, word) for word in words.split(",")]
        return found[0] if len(found) == 1 else tuple(found)

    def __contains__(self, name: object) -> bool:  # Mapping's own would import it
        return self.place(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __or__(self, other: "Registry") -> "Registry":
        return Registry(self._places | other._places, self._package)

    def place(self, name: object) -> str | None:
        """Where it is; None of a name that is not known."""
        if name in self._places:
            return self._places[str(name)]
        if not self._package or not (of := re.fullmatch(r"(\w+):\w+(,\w+)*", str(name))):
            return None
        return f"{self._package}.{name}" if find_spec(f"{self._package}.{of[1]}") else None


def installed(module: str, fix: str = JUDGES) -> Path:
    """The folder of a package, which is not imported. UserError where it is missing, with `fix`, what installs it."""
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:  # the package that it is in
        spec = None
    if not spec or not spec.origin:
        raise UserError(f"the Python package {module} is not installed: {fix}")
    return Path(spec.origin).parent
