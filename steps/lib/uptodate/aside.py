"""Directories change places: what a step finds in its way is kept, never deleted.

A finished directory is kept as <dir>.old, an unfinished one as <dir>.unfinished; of each the one before goes. The new
one is prepared as <dir>.new, so that a kill at any moment leaves both. A link to a directory elsewhere stays a link.
Where a directory cannot be renamed, being a mount point, its contents are kept in <dir>/.old.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from .files import contents, replace
from .fingerprint import parse, text
from .state import StepError


def beside(folder: Path, suffix: str) -> Path:
    real = folder.resolve()
    return real.with_name(real.name + suffix)


def kept_with(folder: Path, fingerprint: str, suffixes: tuple[str, ...]) -> Path | None:
    """The directory beside this one that has this fingerprint."""
    for suffix in suffixes:
        place = beside(folder, suffix)
        try:
            if text(parse((place / ".fingerprint").read_text(encoding="utf-8"))) == fingerprint:
                return place
        except (OSError, StepError):
            continue
    return None


def put_in_place(folder: Path, fingerprint: str, kept: Path | None) -> str:
    """Replaces what is in `folder` by what was kept, or by nothing but this fingerprint; says where it went."""
    real, new = folder.resolve(), beside(folder, ".new")
    if kept != new:
        clear_new(new)
        if kept:
            kept.rename(new)
        else:
            new.mkdir(parents=True)
            replace(new / ".fingerprint", fingerprint)
    goes = ""
    if real.exists():
        goes = keep(real, folder, new)
    if real.exists():  # a mount point
        import shutil  # here, as below: it takes long to load, and this program starts in every step

        for path in new.iterdir():
            shutil.move(path, real / path.name)
        new.rmdir()
    else:
        new.rename(real)
    return goes


def clear_new(new: Path) -> None:
    """Removes what a killed run had only begun to prepare."""
    if (new / ".done").exists():
        raise StepError(f"{new} is left of a run that was killed and holds finished work: rename it")
    if new.exists():
        import shutil

        shutil.rmtree(new)


def keep(real: Path, folder: Path, new: Path) -> str:
    """Moves what is in the way; says where it can be found. The lock stays, for the new directory."""
    worth = any(path.name != "log" for path in contents(real))
    suffix = (".old" if (real / ".done").exists() else ".unfinished") if worth else ".dropped"
    old = beside(folder, suffix)
    discard(old)
    if (real / ".lock").exists() and not (new / ".lock").exists():
        os.link(real / ".lock", new / ".lock")
    try:
        real.rename(old)
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.EXDEV):
            raise
        (new / ".lock").unlink(missing_ok=True)
        old = real / ".old"
        discard(old)
        old.mkdir()
        for path in real.iterdir():
            if not path.name.startswith((".old", ".lock")) and path.name != "lost+found":
                path.rename(old / path.name)
    (old / ".lock").unlink(missing_ok=True)
    if not worth:
        discard(old)
        return ""
    return f"{folder}/.old" if old.parent == real else f"{folder}{suffix}"


def discard(old: Path) -> None:
    """Removes what was kept before; first that it was finished, which a removal cut short would leave as a lie."""
    if old.exists():
        import shutil

        (old / ".done").unlink(missing_ok=True)
        (old / ".fingerprint").unlink(missing_ok=True)
        shutil.rmtree(old)


def keep_changed(folder: Path, names: list[str]) -> None:
    """Moves files of a finished directory that somebody changed out of the way, to .changed in it."""
    changed = folder / ".changed"
    for name in names:
        changed.mkdir(exist_ok=True)
        place = changed / name
        if place.is_dir() and not place.is_symlink():
            import shutil

            shutil.rmtree(place)
        elif os.path.lexists(place):
            place.unlink()
        (folder / name).rename(place)
