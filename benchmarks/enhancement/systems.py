"""Systems by name: what they make of a set, kept as wavs, so that a run resumes and others are added later."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from enhancement.judges import digest
from enhancement.material import SIDES, Set, read_wav
from enhancement.peers import PEERS
from mimic.errors import UserError
from mimic.io.recording import write_wav


class System:
    """`NAME` of peers.py, noisy or clean; `NAME=DIR`, a model; after either `@W`, the share of enhanced in the output.

    enhancer: with `enhance`, `identity`, `size`, `streams`, `rate`, `hop` and `latency`; None for noisy and clean.
    """

    def __init__(self, text: str):
        text, at, share = text.partition("@")
        base, self.equals, self.directory = text.partition("=")
        self.base, self.name = base, base + at + share
        try:
            self.share = float(share) if at else 1.0
        except ValueError:
            self.share = -1.0
        if not base or not 0 <= self.share <= 1:
            raise UserError(f"system '{text}{at}{share}': write NAME, NAME=DIRECTORY or one of these and @0.5")
        self.enhancer: Any = None

    def at(self, share: float) -> "System":
        """The same enhancer with another share of enhanced in the output."""
        other = System(f"{self.base}{self.equals}{self.directory}@{share:g}")
        other.enhancer = self.enhancer
        return other

    def load(self) -> None:
        """Load what enhances. UserError: no such system, or not installed."""
        if self.enhancer or (self.base in SIDES and not self.equals):
            return
        if self.equals:
            from enhancement.own import Own  # torch takes seconds to load, and peers do without

            self.enhancer = Own(self.directory)
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
            y = read_wav(folder, utt)
            if self.share < 1:
                y = np.float32(self.share) * y + np.float32(1 - self.share) * pairs.audio("noisy", utt)
            yield utt, y


def lag(x: np.ndarray, y: np.ndarray, most: int = 2000) -> int:
    """Samples that y is late by: where its cross-correlation with x is largest, up to `most` either way."""
    n = 2 * max(len(x), len(y))
    both = np.fft.irfft(np.fft.rfft(y, n) * np.conj(np.fft.rfft(x, n)), n)
    return int(np.argmax(np.concatenate([both[-most:], both[: most + 1]]))) - most
