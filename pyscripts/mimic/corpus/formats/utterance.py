"""What every format is read into: one utterance, and the values that files give for its parts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mimic.errors import UserError


@dataclass(frozen=True)
class Utterance:
    """A segment of a recording, as its source describes it.

    Attributes:
        where: `file:line` or the like, for messages.
        audio: path as it is written there, a command that ends with `|`, or "" where `sound` is given.
        id: "" where the source has none.
        text: None where the source has none.
        speaker, gender, recording: "" where the source has none; a recording's name belongs to one file.
        start, end: seconds from the beginning of the file; an end of None is that of the file.
        channel: counted from 0; None: not named.
        sound: the bytes of an audio file that lies within the source.
        problem: why the utterance cannot be used, or "".
    """

    where: str
    audio: str
    id: str = ""
    text: str | None = None
    speaker: str = ""
    gender: str = ""
    recording: str = ""
    start: float = 0.0
    end: float | None = None
    channel: int | None = None
    sound: bytes | None = field(default=None, repr=False)
    problem: str = ""


@dataclass(frozen=True)
class Reading:
    """How a source is to be read.

    Attributes:
        split: which one of several ("train"); "" where there is one.
        columns: {id, audio, text, start, end, duration, speaker, gender, channel: the name that the source has for it}.
        mic: which one of several microphones; "" is the usual one of the corpus.
        audio_dir: where relative paths begin; None: the folder of the source, then the current directory.
        channel: channel to take where the source names none or several.
    """

    split: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    mic: str = ""
    audio_dir: Path | None = None
    channel: int | None = None


def string(record: Mapping[str, Any], name: str, where: str, default: str | None = None) -> str:
    """The text of a field; numbers are written out. UserError where it is not there and there is no default."""
    value = record.get(name)
    if value is None or value == "":
        if default is None:
            raise UserError(f"{where}: no `{name}`: add it")
        return default
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UserError(f"{where}: `{name}` is {shown(value)}, expected text")
    return str(value)


def number(record: Mapping[str, Any], name: str, where: str, default: float | None = None) -> float:
    """The finite number of a field, which may be written as text, in seconds or as h:mm:ss."""
    value = record.get(name)
    if (value is None or value == "") and default is not None:
        return default
    try:
        if isinstance(value, str):
            found = sum(float(part) * 60**i for i, part in enumerate(reversed(value.split(":"))))
        else:
            found = float(value)  # type: ignore[arg-type]  # what is not a number is an error below
    except (TypeError, ValueError):
        found = math.nan
    if isinstance(value, bool) or not math.isfinite(found):
        raise UserError(f"{where}: `{name}` is {shown(value)}, expected a number")
    return found


def shown(value: Any) -> str:
    """A value in a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def rounded(seconds: float) -> float:
    """A time without the noise of sums of binary fractions: to a nanosecond, finer than any sample."""
    return round(seconds, 9)
