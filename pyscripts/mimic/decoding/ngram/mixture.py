"""Linear interpolation of two n-gram models as one back-off model, as SRILM's `ngram -mix-lm` makes it."""

from collections.abc import Sequence

import numpy as np

from mimic.decoding.ngram.counts import new as differs
from mimic.decoding.ngram.counts import sorting
from mimic.decoding.ngram.kneser_ney import Grams, log10_probs, places

ROUNDS = 50
LEAST = 1e-12  # of what a history leaves to unlisted words


def fit_weight(one: Sequence[Grams], other: Sequence[Grams], rows: np.ndarray, times: np.ndarray) -> float:
    """The share of `one`, in (0, 1), under which n-grams (n-grams, order) that occur so often are most likely.

    Expectation maximisation; both models have the same words.
    """
    a, b = (10 ** log10_probs(levels, rows) for levels in (one, other))
    share = 0.5
    for _ in range(ROUNDS):
        share = float((times * share * a / (share * a + (1 - share) * b)).sum() / times.sum())
    return share


def interpolate(one: Sequence[Grams], other: Sequence[Grams], share: float) -> list[Grams]:
    """share * one + (1 - share) * other, for all n-grams that either lists; the rest by back-off.

    The models have the same words and as many orders.
    """
    words, levels = len(one[0].rows), list[Grams]()
    for n, (a, b) in enumerate(zip(one, other, strict=True), 1):
        rows = np.concatenate([a.rows[a.kept], b.rows[b.kept]])
        rows = rows[sorting(rows)]
        rows = rows[differs(rows)]
        prob = share * 10 ** log10_probs(one[:n], rows) + (1 - share) * 10 ** log10_probs(other[:n], rows)
        none, every = np.zeros(len(rows), np.int64), np.ones(len(rows), bool)
        level = Grams(rows, none, none, every, rows[:, 0].astype(np.int64), np.log10(prob), np.zeros(len(rows)))
        if n > 1:
            below = levels[-1]
            history = places(levels, rows[:, :-1], words)
            level.keys = history * words + rows[:, -1]
            listed = np.bincount(history, prob, len(below.rows))
            shorter = np.bincount(history, 10 ** log10_probs(levels, rows[:, 1:]), len(below.rows))
            below.backoff[:] = np.log10(np.maximum(1 - listed, LEAST) / np.maximum(1 - shorter, LEAST))
            below.backoff[np.bincount(history, minlength=len(below.rows)) == 0] = 0.0
        levels.append(level)
    return levels
