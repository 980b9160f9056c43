"""Files and directories that are complete or absent: written beside their place, then renamed.

What a step has to make again it keeps as <dir>.old or <dir>.unfinished (steps/lib/uptodate/aside.py); no table or
report counts it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TYPE_CHECKING = False  # as in mimic.renamed
if TYPE_CHECKING:
    from typing import IO

SUFFIXES = (".new", ".old", ".unfinished")


@contextmanager
def replace(path: str | Path, mode: str = "w") -> Iterator[IO]:
    """Open `path`.tmp for writing; on success it is synced to disk and renamed to `path`, on error removed.

    Text is UTF-8 with "\\n" line ends. A `path` that is a symbolic link keeps being one: its target is replaced.
    Raises OSError with `filename` set, also where the system call (a write on a full disk) knows no name.
    """
    final = os.path.realpath(path)
    tmp = f"{final}.tmp"
    try:
        with open(tmp, mode) if "b" in mode else open(tmp, mode, encoding="utf-8", newline="\n") as f:
            yield f
            f.flush()
            os.fsync(f.fileno())
        os.replace(tmp, final)
    except BaseException as error:
        Path(tmp).unlink(missing_ok=True)
        raise named(error, path) from None


@contextmanager
def new_dir(path: str | Path) -> Iterator[Path]:
    """Give an empty directory `path`.tmp; on success it becomes `path` (an existing one is replaced), on error it goes.

    What a killed process left under the temporary names is removed first.
    """
    import shutil  # here: it loads bz2 and lzma, and every program writes files

    final = Path(os.path.realpath(path))
    tmp, old = (final.with_name(final.name + suffix) for suffix in (".tmp", ".old"))
    try:
        for leftover in (tmp, old):
            if leftover.exists():
                shutil.rmtree(leftover)
        tmp.mkdir(parents=True)
        yield tmp
        if final.exists():
            final.rename(old)
        tmp.rename(final)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException as error:
        shutil.rmtree(tmp, ignore_errors=True)
        raise named(error, path) from None


def named(error: BaseException, path: str | Path) -> BaseException:
    """Put `path` into an OSError that does not say which file it is about."""
    if isinstance(error, OSError) and error.filename is None and error.errno is not None:
        error.filename = str(path)
    return error


def glob(folder: Path, pattern: str) -> Iterator[Path]:
    """Path.glob in order, less what lies in a directory that was kept aside below `folder`."""
    for path in sorted(folder.glob(pattern)):
        if not any(part.endswith(SUFFIXES) for part in path.relative_to(folder).parts):
            yield path
