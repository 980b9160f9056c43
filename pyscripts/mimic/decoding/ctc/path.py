"""From the token of each frame to transcripts: what every search over a CTC output shares."""

import math
from typing import NamedTuple, Protocol

import numpy as np

from mimic.decoding.ctc.times import Span
from mimic.io.tokens import BLANK, Tokens


class Found(NamedTuple):
    """A transcript that a search over a CTC output has found; logarithms are natural.

    Each word comes with the places of its tokens among `ids` and `spans`.
    """

    ids: list[int]
    spans: list[Span]
    words: list[tuple[str, list[int]]]
    score: float  # what it is ranked by
    ctc: float  # log-probability of its best path
    ngram: float = 0.0  # log-probability of the n-gram model


class CtcDecoder(Protocol):
    """A search over CTC outputs (frames, tokens), float32 arrays of log-probabilities.

    `decode` takes an utterance at once and gives up to `nbest` transcripts. `add` takes it piece by piece, until `end`
    gives the best one; memory then does not grow with it, but for a few bytes per frame.
    """

    def decode(self, log_probs: np.ndarray) -> list[Found]: ...

    def add(self, log_probs: np.ndarray) -> object: ...

    def end(self) -> Found: ...


class Path:
    """The token that a search has chosen for each frame, and where it has finished words."""

    def __init__(self) -> None:
        self._ids: list[np.ndarray] = []
        self._scores: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []

    def add(self, ids: np.ndarray, log_probs: np.ndarray, labels: np.ndarray | None = None) -> None:
        """ids (frames,); log_probs (frames, tokens); labels (frames,): number of the word that ends here, else -1."""
        self._ids.append(ids.astype(np.int32))
        self._scores.append(log_probs[np.arange(len(ids)), ids])
        if labels is not None:
            self._labels.append(labels.astype(np.int32))

    def tokens(self, drop: tuple[int, ...] = (BLANK,)) -> tuple[list[int], list[Span]]:
        """Tokens and their frames: repeats merged, blanks dropped."""
        if not self._ids:
            return [], []
        ids, scores = np.concatenate(self._ids), np.concatenate(self._scores)
        starts = np.flatnonzero(np.diff(ids, prepend=-1))
        if not len(starts):
            return [], []
        ends = np.append(starts[1:], len(ids))
        means = np.add.reduceat(scores.astype(np.float64), starts) / (ends - starts)
        kept = np.flatnonzero(~np.isin(ids[starts], drop))
        spans = zip(starts[kept].tolist(), ends[kept].tolist(), means[kept].tolist(), strict=True)
        return ids[starts[kept]].tolist(), [Span(*span) for span in spans]

    def ctc(self) -> float:
        """Log-probability of the path: the exact sum, rounded once, so that pieces do not matter."""
        return math.fsum(score for scores in self._scores for score in scores.tolist())

    def labels(self) -> tuple[list[int], np.ndarray]:
        """The finished words, and the frames in which they ended."""
        labels = np.concatenate(self._labels) if self._labels else np.zeros(0, np.int32)
        frames = np.flatnonzero(labels >= 0)
        return labels[frames].tolist(), frames


class Greedy:
    """The likeliest token of each frame, for one utterance after another. The same in one piece or in several."""

    def __init__(self, tokens: Tokens):
        self._tokens = tokens
        self._path, self._last = Path(), BLANK

    def decode(self, log_probs: np.ndarray) -> list[Found]:
        self.add(log_probs)
        return [self.end()]

    def add(self, log_probs: np.ndarray) -> list[int]:
        """The next frames (frames, tokens) of an utterance; gives the tokens that begin in them."""
        ids = log_probs.argmax(1)
        self._path.add(ids, log_probs)
        begins = np.flatnonzero(np.diff(ids, prepend=self._last))
        if len(ids):
            self._last = int(ids[-1])
        return [i for i in ids[begins].tolist() if i != BLANK]

    def end(self) -> Found:
        ids, spans = self._path.tokens()
        found = Found(ids, spans, self._tokens.words(ids), self._path.ctc(), self._path.ctc())
        self._path, self._last = Path(), BLANK
        return found
