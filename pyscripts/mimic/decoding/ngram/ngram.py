"""N-gram language models from ARPA files."""

import math
from pathlib import Path

import numpy as np

from mimic.decoding.ngram.arpa import read
from mimic.errors import UserError

START, END, UNKNOWN = "<s>", "</s>", "<unk>"


class Ngram:
    """A backoff model over the words of an ARPA file: log p(w | h) = p(h w) where it is listed, else backoff(h) + the
    same with a shorter h.

    A context is an integer: 0 is the empty one. All n-grams lie in one array, sorted by context * words + word.
    Probabilities are natural logarithms.
    """

    def __init__(self, path: str | Path):
        """Raises UserError, with the line, for what is not ARPA."""
        self.ids: dict[str, int] = {}
        orders = read(Path(path), self.ids)
        self.words = list(self.ids)
        self._keys = np.zeros(0, np.int64)
        self._log_probs, self._next = np.zeros(0), np.zeros(0, np.int64)
        self.backoff, self.shorter = np.zeros(1), np.zeros(1, np.int64)  # per context
        for n, (words, log_probs, backoff) in enumerate(orders, 1):
            ids = np.frombuffer(words, np.int32).reshape(-1, n).astype(np.int64)
            self._add(ids, np.frombuffer(log_probs), np.frombuffer(backoff), n == len(orders), str(path))
        self.start = int(self.advance(0, self.ids[START])) if START in self.ids else 0

    def _add(self, words: np.ndarray, log_probs: np.ndarray, backoff: np.ndarray, longest: bool, path: str) -> None:
        """Add the n-grams of one order, words (ngrams, order); those of shorter orders are there already."""
        context = np.zeros(len(words), np.int64)
        for column in words.T[:-1]:
            at, found = self._find(context, column)
            if not found.all():
                missing = " ".join(self.words[i] for i in words[found.argmin()])
                raise UserError(f"{path}: {words.shape[1]}-gram {missing!r}: its beginning is not listed as an n-gram")
            context = self._next[at]
        last = words[:, -1]
        shorter = self.advance(self.shorter[context], last) if words.shape[1] > 1 else context
        following = shorter
        if not longest:
            following = len(self.backoff) + np.arange(len(words))
            self.backoff, self.shorter = np.append(self.backoff, backoff), np.append(self.shorter, shorter)
        keys = np.concatenate([self._keys, context * len(self.words) + last])
        order = keys.argsort()
        self._keys = keys[order]
        twice = np.flatnonzero(self._keys[1:] == self._keys[:-1])
        if len(twice):
            again = " ".join(self.words[i] for i in words[order[twice[0] + 1] - len(keys) + len(words)])
            raise UserError(f"{path}: {words.shape[1]}-gram {again!r} is listed twice")
        self._log_probs = np.concatenate([self._log_probs, log_probs])[order]
        self._next = np.concatenate([self._next, following])[order]

    def _find(self, context: np.ndarray, word: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions of n-grams, and whether they are listed."""
        if not len(self._keys):
            return np.zeros_like(context), np.zeros(context.shape, bool)
        keys = context * len(self.words) + word
        at = np.searchsorted(self._keys, keys).clip(max=len(self._keys) - 1)
        return at, self._keys[at] == keys

    def advance(self, context: np.ndarray | int, word: np.ndarray | int) -> np.ndarray:
        """The contexts after these words: the longest listed ones."""
        contexts, words = np.broadcast_arrays(np.asarray(context), np.asarray(word))
        result, contexts = np.zeros(contexts.shape, np.int64), contexts.copy()
        open_ = np.ones(contexts.shape, bool)
        while open_.any():
            at, found = self._find(contexts, words)
            result = np.where(open_ & found, self._next[at] if len(self._keys) else 0, result)
            open_ &= ~found & (contexts > 0)
            contexts = self.shorter[contexts]
        return result

    def log_prob(self, context: int, word: int) -> float:
        """log p(word | context)."""
        total = 0.0
        while True:
            at, found = self._find(np.asarray(context), np.asarray(word))
            if found:
                return total + float(self._log_probs[at])
            if not context:
                return -math.inf
            total += float(self.backoff[context])
            context = int(self.shorter[context])

    def arcs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """All n-grams: context, last word, log-probability, and the context after it; sorted by context and word."""
        return self._keys // len(self.words), self._keys % len(self.words), self._log_probs, self._next

    def row(self, context: int) -> tuple[np.ndarray, np.ndarray]:
        """log p(w | context) of all words, and the contexts after them."""
        chain = [context]
        while chain[-1]:
            chain.append(int(self.shorter[chain[-1]]))
        log_probs, following = np.full(len(self.words), -np.inf), np.zeros(len(self.words), np.int64)
        for shorter in reversed(chain):
            log_probs += self.backoff[shorter]
            begin, end = np.searchsorted(self._keys, [shorter * len(self.words), (shorter + 1) * len(self.words)])
            words = self._keys[begin:end] - shorter * len(self.words)
            log_probs[words], following[words] = self._log_probs[begin:end], self._next[begin:end]
        return log_probs, following
