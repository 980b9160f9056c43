"""The files of a directory of the recipe: its own, those that are compared, those that a later step may read."""

import io
import os
import re
from pathlib import Path

import torch
from injections import TABLES
from recipe import OF_A_RUN, difference

SCORES = r"(wer|cer)_.*|scoring_kaldi"  # stage 7 puts them beside a decoding
NOT_COMPARED = re.compile("|".join([*map(re.escape, OF_A_RUN), r"\.lock.*", SCORES]))
LOOSE = ("log", "tensorboard", "samples", "checkpoints", "weights")


def own_files(folder: Path) -> dict[str, Path]:
    """The files of a directory by name, less the directories that other steps have made inside."""
    found = {}
    for top, inner, names in os.walk(folder):
        if Path(top) != folder and ".fingerprint" in names:
            inner.clear()
        else:
            found |= {str((Path(top) / name).relative_to(folder)): Path(top) / name for name in names}
    return found


def compared(folder: Path) -> dict[str, bytes]:
    files = own_files(folder).items()
    return {name: path.read_bytes() for name, path in files if not any(map(NOT_COMPARED.fullmatch, Path(name).parts))}


def equal(a: bytes | None, b: bytes | None) -> bool:
    """Byte for byte; of two files of tensors, those and all else that they hold: torch leaves gaps between them."""
    if a == b or a is None or b is None or not b.startswith(b"PK"):
        return a == b
    return not difference(*(torch.load(io.BytesIO(data), weights_only=True) for data in (a, b)))


def outputs(folder: Path, tables: bool) -> list[Path]:
    """The tables of a directory, or its other files, of those that a later step may read."""
    found = []
    for name, path in own_files(folder).items():
        top = Path(name).parts[0]
        loose = path.name.startswith(".") or top in LOOSE or re.fullmatch(SCORES, top)
        if not loose and path.stat().st_size and tables == bool(TABLES.fullmatch(name)):
            found.append(path)
    return sorted(found)
