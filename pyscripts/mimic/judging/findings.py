"""What a recogniser is to a judge, and what judges found, stored by the content of what they were given: nothing is
judged twice.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

RATE = 16000  # Hz
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")  # of an enhancer or a recogniser, where one stands before its word
Found = dict[str, Any]
Signals = Iterable[tuple[str, np.ndarray]]
WEIGHTS = {".pt", ".safetensors", ".onnx", ".yaml", ".conf", ".model"}


class Recogniser(Protocol):
    """Gives words for signals.

    Attributes:
        name: for tables.
        identity: changes with whatever changes its words.
    """

    name: str
    identity: str

    def words(self, signals: Signals) -> Iterator[tuple[str, Found]]:
        """(utterance, samples (samples,) float32 at 16 kHz) pairs -> (utterance, found) pairs: `hyp`, its words, and
        `confidence`, 0 to 1, the mean over them, None where it has none.
        """


class Findings:
    """Findings in a file of JSON lines, each written as soon as it is known; an incomplete last line is dropped.

    others: further such files, of other jobs or runs, which are read.
    """

    def __init__(self, path: Path, others: Iterable[Path] = ()):
        self.known: dict[tuple[str, str], Found] = {}
        good = 0
        for other in (*others, path):
            good = self._read(other)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = open(path, "ab")
        self.file.truncate(good)

    def _read(self, path: Path) -> int:
        good = 0
        for line in path.read_bytes().splitlines(keepends=True) if path.exists() else []:
            if not line.endswith(b"\n"):
                break
            record = json.loads(line)
            self.known[record["judge"], record["key"]] = record["found"]
            good += len(line)
        return good

    def get(self, judge: str, key: str) -> Found | None:
        """What a judge found before; `key` is a digest of what it was given."""
        return self.known.get((judge, key))

    def add(self, judge: str, key: str, found: Found) -> None:
        self.known[judge, key] = found
        self.file.write(json.dumps({"judge": judge, "key": key, "found": found}).encode() + b"\n")
        self.file.flush()


def digest(*parts: bytes) -> str:
    """32 hexadecimal digits of SHA-256 over the hashes of the parts."""
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:32]


def directory_digest(directory: str | Path) -> str:
    """Of what makes a trained directory a model: weights, configuration, tokens."""
    files = sorted(p for p in Path(directory).iterdir() if p.suffix in WEIGHTS or p.name == "tokens.txt")
    return digest(*(part for p in files for part in (p.name.encode(), p.read_bytes())))


def mean(values: list[float]) -> float | None:
    """The mean with 4 digits, None of nothing."""
    return round(float(np.mean(values)), 4) if values else None
