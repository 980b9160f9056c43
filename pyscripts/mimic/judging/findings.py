"""What judges found, stored by the content of what they were given: nothing is judged twice."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Found = dict[str, Any]
WEIGHTS = {".pt", ".safetensors", ".onnx", ".yaml", ".conf", ".model"}


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
