"""Which data scores were computed on: scores of different data do not stand in one column.

summary.json holds it. Two scorings are of the same data when they have as many utterances and neither the words nor the
lengths of the clean audio differ, as far as both know them. Names and places do not count. Noise types and SNRs may
differ (clean and noisy rows of a table), which is worth a line.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from mimic.io.compact import in_order
from mimic.io.tables import audio_table, read_table

OTHER, NOISE, UNKNOWN = "other data", "other noise", "unknown data"
TABLES = ("utt2snr", "utt2noise")


@dataclass(frozen=True)
class Identity:
    """Hashes of what the scored set holds; empty where that is not known."""

    data: str  # the directory, as it was named
    utterances: int
    text: str = ""  # ids and words
    audio: str = ""  # ids and lengths of the clean speech
    noise: str = ""  # ids, SNRs and noise types

    def same(self, other: "Identity") -> bool:
        """Whether both are the same data as far as both tell."""
        parts = ((self.text, other.text), (self.audio, other.audio))
        return self.utterances == other.utterances and all(not (x and y) or x == y for x, y in parts)

    def __str__(self) -> str:
        parts = (("text", self.text), ("audio", self.audio), ("noise", self.noise))
        return ", ".join([f"{self.utterances} utterances", *(f"{name} {value}" for name, value in parts if value)])


def identify(
    data: Path, utts: Collection[str], reference: str = "text", noisy: Path | None = None, clean: bool = False
) -> Identity:
    """The identity of a data directory or of a folder of audio files.

    `reference` is the table of transcripts where `text` is missing; `noisy` may know the noise if `data` does not;
    `clean` says that `data` is the clean reference of scores of enhanced speech.
    """
    utts = in_order(utts) if isinstance(utts, Mapping) else sorted(utts)
    table = next((data / name for name in ("text", reference) if (data / name).exists()), None)
    sides = [side for side in (noisy, data) if side]
    noise: list[Mapping[str, str]] = [
        next((read_table(s / name) for s in sides if (s / name).exists()), {}) for name in TABLES
    ]
    return Identity(
        str(data),
        len(utts),
        _hash(read_table(table).get, utts) if table else "",
        _hash(_lengths(data).get, utts) if clean else "",
        _hash(lambda utt, _: " ".join(t.get(utt, "-") for t in noise), utts) if any(noise) else "",
    )


def mark(identity: Identity | None, common: Identity | None) -> str:
    """OTHER, NOISE or UNKNOWN where scores of `identity` do not belong beside those of `common`, else empty."""
    if identity is None:
        return UNKNOWN
    if common is None or identity == common:
        return ""
    other_noise = identity.noise and common.noise and identity.noise != common.noise
    return NOISE if (same := identity.same(common)) and other_noise else "" if same else OTHER


def _lengths(data: Path) -> Mapping[str, str]:
    """Durations, or sizes of the files; ids alone where audio comes from pipes."""
    if (data / "utt2dur").exists():
        return read_table(data / "utt2dur")
    table = audio_table(data, clean=True)
    if not table:
        return {path.stem: str(path.stat().st_size) for path in data.iterdir() if path.is_file()}
    wavs = {utt: Path(entry) for utt, entry in read_table(data / table).items()}
    return {utt: str(path.stat().st_size) for utt, path in wavs.items() if path.is_file()}


def _hash(get: Callable[[str, str], str], utts: Collection[str]) -> str:
    found = hashlib.sha256()
    for utt in utts:
        found.update(f"{utt} {get(utt, '')}\n".encode())
    return found.hexdigest()[:12]
