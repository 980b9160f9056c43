"""Interpolated modified Kneser-Ney estimates of n-gram models, as lmplz of KenLM has them.

Chen and Goodman, "An Empirical Study of Smoothing Techniques for Language Modeling", 1998; Heafield et al., "Scalable
Modified Kneser-Ney Language Model Estimation", ACL 2013: adjusted counts, discounts, and what pruning leaves to shorter
histories.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mimic.decoding.ngram.counts import BOS, new, sorting

log = logging.getLogger(__name__)
FALLBACK = (0.5, 1.0, 1.5)  # discounts where a text is too small to estimate them


@dataclass
class Grams:
    """The n-grams of one order, sorted by their words; log10 probabilities and backoffs.

    Attributes:
        rows: (n-grams, order) ids of words.
        kept: (n-grams,) those that pruning leaves.
    """

    rows: np.ndarray
    raw: np.ndarray  # occurrences
    adjusted: np.ndarray  # different words in front; of n-grams that begin with <s> and of the highest order, raw
    kept: np.ndarray
    keys: np.ndarray  # row of the history among the shorter n-grams * words + last word: sorted too
    prob: np.ndarray
    backoff: np.ndarray


def estimate(rows: np.ndarray, counts: np.ndarray, words: int, prune: Sequence[int] = ()) -> list[Grams]:
    """N-gram model of these counts (counts.NgramCounts) over so many words.

    prune: for orders from 1 on, n-grams that occur so often or less are left out, the first 0; orders beyond the end
    take the last value. <unk> gets the probability of a word that was never seen.
    """
    levels = _adjusted(rows, counts, words)
    uniform = 1 / (words - 1)  # over all but <s>
    for n, level in enumerate(levels, 1):
        limit = prune[min(n, len(prune)) - 1] if prune else 0
        level.kept = (level.raw > limit) | (n == 1)
        discounts = _discounts(level.adjusted, n, _last(level, rows) if n < len(levels) else None)
        used = np.where(level.kept, level.adjusted, 0)
        off = discounts[np.minimum(used, 3)]
        starts, group = _histories(level.rows)
        total = np.add.reduceat(level.adjusted, starts)
        left = np.add.reduceat(off + (level.adjusted - used), starts) / total  # for the shorter history
        level.prob = (used - off) / total[group]
        if n == 1:
            level.prob += left[0] * uniform
            level.prob[BOS] = 1.0
            level.keys = level.rows[:, 0].astype(np.int64)
        else:
            below = levels[n - 2]
            history = places(levels, level.rows[:, :-1], words)
            level.keys = history * words + level.rows[:, -1]
            below.backoff[history[starts]] = left
            level.prob += left[group] * below.prob[places(levels, level.rows[:, 1:], words)]
    for level in levels:
        with np.errstate(divide="ignore"):
            level.prob, level.backoff = np.log10(level.prob), np.log10(level.backoff)
    return levels


def _adjusted(rows: np.ndarray, counts: np.ndarray, words: int) -> list[Grams]:
    """The n-grams of all orders with their counts, from those of the highest, whose sentences begin with many <s>."""
    order = rows.shape[1]
    begins = (rows == BOS).sum(1)  # how many <s> are in front
    top = begins <= 1
    levels = [_level(rows[top], counts[top], counts[top])]
    for n in range(order - 1, 0, -1):
        above = levels[0]
        suffixes = above.rows[:, 1:]
        arranged = sorting(suffixes)
        suffixes = suffixes[arranged]
        starts = np.flatnonzero(new(suffixes))
        raw = np.add.reduceat(above.raw[arranged], starts)
        adjusted = np.diff(np.append(starts, len(suffixes)))
        first = begins == order - n + 1  # begins with <s>: no word can be in front
        found = np.concatenate([suffixes[starts], rows[first][:, order - n :]])
        raw, adjusted = np.append(raw, counts[first]), np.append(adjusted, counts[first])
        arranged = sorting(found)
        levels.insert(0, _level(found[arranged], raw[arranged], adjusted[arranged]))
    # Every word has its row, <unk> and <s> too.
    seen, levels[0] = levels[0], _level(np.arange(words, dtype=np.int32)[:, None], *np.zeros((2, words), np.int64))
    for name in ("raw", "adjusted"):
        getattr(levels[0], name)[seen.rows[:, 0]] = getattr(seen, name)
    return levels


def _level(rows: np.ndarray, raw: np.ndarray, adjusted: np.ndarray) -> Grams:
    none = np.zeros(0)
    return Grams(rows, raw, adjusted, none, none, none, np.ones(len(rows)))


def _last(level: Grams, rows: np.ndarray) -> tuple[int, int] | None:
    """Adjusted count and occurrences of the last n-gram of a shorter order, sorted from the last word to the first.

    lmplz estimates discounts from its occurrences. It is one n-gram, but of a small text one is a digit of the result.
    """
    for place in range(rows.shape[1] - 1, -1, -1):
        rows = rows[rows[:, place] == rows[:, place].max()]
    gram = rows[0, rows.shape[1] - level.rows.shape[1] :]
    (at,) = (level.rows == gram).all(1).nonzero()
    return (level.adjusted[at[0]], level.raw[at[0]]) if len(at) else None


def _discounts(adjusted: np.ndarray, order: int, last: tuple[int, int] | None) -> np.ndarray:
    """What is taken from n-grams with adjusted counts of 0, 1, 2, and 3 or more."""
    seen = np.bincount(np.minimum(adjusted, 5), minlength=6)
    if last:
        np.add.at(seen, np.minimum(last, 5), [-1, 1])
    _, n1, n2, n3, n4 = seen[:5]
    if n1 and n2 and n3:
        y = n1 / (n1 + 2 * n2)
        found = np.array([0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
        if (found >= 0).all() and (found <= [0, 1, 2, 3]).all():
            return found
    log.info("order %d: too few n-grams to estimate discounts: %s are taken", order, " ".join(map(str, FALLBACK)))
    return np.array([0, *FALLBACK])


def _histories(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each history begins among sorted n-grams, and the history of each."""
    first = new(rows[:, :-1])
    return np.flatnonzero(first), first.cumsum() - 1


def places(levels: Sequence[Grams], rows: np.ndarray, words: int) -> np.ndarray:
    """Where n-grams (n-grams, order) stand among those of their order."""
    at = rows[:, 0].astype(np.int64)
    for level, column in zip(levels[1:], rows.T[1:], strict=False):
        at = np.searchsorted(level.keys, at * words + column)
    return at


def log10_probs(levels: Sequence[Grams], rows: np.ndarray) -> np.ndarray:
    """Log-probability of the last word of each row (rows, order) after the others; n-grams as counts has them."""
    words, order = len(levels[0].rows), rows.shape[1]
    found = np.zeros(len(rows))
    pending = np.arange(len(rows))
    for n in range(order, 0, -1):
        at, there = _listed(levels[:n], rows[pending, order - n :], words)
        found[pending[there]] += levels[n - 1].prob[at[there]]
        pending = pending[~there]
        if n > 1:
            at, there = _listed(levels[: n - 1], rows[pending, order - n : -1], words)
            found[pending[there]] += levels[n - 2].backoff[at[there]]
    return found


def _listed(levels: Sequence[Grams], rows: np.ndarray, words: int) -> tuple[np.ndarray, np.ndarray]:
    """Where n-grams stand among those of their order, and whether they do."""
    at, there = rows[:, 0].astype(np.int64), np.ones(len(rows), bool)
    for level, column in zip(levels[1:], rows.T[1:], strict=True):
        keys = at * words + column
        at = np.searchsorted(level.keys, keys).clip(max=len(level.keys) - 1)
        there &= level.keys[at] == keys
    return at, there & levels[-1].kept[at]
