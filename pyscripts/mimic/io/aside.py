"""What steps have kept when something was made again: <dir>.old, <dir>.unfinished. No table or report counts it."""

from collections.abc import Iterator
from pathlib import Path

SUFFIXES = (".new", ".old", ".unfinished")  # steps/lib/uptodate/aside.py makes them


def glob(folder: Path, pattern: str) -> Iterator[Path]:
    """Path.glob in order, less what lies in a directory that was kept aside below `folder`."""
    for path in sorted(folder.glob(pattern)):
        if not any(part.endswith(SUFFIXES) for part in path.relative_to(folder).parts):
            yield path
