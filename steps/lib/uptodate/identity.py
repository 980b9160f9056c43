"""Whether an input is the same as before. Its contents say so, wherever it lies and whenever it was copied there.

What a step has made is known from its .done. Everything else is read: a file; all files below a directory; of a data
directory its tables and the audio that wav.scp and spk1.scp name, a command in them by its text. Sizes and times that
are as they were when it was read last save reading it again.
"""

from __future__ import annotations

import os
from pathlib import Path

from .files import ROOT
from .outputs import changed_outputs, file_hash, hash_of, result_hash, stamp_of
from .state import StepError

AUDIO = ("wav.scp", "spk1.scp")
Known = dict[str, list[str]]  # path -> [stamp, hash]


def maker(folder: Path) -> str:
    """The step that has made a directory, for advice."""
    try:
        first = (folder / ".fingerprint").read_text(encoding="utf-8").partition("\n")[0]
    except OSError:
        first = ""
    return next((word for word in first.split('"')[1:2] if first.startswith("step ")), "the step")


def identity(name: str, known: Known) -> str:
    """The hash of an input, `name` inside the repository relative to it; `known` is read and filled in."""
    path = Path(ROOT, name)
    if not path.exists():
        raise StepError(f"input {name} is missing")
    folder = path if path.is_dir() else path.parent
    if (folder / ".done").exists():
        for part, how in changed_outputs(folder, "" if path == folder else path.name).items():
            where = folder_name(name, path)
            raise StepError(f"input {where}: {part} {how} after it was made: run {maker(folder)} again")
        if path == folder:
            return result_hash(folder)
    elif path == folder and (folder / ".fingerprint").exists():
        raise StepError(f"input {name} is incomplete: run {maker(folder)} again")
    is_data = any((path / name).is_file() for name in AUDIO)
    names = [str(path)] if path != folder else audio_and_tables(path) if is_data else below(path)
    stamp = stamp_of(names, path)
    if known.get(name, ["", ""])[0] != stamp:
        known[name] = [stamp, file_hash(path) if path != folder else hash_of(names, path)]
    return known[name][1]


def folder_name(name: str, path: Path) -> str:
    return name if path.is_dir() else os.path.dirname(name) or "."


def below(path: Path) -> list[str]:
    """The files below a directory, less hidden ones and what later steps have put into it."""
    found = []
    for folder, inner, names in os.walk(path, followlinks=True):
        made_later = ".fingerprint" in names and folder != str(path)
        inner[:] = [] if made_later else inner
        found += [] if made_later else [os.path.join(folder, name) for name in names if not name.startswith(".")]
    return sorted(filter(os.path.exists, found))


def audio_and_tables(data: Path) -> list[str]:
    """Files that decide about a data directory: its tables, and the audio that is there."""
    tables = [str(path) for path in sorted(data.iterdir()) if path.is_file() and not path.name.startswith(".")]
    audio = set()
    tables_of_audio = [data / name for name in AUDIO if (data / name).is_file()]
    for line in b"\n".join(path.read_bytes() for path in tables_of_audio).splitlines():
        words = line.split(maxsplit=1)
        name = os.fsdecode(words[1].strip()) if len(words) > 1 else ""
        if name.endswith("|"):
            continue
        head, _, offset = name.rpartition(":")
        audio.add(os.path.join(ROOT, head if head and offset.isdigit() else name))
    return tables + sorted(filter(os.path.isfile, audio))  # the step that reads it reports missing files
