"""What a line of wav.scp, feats.scp or another index names: one function writes such a path, one reads it.

A path inside the repository (the directory with path.sh) is stored relative to it, so that a moved or copied tree
reads its own files; any other path is absolute.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

ROOT = os.path.dirname(os.path.abspath(f"{__file__}/../../.."))  # symbolic links stay, as in path.sh
ENTRY = re.compile(r"(?P<path>.+?)(?::(?P<offset>\d+))?(?P<range>\[[^\[\]]*\])?")


class Place(NamedTuple):
    """A file, the byte where its content starts (None: it is the whole file), and Kaldi's range `[0:149]` or ""."""

    path: str
    offset: int | None
    range: str


def stored(path: str | Path) -> str:
    """The name of a file in a table: relative to the repository where it lies inside, else absolute."""
    path = os.path.abspath(path)
    for name, root in ((path, ROOT), (path, os.path.realpath(ROOT)), (os.path.realpath(path), os.path.realpath(ROOT))):
        if name.startswith(f"{root}/"):
            return name[len(root) + 1 :]
    return path


def found(path: str | Path) -> str:
    """The file that a table names: a relative path counts from the current directory, then from the repository."""
    path = str(path)
    if not os.path.isabs(path) and not os.path.exists(path) and os.path.exists(inside := os.path.join(ROOT, path)):
        return inside
    return path


def place(entry: str) -> Place:
    """Read `file`, `file.ark:offset` or either with a range; commands (`... |`) are not for this function."""
    match = ENTRY.fullmatch(entry)
    if not match or (match["range"] and match["offset"] is None and os.path.exists(found(entry))):
        return Place(found(entry), None, "")
    offset = match["offset"]
    return Place(found(match["path"]), None if offset is None else int(offset), match["range"] or "")


def file_name(utt: str) -> str:
    """A file name for an utterance id: a slash must not lead out of the directory. Different ids, different names."""
    return utt.replace("%", "%25").replace("/", "%2F")


def wav_file(folder: str | Path, utt: str) -> Path:
    """Where a step that writes a wav per utterance puts it: <folder>/wav/<id>.wav."""
    return Path(folder) / "wav" / f"{file_name(utt)}.wav"
