"""Things by the name that a configuration gives them, imported when they are used."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any


class Registry(Mapping[str, Any]):
    """Names -> what `module:Name` is, or, of `module:Name,Other`, a tuple of these."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = dict(places)

    def __getitem__(self, name: str) -> Any:
        module, _, words = self._places[name].partition(":")
        found = [getattr(import_module(module), word) for word in words.split(",")]
        return found[0] if len(found) == 1 else tuple(found)

    def __contains__(self, name: object) -> bool:  # Mapping's own would import it
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __or__(self, other: "Registry") -> "Registry":
        return Registry(self._places | other._places)
