"""Which data scores were computed on, written beside them: what does not belong together is not put together.

A directory of scores has data.json. Two are of the same data when they have as many utterances and neither the words
nor the lengths of the clean audio differ, as far as both know them. Names and places do not count. Noise types and SNRs
may differ (clean and noisy rows of a table), which is worth a line.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mimic.errors import UserError
from mimic.io.atomic import replace
from mimic.io.tables import read_table

FILE = "data.json"
OTHER, NOISE, UNKNOWN = "other data", "other noise", "unknown data"
TABLES = ("utt2snr", "utt2noise")


@dataclass(frozen=True)
class Identity:
    """Hashes of what the scored set holds; empty where that is not known."""

    data: str  # the directory, as it was named
    utterances: int
    text: str = ""  # ids and words
    audio: str = ""  # ids and lengths of the clean side
    noise: str = ""  # ids, SNRs and noise types

    def same(self, other: "Identity") -> bool:
        """Whether both are the same data as far as both tell."""
        parts = ((self.text, other.text), (self.audio, other.audio))
        return self.utterances == other.utterances and all(not (x and y) or x == y for x, y in parts)

    def __str__(self) -> str:
        parts = (("text", self.text), ("audio", self.audio), ("noise", self.noise))
        return ", ".join([f"{self.utterances} utterances", *(f"{name} {value}" for name, value in parts if value)])

    def write(self, folder: Path) -> None:
        with replace(folder / FILE) as f:
            f.write(json.dumps(asdict(self), indent=1) + "\n")


def identify(
    data: Path, utts: Iterable[str], reference: str = "text", noisy: Path | None = None, clean: bool = False
) -> Identity:
    """The identity of a data directory or of a folder of audio files.

    `reference` is the table of what was said where there is no `text`; `noisy` may know the noise if `data` does not;
    `clean` says that `data` is the clean side of scores of enhanced speech.
    """
    utts = sorted(utts)
    table = next((data / name for name in ("text", reference) if (data / name).exists()), None)
    sides = [side for side in (noisy, data) if side]
    noise = [next((read_table(s / name) for s in sides if (s / name).exists()), {}) for name in TABLES]
    return Identity(
        str(data),
        len(utts),
        _hash(read_table(table), utts) if table else "",
        _hash(_lengths(data), utts) if clean else "",
        _hash({utt: " ".join(t.get(utt, "-") for t in noise) for utt in utts}, utts) if any(noise) else "",
    )


def read_identity(folder: Path) -> Identity | None:
    """What `Identity.write` wrote, None where the scores are from before there was such a file."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        return Identity(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: not what scoring writes ({error}): score again with --force true") from None


def mark(identity: Identity | None, common: Identity | None) -> str:
    """OTHER, NOISE or UNKNOWN where scores of `identity` do not belong beside those of `common`, else empty."""
    if identity is None:
        return UNKNOWN
    if common is None or identity == common:
        return ""
    other_noise = identity.noise and common.noise and identity.noise != common.noise
    return NOISE if (same := identity.same(common)) and other_noise else "" if same else OTHER


def marks(folders: Sequence[Path]) -> dict[Path, str]:
    """`mark` of each directory of scores against the data that most of those with an identity have."""
    known = {folder: read_identity(folder) for folder in folders}
    there = [identity for identity in known.values() if identity]
    common = max(there, key=lambda x: sum(x.same(y) for y in there), default=None)
    return {folder: mark(identity, common) for folder, identity in known.items()}


def _lengths(data: Path) -> Mapping[str, str]:
    """Durations, or sizes of the files; ids alone where audio comes from pipes."""
    if (data / "utt2dur").exists():
        return read_table(data / "utt2dur")
    if not (data / "wav.scp").exists():
        return {path.stem: str(path.stat().st_size) for path in data.iterdir() if path.is_file()}
    wavs = {utt: Path(entry) for utt, entry in read_table(data / "wav.scp").items()}
    return {utt: str(path.stat().st_size) for utt, path in wavs.items() if path.is_file()}


def _hash(table: Mapping[str, str], utts: Sequence[str]) -> str:
    text = "".join(f"{utt} {table.get(utt, '')}\n" for utt in utts)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
