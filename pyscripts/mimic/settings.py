"""Settings: what stands beside the fields of a dataclass about their values, and reading values by it.

    lr: Annotated[float, Range(above=0)] = 1e-4

A setting that gets another name is one line in renamed.py.

A value is read by the type of its field, never by a guess of YAML: a directory may be called 2024 or no, and 010 is
ten. Every number has a Range; NaN and infinity are in none.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from mimic.errors import UserError

T = TypeVar("T")
SWITCHES = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Range:
    """Finite numbers from `least` to `most`, both included, and above `above` or below `below`. None: no such bound."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def __contains__(self, value: float) -> bool:
        return (
            math.isfinite(value)
            and (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        if self.least is not None and self.most is not None:
            return f"from {self.least} to {self.most}"
        bounds = {"at least": self.least, "above": self.above, "at most": self.most, "below": self.below}
        return " and ".join(f"{word} {value}" for word, value in bounds.items() if value is not None) or "finite"


Finite = Annotated[float, Range()]
Positive = Annotated[float, Range(above=0)]
NotNegative = Annotated[float, Range(least=0)]
Share = Annotated[float, Range(0, 1)]  # both ends included
BelowOne = Annotated[float, Range(least=0, below=1)]
Count = Annotated[int, Range(1, LARGEST)]
CountOrZero = Annotated[int, Range(0, LARGEST)]
Seed = Annotated[int, Range(0, 2**32 - 1)]


def build(section: type[T], given: Mapping[str, Any], where: str) -> T:
    """The dataclass `section` with these values; what is left out keeps its default.

    `where` begins the messages, as "conf/asr.yaml: train". Raises UserError for an unknown key, naming the nearest
    one, for a value of another type or outside its range, and for values that do not fit each other: the method
    `check() -> str` of a section gives what is wrong there, or nothing.
    """
    known = hints(section)
    check_keys(given, list(known), f"{where}: ")
    built = section(**{name: convert(known[name], value, f"{where}.{name}") for name, value in given.items()})
    if problem := getattr(built, "check", str)():
        raise UserError(f"{where}: {problem}")
    return built


def check_keys(given: Mapping[str, Any], known: list[str], prefix: str) -> None:
    """UserError for a key that is not known, naming the nearest one."""
    if not isinstance(given, Mapping):
        raise UserError(f"{prefix}expected a section of `key: value` lines")
    for key in given:
        if key not in known:
            raise UserError(f"{prefix}{nearest(str(key), known)}")


def nearest(word: str, known: list[str]) -> str:
    """What to say of an unknown name."""
    import difflib  # here: it is slow to load, and needed for mistakes alone

    close = difflib.get_close_matches(word, known, 1, 0.5)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
    return f"unknown name {word!r}: {hint}"


def comma_separated(text: str) -> list[str]:
    """The items of a list with commas between them; blanks around an item do not belong to it."""
    return [item.strip() for item in text.split(",")]


def _hints(section: type) -> dict[str, Any]:
    """The types of a dataclass's fields, in their order, with what stands beside them."""
    types = get_type_hints(section, include_extras=True)
    return {field.name: types[field.name] for field in fields(section)}


hints: Callable[[type], dict[str, Any]] = cache(_hints)  # with its own type: to mypy not every type is hashable


def convert(kind: Any, value: Any, where: str) -> Any:
    """The value of a field, by its type and range, of what YAML or the command line has for it.

    Raises UserError, which begins with `where`.
    """
    allowed = Range()
    if get_origin(kind) is Annotated:
        kind, *beside = get_args(kind)
        allowed = next((item for item in beside if isinstance(item, Range)), allowed)
    if value is None:
        raise UserError(f"{where}: has no value: write one, or leave the line out for the default")
    if get_origin(kind) is list:
        if isinstance(value, str):
            from mimic.yaml_file import parse  # here: most programs have no lists to read

            value = parse(value, where)
        if not isinstance(value, list):
            raise UserError(f"{where}: expected a list as [a, b], got {value!r}")
        return [convert(get_args(kind)[0], item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, list | dict):
        raise UserError(f"{where}: expected one value, got {value!r}")
    text = str(value)
    if get_origin(kind) is Literal and text not in get_args(kind):
        raise UserError(f"{where}: expected one of {', '.join(get_args(kind))}, got {text!r}")
    if kind is bool:
        if text.lower() not in SWITCHES:
            raise UserError(f"{where}: expected true or false, got {text!r}")
        return SWITCHES[text.lower()]
    return _number(kind, text, allowed, where) if kind in (int, float) else text


def _number(kind: type, text: str, allowed: Range, where: str) -> int | float:
    """A number as people write it: 010 is ten, 1e5 is whole, 1:30 and 0x10 are no numbers."""
    what = "a whole number" if kind is int else "a number"
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?|[+-]?\.?(nan|inf|infinity)", text, re.I | re.A):
        raise UserError(f"{where}: expected {what}, {allowed}, got {text!r}")
    number = float(text.replace(".nan", "nan").replace(".inf", "inf").lower())
    if number not in allowed:
        raise UserError(f"{where}: {text} is out of its range: {what}, {allowed}")
    if kind is float:
        return number
    if not number.is_integer():
        raise UserError(f"{where}: expected {what}, {allowed}, got {text!r}")
    return int(text, 10) if text.lstrip("+-").isdigit() else int(number)
