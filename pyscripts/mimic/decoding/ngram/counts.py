"""Counts of n-grams of a text that does not have to fit into memory: what grows is the number of different n-grams."""

from array import array
from collections import Counter
from collections.abc import Iterable

import numpy as np

UNK, BOS, EOS = range(3)  # ids of <unk>, <s>, </s>
SPECIAL = ["<unk>", "<s>", "</s>"]
CHUNK = 1 << 22  # words that are sorted at once


class NgramCounts:
    """Counts n-grams of one order, sentence begins and ends included.

    A sentence is counted with order - 1 times <s> in front, so that its beginning gives n-grams like any other word.

    Attributes:
        words: id -> word; the first three are <unk>, <s>, </s>.
        sentences, total: what was counted: sentences, and words without their ends.
    """

    def __init__(self, order: int, vocabulary: Iterable[str] | None = None):
        """vocabulary: the words that are kept, others become <unk>; None: all of them."""
        self.order, self.words = order, list(SPECIAL)
        self._ids = {word: i for i, word in enumerate(SPECIAL)}
        self._open = vocabulary is None
        self.know(vocabulary or ())
        self.sentences = self.total = 0
        self._chunk = array("i")
        self._runs: list[tuple[np.ndarray, np.ndarray]] = []

    def _id(self, word: str) -> int:
        number = self._ids[word] = len(self.words)
        self.words.append(word)
        return number

    def know(self, words: Iterable[str]) -> int:
        """Give these words a number too, though no text has them; how many were new."""
        new_words = [word for word in words if word not in self._ids]
        for word in new_words:
            self._id(word)
        return len(new_words)

    def add(self, sentence: list[str]) -> None:
        chunk, ids = self._chunk, self._ids
        chunk.extend([BOS] * (self.order - 1))
        if self._open:
            chunk.extend([ids[word] if word in ids else self._id(word) for word in sentence])
        else:
            chunk.extend([ids.get(word, UNK) for word in sentence])
        chunk.append(EOS)
        self.sentences += 1
        self.total += len(sentence)
        if len(chunk) >= CHUNK:
            self._sort()

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """The different n-grams (n-grams, order) in the order of their ids, first word first, and their counts."""
        self._sort()
        while len(self._runs) > 1:
            self._join()
        return self._runs.pop()

    def _sort(self) -> None:
        if self._chunk:
            ids = np.frombuffer(self._chunk, np.int32)
            (last,) = np.nonzero(ids != BOS)
            windows = np.lib.stride_tricks.sliding_window_view(ids, self.order)[last - self.order + 1]
            self._runs.append(merge(windows, np.ones(len(windows), np.int64)))
            del ids, windows
            self._chunk = array("i")
        while len(self._runs) > 1 and len(self._runs[-2][1]) < 2 * len(self._runs[-1][1]):
            self._join()

    def _join(self) -> None:
        one, other = self._runs.pop(), self._runs.pop()
        self._runs.append(merge(np.concatenate([other[0], one[0]]), np.concatenate([other[1], one[1]])))


def merge(rows: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort rows (n-grams, order) of ids and add up the counts of equal ones."""
    order = sorting(rows)
    rows = rows[order]
    starts = np.flatnonzero(new(rows))
    return rows[starts], np.add.reduceat(counts[order], starts)


def new(rows: np.ndarray) -> np.ndarray:
    """Which rows differ from the one before, the first included."""
    return np.append(True, (rows[1:] != rows[:-1]).any(1))


def sorting(rows: np.ndarray) -> np.ndarray:
    """The permutation that sorts rows of ids; runs that are sorted already cost little."""
    bits = max(int(rows.max()).bit_length(), 1)
    together = max(63 // bits, 1)  # columns that fit into one integer
    keys = []
    for first in range(0, rows.shape[1], together):
        key = np.zeros(len(rows), np.int64)
        for column in rows.T[first : first + together]:
            key <<= bits
            key |= column
        keys.append(key)
    return np.argsort(keys[0], kind="stable") if len(keys) == 1 else np.lexsort(keys[::-1])


def most_frequent(sentences: Iterable[list[str]], size: int) -> list[str]:
    """The `size` most frequent words, those of equal counts in C order."""
    counts: Counter[str] = Counter()
    for sentence in sentences:
        counts.update(sentence)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [word for word, _ in ranked[:size]]
