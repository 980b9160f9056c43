"""Names and small files of the check."""

from __future__ import annotations

import json
import os
from pathlib import Path

TYPE_CHECKING = False  # typing takes as long to load as all else here; type checkers know the name
if TYPE_CHECKING:
    from typing import Any

ROOT = Path(__file__).resolve().parents[3]
TABLES = ("wav.scp", "segments", "text", "text.phn", "feats.scp", "cmvn.scp")  # and utt2*, spk2*, reco2*
OWN = (".fingerprint", ".done", ".lock", ".made", ".changed", ".old")  # what this program keeps in a directory


def relative(name: str) -> str:
    """A path as it is written down: inside the repository relative to it, so that a moved tree is still the same."""
    path = os.path.abspath(name)
    return path.removeprefix(f"{ROOT}/") if path != str(ROOT) else "."


def is_table(name: str) -> bool:
    return name in TABLES or name.startswith(("utt2", "spk2", "reco2"))


def contents(folder: Path) -> list[Path]:
    """What lies in a directory, less the files of this program."""
    return [p for p in sorted(folder.iterdir()) if not p.name.startswith(OWN)] if folder.is_dir() else []


def replace(path: Path, text: str) -> None:
    """Writes a file that is complete or absent, whenever this program is killed."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def read_made(folder: Path) -> dict[str, Any]:
    """.made: the revision of the code, and the inputs as they were read last (identity.py)."""
    try:
        found = json.loads((folder / ".made").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # it only saves reading inputs again
        found = {}
    return {"revision": "unknown", "noted": "", "inputs": {}} | found


def write_made(folder: Path, made: dict[str, Any]) -> None:
    replace(folder / ".made", json.dumps(made, indent=1))
