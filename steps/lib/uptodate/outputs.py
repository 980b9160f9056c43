"""What a finished directory holds, and whether it still does: .done has a line for each file or directory in it.

A line is "name, stamp, hash". The stamp is of sizes and times, and only saves reading: where it differs, the contents
decide, so that a copy is as good as the original. A change that keeps size and time is not noticed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from .files import replace

BLOCK = 1 << 20  # bytes read at a time
LARGE = 64 << 20  # bytes from which on files are read side by side
# Nothing reads these when the work is done: they may go.
LOOSE = ("log", "tensorboard", "mlflow", "wandb", "profile", "samples", "checkpoints", "weights")
# Times of day and ways of working: another run of the same work differs in them, and no result does.
OF_THE_RUN = ("run_info.json", "train_log.jsonl", "progress.jsonl", "status.json", "summary.json", "run.sh", "num_jobs")
UNREAD = "-"  # in place of a hash, as earlier versions left it for large files


def file_hash(name: str | Path) -> str:
    digest = hashlib.sha256()
    if os.path.islink(name) and not os.path.exists(name):
        digest.update(os.fsencode(os.readlink(name)))
    else:
        with open(name, "rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
    return digest.hexdigest()[:16]


def hashes(names: list[str]) -> Iterable[str]:
    if sum(os.path.getsize(name) for name in names if os.path.exists(name)) < LARGE:
        return map(file_hash, names)
    from concurrent.futures import ThreadPoolExecutor  # rarely needed, and this starts in every step

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(file_hash, names))


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


def stamp_of(names: list[str], base: Path) -> str:
    """Of names, sizes and times."""
    digest = hashlib.sha256()
    for name in names:
        stat = os.lstat(name)
        digest.update(f"{os.path.relpath(name, base)} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def hash_of(names: list[str], base: Path) -> str:
    """Of names and contents."""
    digest = hashlib.sha256()
    for name, known in zip(names, hashes(names), strict=True):
        digest.update(f"{os.path.relpath(name, base)} {known}\n".encode())
    return digest.hexdigest()[:16]


def describe(paths: list[Path]) -> str:
    """The text of .done for these files and directories."""
    own = [(path, names) for path in paths if path.name not in LOOSE and (names := files(path))]
    return "".join(f"{path.name}\t{stamp_of(names, path)}\t{hash_of(names, path)}\n" for path, names in own)


def recorded(folder: Path) -> dict[str, list[str]]:
    """What .done says: name -> [stamp, hash]. A line without them is of a file whose contents may be anything."""
    lines = (folder / ".done").read_text(encoding="utf-8").splitlines()
    return {name: known for name, *known in (line.split("\t") for line in lines)}


def changed_outputs(folder: Path, only: str = "") -> dict[str, str]:
    """What (or whether this one file) is not as .done says, and in which way: "is gone" or "was changed".

    Where only sizes and times differ, .done gets the new ones.
    """
    known = recorded(folder)
    found: dict[str, str] = {}
    read_again: dict[str, list[str]] = {}
    for name, values in known.items():
        path = folder / name
        if only not in ("", name):
            continue
        if not os.path.lexists(path):
            found[name] = "is gone"
        elif values:
            names, (old_stamp, old_hash) = files(path), values
            stamp = stamp_of(names, path)
            if stamp == old_stamp and old_hash != UNREAD:
                continue
            now = hash_of(names, path)
            if now == old_hash or stamp == old_stamp:
                read_again[name] = [stamp, now]
            else:
                found[name] = "was changed"
    if read_again:
        lines = ("\t".join([name, *values]) + "\n" for name, values in (known | read_again).items())
        with suppress(OSError):  # a disk that can only be read: it is read again next time
            replace(folder / ".done", "".join(lines))
    return found


def result_hash(folder: Path) -> str:
    """Of the results in a finished directory: what another run of the same work would have in common with it."""
    digest = hashlib.sha256()
    for name, values in sorted(recorded(folder).items()):
        if name not in OF_THE_RUN and values:
            digest.update(f"{name} {values[1]}\n".encode())
    return digest.hexdigest()[:16]
