"""Systems by name: what they make of a set, kept as wavs, so that a run resumes and others are added later."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from enhancement.material import SIDES, Set, read_wav
from enhancement.peers import PEERS
from mimic.errors import UserError
from mimic.io.recording import write_wav
from mimic.judging.findings import digest
from mimic.models.ratio import AUTO, mix


class System:
    """`NAME` of peers.py, noisy or clean; `NAME=DIR`, a model; after either `@0.5`, an enhancement ratio.

    ratio: share of enhanced speech in the output, or a model's curve (`@auto`); without it 1. enhancer: with `enhance`,
    `identity`, `size`, `streams`, `rate`, `hop` and `latency`; None for noisy and clean.
    """

    def __init__(self, text: str):
        what, at, ratio = text.partition("@")
        self.base, self.equals, self.directory = what.partition("=")
        self.name = self.base + at + ratio
        self.auto = ratio == AUTO and bool(self.equals)
        try:
            self.ratio: Any = float(ratio) if at and not self.auto else 1.0
        except ValueError:
            self.ratio = -1.0
        if not self.base or not 0 <= self.ratio <= 1:
            raise UserError(
                f"system '{text}': write NAME or NAME=DIRECTORY, and after it @0.5, of a model also @{AUTO}"
            )
        self.enhancer: Any = None

    def at(self, ratio: float) -> "System":
        """The same enhancer at another ratio."""
        other = System(f"{self.base}{self.equals}{self.directory}@{ratio:g}")
        other.enhancer = self.enhancer
        return other

    def load(self) -> None:
        """Load what enhances. UserError: no such system, or not installed."""
        if self.enhancer or (self.base in SIDES and not self.equals):
            return
        if self.equals:
            from enhancement.own import Own  # torch takes seconds to load, and peers do without

            self.enhancer = Own(self.directory)
            self.ratio = self.enhancer.ratio(AUTO) if self.auto else self.ratio
        elif self.base in PEERS:
            self.enhancer = PEERS[self.base]()
        else:
            raise UserError(f"no system {self.base}: there are {', '.join([*SIDES, *PEERS])}, and NAME=DIRECTORY")

    def signals(self, pairs: Set) -> Iterator[tuple[str, np.ndarray]]:
        """Utterances and what they are after the system, from the wavs of before or made now."""
        if not self.enhancer:
            yield from ((utt, pairs.audio(self.base, utt)) for utt in pairs.utts)
            return
        folder = pairs.folder / f"{self.base}-{digest(self.enhancer.identity.encode())[:8]}"
        folder.mkdir(exist_ok=True)
        for utt in pairs.utts:
            if not (folder / f"{utt}.wav").exists():
                write_wav(folder / f"{utt}.wav", self.enhancer.enhance(pairs.audio("noisy", utt)))
            yield utt, mix(pairs.audio("noisy", utt), read_wav(folder, utt), self.ratio)


def lag(x: np.ndarray, y: np.ndarray, most: int = 2000) -> int:
    """Samples that y is late by: where its cross-correlation with x is largest, up to `most` either way."""
    n = 2 * max(len(x), len(y))
    both = np.fft.irfft(np.fft.rfft(y, n) * np.conj(np.fft.rfft(x, n)), n)
    return int(np.argmax(np.concatenate([both[-most:], both[: most + 1]]))) - most
