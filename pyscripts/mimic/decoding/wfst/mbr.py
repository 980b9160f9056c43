"""Minimum Bayes risk decoding of lattices: the words with the fewest expected errors, and how sure they are.

Source: Xu, Povey, Mangu and Zhu, "Minimum Bayes risk decoding and system combination based on a recursion for edit
distance", Computer Speech & Language 25 (2011), section 4. All pairs of scales are computed side by side.
"""

from collections.abc import Sequence

import kaldialign
import numpy as np

from mimic.decoding.wfst.lattice import Lattice

DELETION = 1 + 1e-5  # of a word of the lattice: a little more than its substitution for a word of the hypothesis
NEAR = 1e-9  # expected errors that differ by less are equal: the last digits differ between processors
CELLS = 20_000_000  # of one table
SUBSTITUTED, DELETED, INSERTED = range(3)

Words = list[tuple[int, float]]


def decode(lattice: Lattice, lmwts: Sequence[float], penalties: Sequence[float], beam: float = 7.0) -> list[Words]:
    """For each pair of language model weight and word insertion penalty (word, confidence) of each word.

    Costs are those of `Lattice.best_paths`; paths that cost more than `beam` above the best do not count. A
    confidence, from 0 to 1, is the probability of the word at its place.
    """
    first = [lattice.words(path) for path in lattice.best_paths(lmwts, penalties)]
    size = max(lattice.states + 1, len(set(lattice.word.tolist()))) * (2 * max(map(len, first)) + 2)
    step = max(1, CELLS // size)
    found: list[Words] = []
    for begin in range(0, len(first), step):
        part = slice(begin, begin + step)
        found += _Risk(lattice, lmwts[part], penalties[part], beam).fewest(first[part])
    return found


def timed(words: Words, spans: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int, float]]:
    """(word, first frame, frames, confidence) of words of `decode`; spans: (word, first frame, frames) of a path.

    A word has the span of the one that it stands for in an alignment with the fewest errors, and where there is none
    the frames between those of its neighbours, at least one.
    """
    found: list[tuple[int, int, int, float]] = []
    left, end = list(spans), 0
    for of_path, word in kaldialign.align([word for word, *_ in spans], [word for word, _ in words], -1):
        start, frames = left.pop(0)[1:] if of_path != -1 else (end, max(1, left[0][1] - end if left else 1))
        end = start + frames
        if word != -1:
            found.append((word, start, frames, words[len(found)][1]))
    return found


class _Risk:
    """Expected edit distances between hypotheses, one for each pair of scales, and all paths of a lattice."""

    def __init__(self, lattice: Lattice, lmwts: Sequence[float], penalties: Sequence[float], beam: float) -> None:
        lmwt, penalty, ends = np.asarray(lmwts, float), np.asarray(penalties, float), sorted(lattice.final)
        self.end = lattice.states  # one more state, which all paths reach
        graph, acoustic = (np.array([lattice.final[state][i] for state in ends]) for i in (0, 1))
        graph, acoustic = np.append(lattice.graph, graph), np.append(lattice.acoustic, acoustic)
        word = np.append(lattice.word, np.zeros(len(ends), int))
        rank = np.empty(self.end + 1, int)
        rank[[*lattice.topological(), self.end]] = np.arange(self.end + 1)
        source = rank[np.append(lattice.source, ends)]
        target = rank[np.append(lattice.target, np.full(len(ends), self.end))]
        order = np.argsort(target, kind="stable")
        self.source, self.target, word = source[order], target[order], word[order]
        cost = (graph[:, None] + acoustic[:, None] / lmwt)[order] + (word > 0)[:, None] * penalty  # (arcs, pairs)
        self.states = _entering(self.target)
        cost[self._above_best(cost) > beam] = np.inf
        kept = np.isfinite(cost).any(axis=1)
        self.source, self.target, cost = self.source[kept], self.target[kept], cost[kept]
        self.states = _entering(self.target)
        self.words, self.word = np.unique(np.append(0, word[kept]), return_inverse=True)  # 0, for no word, is the first
        self.word = self.word[1:]
        self.share = self._shares(cost)

    def _above_best(self, cost: np.ndarray) -> np.ndarray:
        """How much more the best path through each arc costs than the best of all, (arcs, pairs)."""
        before = np.full((self.end + 1, cost.shape[1]), np.inf)
        after = before.copy()
        before[0] = after[self.end] = 0
        for state, arcs in self.states:
            before[state] = (before[self.source[arcs]] + cost[arcs]).min(axis=0)
        for state, arcs in reversed(self.states):
            np.minimum.at(after, self.source[arcs], cost[arcs] + after[state])
        return before[self.source] + cost + after[self.target] - before[self.end]

    def _shares(self, cost: np.ndarray) -> np.ndarray:
        """The probability of each arc among those that enter its state, (arcs, pairs)."""
        share, total = np.zeros_like(cost), np.full((self.end + 1, cost.shape[1]), -np.inf)
        total[0] = 0
        for state, arcs in self.states:
            paths = total[self.source[arcs]] - cost[arcs]
            total[state] = np.logaddexp.reduce(paths, axis=0)
            np.exp(paths - np.fmax(total[state], -1e300), out=share[arcs])
        return share

    def fewest(self, words: Sequence[list[int]]) -> list[Words]:
        """The hypotheses with the fewest expected errors that are reached from these."""
        found: list[Words] = [[] for _ in words]
        risks, pairs, words = np.full(len(words), np.inf), np.arange(len(words)), list(words)
        while len(pairs):
            lengths = np.array([2 * len(words[pair]) + 1 for pair in pairs])
            places = np.zeros((lengths.max(), len(pairs)), int)  # a word, or none before, between and after words
            for column, pair in enumerate(pairs):
                places[1 : lengths[column] : 2, column] = np.searchsorted(self.words, words[pair])
            risk, counts = self._expected(places, lengths, pairs)
            change = []
            for column, pair in enumerate(pairs):
                if risk[column] >= risks[pair] - NEAR:
                    continue
                risks[pair], now = risk[column], places[: lengths[column], column]
                at, count = np.arange(len(now)), counts[:, : len(now), column]
                found[pair] = [(int(self.words[w]), float(p)) for w, p in zip(now, count[now, at], strict=True) if w]
                most = count.max(axis=0) - NEAR
                best = np.where(count[now, at] >= most, now, (count >= most).argmax(axis=0))
                words[pair] = self.words[best[best > 0]].tolist()
                if words[pair] != [word for word, _ in found[pair]]:
                    change.append(pair)
            pairs = np.array(change, int)
        return found

    def _expected(self, places: np.ndarray, lengths: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Expected errors of each pair, and how often each word stands at each place, (words, places, pairs)."""
        size, columns = places.shape[0] + 1, np.arange(len(pairs))
        missed = np.zeros((size, len(pairs)))  # errors of the first places where no word stands
        missed[1:] = (places > 0).cumsum(axis=0)
        errors = np.zeros((self.end + 1, size, len(pairs)))
        errors[0] = missed
        how = np.full((len(self.word), size, len(pairs)), DELETED, np.int8)
        for state, arcs in self.states:
            word, before = self.word[arcs, None, None], errors[self.source[arcs]]
            least = before + (word > 0) * DELETION
            swapped = before[:, :-1] + (places != word)
            how[arcs, 1:][swapped <= least[:, 1:] + NEAR] = SUBSTITUTED
            least[:, 1:] = np.minimum(least[:, 1:], swapped)
            least -= missed
            reached = np.minimum.accumulate(least, axis=1)
            how[arcs][least > reached + NEAR] = INSERTED
            reached += missed
            errors[state] = np.einsum("ap,akp->kp", self.share[arcs][:, pairs], reached)

        counts = np.zeros((len(self.words), size - 1, len(pairs)))
        mass = np.zeros_like(errors)
        mass[self.end, lengths, columns] = 1
        for state, arcs in reversed(self.states):
            part = self.share[arcs][:, pairs][:, None] * mass[state]
            inserted = how[arcs] == INSERTED
            part = _carried(part, inserted)
            counts[0] += (part * inserted)[:, 1:].sum(axis=0)
            standing = part[:, 1:] * (how[arcs, 1:] == SUBSTITUTED)
            np.add.at(counts, self.word[arcs], standing)
            part *= how[arcs] == DELETED
            part[:, :-1] += standing
            np.add.at(mass, self.source[arcs], part)
        counts[0] += mass[0, ::-1].cumsum(axis=0)[-2::-1]
        return errors[self.end, lengths, columns], counts


def _entering(target: np.ndarray) -> list[tuple[int, slice]]:
    """States with the arcs that enter them, each after all states before it; target: of each arc, ascending."""
    states, begins = np.unique(target, return_index=True)
    ends = [*begins[1:].tolist(), len(target)]
    return [(state, slice(*arcs)) for state, *arcs in zip(states.tolist(), begins.tolist(), ends, strict=True)]


def _carried(mass: np.ndarray, inserted: np.ndarray) -> np.ndarray:
    """What reaches each place, (arcs, places + 1, pairs), where an inserted one passes all on to the one before it."""
    size = mass.shape[1]
    sums = np.zeros((mass.shape[0], size + 1, mass.shape[2]))  # of all from a place
    sums[:, :-1] = mass[:, ::-1].cumsum(axis=1)[:, ::-1]
    stop = np.full(sums.shape, size)  # the first place from one on that keeps what it has
    stop[:, :-1] = np.where(inserted, size, np.arange(size)[:, None])
    stop = np.minimum.accumulate(stop[:, ::-1], axis=1)[:, ::-1]
    return sums[:, :-1] - np.take_along_axis(sums, stop[:, 1:], axis=1)
