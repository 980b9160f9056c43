"""Text files that may be gzipped: their names end in .gz."""

import gzip
from pathlib import Path
from typing import TextIO

BROKEN = (EOFError, gzip.BadGzipFile)  # what reading raises where a file is no gzip file, or not a whole one


def gzipped(path: str | Path) -> bool:
    return str(path).endswith(".gz")


def open_text(path: str | Path) -> TextIO:
    """Open UTF-8 text to read."""
    return (gzip.open if gzipped(path) else open)(path, "rt", encoding="utf-8")
