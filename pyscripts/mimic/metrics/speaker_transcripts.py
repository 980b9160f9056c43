"""Transcripts of sessions with several speakers: STM, SegLST (JSON) and CTM, by session.

STM (NIST): `session channel speaker start end words...`. SegLST: a list of objects with session_id, speaker, words,
and start_time and end_time where they are known. CTM (NIST): `session channel start duration word [confidence]`, which
knows no speakers: the channel is taken for one, of several files the name of the file.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mimic.errors import UserError
from mimic.io.lines import read_lines

Segment = dict[str, Any]  # session_id, speaker, words, and start_time and end_time in seconds where they are known


@dataclass
class Transcripts:
    """{session: its segments}, and {session: the first thing that is wrong in it}."""

    sessions: dict[str, list[Segment]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


def read_transcripts(paths: Sequence[Path], normalise: Callable[[str], str]) -> Transcripts:
    """Read files by their endings .stm, .json and .ctm; words go through `normalise`.

    A line that is wrong is a problem of its session alone. UserError for what has no session, and for other endings.
    """
    found = Transcripts()
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path}: no such file")
        if path.suffix not in READERS:
            raise UserError(f"{path}: expected a file .stm, .json (SegLST) or .ctm")
        for where, session, segment in READERS[path.suffix](path):
            found.sessions.setdefault(session, [])
            if isinstance(segment, str):
                found.problems.setdefault(session, f"{where}: {segment}: correct it")
                continue
            if path.suffix == ".ctm" and len(paths) > 1:
                segment["speaker"] = path.stem
            found.sessions[session].append(segment | {"session_id": session, "words": normalise(segment["words"])})
    return found


def _stm(path: Path) -> list[tuple[str, str, Segment | str]]:
    found: list[tuple[str, str, Segment | str]] = []
    for number, line in read_lines(path):
        session, *fields = line.split(maxsplit=5)[:6] or [";"]
        if session.startswith(";"):
            continue
        times = _times(*fields[2:4]) if len(fields) >= 4 else None
        segment: Segment | str = "expected `session channel speaker start end words`, 0 <= start <= end in seconds"
        if times:
            segment = {"speaker": fields[1], "words": "".join(fields[4:]), **times}
        found.append((f"{path}:{number}", session, segment))
    return found


def _ctm(path: Path) -> list[tuple[str, str, Segment | str]]:
    found: list[tuple[str, str, Segment | str]] = []
    for number, line in read_lines(path):
        session, *fields = line.split() or [";"]
        if session.startswith(";"):
            continue
        times = _times(*fields[1:3], duration=True) if len(fields) in (4, 5) else None
        segment: Segment | str = "expected `session channel start duration word [confidence]`, times from 0 in seconds"
        if times:
            segment = {"speaker": fields[0], "words": fields[3], **times}
        found.append((f"{path}:{number}", session, segment))
    return found


def _seglst(path: Path) -> list[tuple[str, str, Segment | str]]:
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not JSON: {error}") from None
    if not isinstance(records, list):
        raise UserError(f"{path}: expected a list of segments, as SegLST is")
    found: list[tuple[str, str, Segment | str]] = []
    for number, record in enumerate(records, 1):
        if not isinstance(record, dict) or not isinstance(record.get("session_id"), str):
            raise UserError(f"{path}: segment {number}: expected an object with session_id")
        segment: Segment | str = "expected speaker and words, and times 0 <= start_time <= end_time or none"
        timed = [name for name in ("start_time", "end_time") if record.get(name) is not None]
        times = _times(*(str(record[name]) for name in timed)) if timed else {}
        words = record.get("words")
        if isinstance(words, str) and "speaker" in record and times is not None:
            segment = {"speaker": str(record["speaker"]), "words": words, **times}
        found.append((f"{path}: segment {number}", record["session_id"], segment))
    return found


def _times(*texts: str, duration: bool = False) -> Segment | None:
    """Start and end of a segment in seconds; None unless 0 <= start <= end."""
    try:
        start, end = map(float, texts)
    except ValueError:
        return None
    end += start if duration else 0
    return {"start_time": start, "end_time": end} if 0 <= start <= end < float("inf") else None


READERS = {".stm": _stm, ".json": _seglst, ".ctm": _ctm}
