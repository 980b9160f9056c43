"""What a finished directory holds, and whether it still does: .done has a line for each file or directory in it.

Sizes and times are looked at first. Where they differ, the contents decide if they were small enough to be read when
the directory was finished: a copy made without its times is as good as the original. Bytes that change behind an
unchanged size and time are not noticed.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

BIG = 32 << 20  # bytes; more than that counts by size and time, so that a check stays fast
LOOSE = ("log", "tensorboard", "checkpoints", "weights")  # nothing reads these when the work is done: they may go
UNREAD = "-"


def file_hash(path: Path) -> str:
    stat = path.stat()
    if stat.st_size > BIG:
        return f"size:{stat.st_size},mtime:{stat.st_mtime_ns}"
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def files(path: Path) -> list[str]:
    """The file, or those below the directory, less what later steps have put into it and what is LOOSE."""
    if not path.is_dir():
        return [str(path)]
    found = []
    for folder, inner, names in os.walk(path):
        made_later = ".fingerprint" in names
        inner[:] = [] if made_later else [name for name in inner if name not in LOOSE]
        found += [] if made_later else [os.path.join(folder, name) for name in names]
    return sorted(found)


def stamp(path: Path) -> str:
    """Sizes and times."""
    digest = hashlib.sha256()
    for name in files(path):
        stat = os.lstat(name)
        digest.update(f"{os.path.relpath(name, path)} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def contents(path: Path) -> str:
    names = files(path)
    if sum(os.lstat(name).st_size for name in names) > BIG:
        return UNREAD
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{os.path.relpath(name, path)} {file_hash(Path(name))}\n".encode())
    return digest.hexdigest()[:16]


def describe(paths: list[Path]) -> str:
    """The text of .done for these files and directories."""
    own = [path for path in paths if path.name not in LOOSE and files(path)]
    return "".join(f"{path.name}\t{stamp(path)}\t{contents(path)}\n" for path in own)


def spoilt(folder: Path, only: str = "") -> dict[str, str]:
    """What (or whether this one file) is not as .done says, and in which way: "is gone" or "was changed"."""
    found = {}
    for line in (folder / ".done").read_text(encoding="utf-8").splitlines():
        name, *known = line.split("\t")
        path = folder / name
        if only not in ("", name):
            continue
        if not os.path.lexists(path):
            found[name] = "is gone"
        elif known and known[0] != stamp(path) and (known[1] == UNREAD or known[1] != contents(path)):
            found[name] = "was changed"
    return found


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        import shutil  # rarely needed, and done.py starts in every step

        shutil.rmtree(path)
    else:
        path.unlink()
