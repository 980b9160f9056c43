"""Lattices: best and n best paths under any scale, their words, alignments and times of words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mimic.hmm.kaldi import kaldifst
from mimic.hmm.model import Model

Final = tuple[float, float, bytes]


class Strings:
    """Bytes one after the other, `ends` (n,) being where each ends: a list of `bytes` without an object for each."""

    def __init__(self, data: bytes, ends: np.ndarray) -> None:
        self.data, self.ends = data, ends

    @classmethod
    def of(cls, strings: "Sequence[bytes] | Strings") -> "Strings":
        if isinstance(strings, cls):
            return strings
        return cls(b"".join(strings), np.cumsum([len(one) for one in strings], dtype=np.int64))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, place: int) -> bytes:
        return self.data[int(self.ends[place - 1]) if place else 0 : int(self.ends[place])]

    def __iter__(self) -> Iterator[bytes]:
        begin = 0
        for end in self.ends.tolist():
            yield self.data[begin:end]
            begin = end


@dataclass
class Lattice:
    """Arcs as columns: states from and to, word (0: none), graph and acoustic cost, transition ids; final states.

    State 0 is the start. Acoustic costs are unscaled negative log-likelihoods. Transition ids are int32 one after the
    other, any number on an arc (Kaldi's CompactLattice); final states have a graph and an acoustic cost and ids, too.
    """

    source: np.ndarray
    target: np.ndarray
    word: np.ndarray
    graph: np.ndarray
    acoustic: np.ndarray
    tids: Sequence[bytes] | Strings
    final: dict[int, Final]

    @property
    def states(self) -> int:
        return 1 + max(int(self.target.max(initial=0)), int(self.source.max(initial=0)), *self.final)

    def scaled(self, acwt: float) -> "Lattice":
        """The same with acoustic costs times `acwt`."""
        final = {state: (graph, acoustic * acwt, tids) for state, (graph, acoustic, tids) in self.final.items()}
        return replace(self, acoustic=self.acoustic * acwt, final=final)

    def topological(self) -> list[int]:
        """States such that every arc leads to a later one; the start comes first. ValueError: there is a cycle."""
        waiting = np.bincount(self.target, minlength=self.states).tolist()
        leaving: list[list[int]] = [[] for _ in waiting]
        for source, target in zip(self.source.tolist(), self.target.tolist(), strict=True):
            leaving[source].append(target)
        ready, out = [state for state, n in enumerate(waiting) if not n][::-1], []
        while ready:
            out.append(ready.pop())
            for target in leaving[out[-1]]:
                waiting[target] -= 1
                if not waiting[target]:
                    ready.append(target)
        if len(out) < len(waiting):
            raise ValueError("a lattice with a cycle")
        return out

    def order(self) -> list[int]:
        """Arcs such that all that enter a state come before those that leave it."""
        rank = np.empty(self.states, np.int64)
        rank[self.topological()] = np.arange(self.states)
        return np.argsort(rank[self.source], kind="stable").tolist()

    def connected(self) -> "Lattice":
        """Without arcs from which no final state is reached; the states that are left keep their order."""
        alive = np.zeros(self.states, bool)
        alive[list(self.final)] = True
        sources, targets = self.source.tolist(), self.target.tolist()
        for arc in reversed(self.order()):
            alive[sources[arc]] |= alive[targets[arc]]
        alive[0] = True
        place, kept = alive.cumsum() - 1, np.flatnonzero(alive[self.target])
        word, graph, acoustic = (column[kept] for column in (self.word, self.graph, self.acoustic))
        final = {int(place[state]): costs for state, costs in self.final.items()}
        tids = [self.tids[arc] for arc in kept.tolist()]
        return Lattice(place[self.source[kept]], place[self.target[kept]], word, graph, acoustic, tids, final)

    def best_paths(self, lmwts: Sequence[float], penalties: Sequence[float]) -> list[list[int]]:
        """The arcs of the best path for each pair of language model weight and word insertion penalty.

        The cost is that of Kaldi's scoring: graph + penalty for each word + acoustic / weight.
        """
        lmwt, penalty = np.asarray(lmwts, float), np.asarray(penalties, float)
        costs = self.graph[:, None] + self.acoustic[:, None] / lmwt + (self.word > 0)[:, None] * penalty
        best = np.full((self.states, len(lmwt)), np.inf)
        best[0] = 0
        came = np.full((self.states, len(lmwt)), -1)
        sources, targets = self.source.tolist(), self.target.tolist()
        for arc in self.order():
            new, target = best[sources[arc]] + costs[arc], targets[arc]
            better = new < best[target]
            if better.any():
                best[target][better] = new[better]
                came[target][better] = arc
        ends = np.array(sorted(self.final))
        last = best[ends] + np.array([[self.final[s][0]] for s in ends]) + [self.final[s][1] / lmwt for s in ends]
        paths = []
        for column, state in enumerate(ends[np.argmin(last, axis=0)]):
            path = []
            while (arc := came[state, column]) >= 0:
                path.append(int(arc))
                state = sources[arc]
            paths.append(path[::-1])
        return paths

    def words(self, path: Sequence[int]) -> list[int]:
        return [word for word in self.word[list(path)].tolist() if word]

    def alignment(self, path: Sequence[int]) -> np.ndarray:
        """Transition ids (frames,) of a path to a final state."""
        end = int(self.target[path[-1]]) if len(path) else 0
        return np.frombuffer(b"".join([*(self.tids[arc] for arc in path), self.final[end][2]]), np.int32)

    def nbest(self, n: int, lmwt: float, penalty: float) -> list[tuple[float, list[int]]]:
        """The n best different word sequences with their costs (in units of the graph cost), best first."""
        fst = self._labelled(self.word, lmwt, penalty)
        kaldifst.determinize_star(fst)  # of paths with the same words the best one stays
        return _shortest(fst, n)

    def nbest_paths(self, n: int, lmwt: float) -> list[list[int]]:
        """Arcs of the n best paths, best first, less those with the same words as a better one.

        Of a determinised lattice these are the paths of `nbest`, and no two have the same words.
        """
        different: dict[tuple[int, ...], list[int]] = {}
        for _, labels in _shortest(self._labelled(np.arange(1, len(self.word) + 1), lmwt), n):
            path = [label - 1 for label in labels]
            different.setdefault(tuple(self.words(path)), path)
        return list(different.values())

    def _labelled(self, labels: np.ndarray, lmwt: float, penalty: float = 0.0) -> Any:
        """An FST of kaldifst with such labels on the arcs, and the costs of `best_paths`."""
        cost = self.graph + self.acoustic / lmwt + (self.word > 0) * penalty
        rows = zip(*(column.tolist() for column in (self.source, self.target, labels, cost)), strict=True)
        text = "".join(f"{s} {t} {x} {x} {c:.7g}\n" for s, t, x, c in sorted(rows))  # state 0 has the first line
        text += "".join(f"{state} {g + a / lmwt:.7g}\n" for state, (g, a, _) in self.final.items())
        return kaldifst.compile(text, acceptor=False)


def _shortest(fst: Any, n: int) -> list[tuple[float, list[int]]]:
    """Costs and labels of the n best paths, best first."""
    found = []
    for path in kaldifst.convert_nbest_to_vector(kaldifst.shortest_path(fst, n=n)):
        _, labels, _, weight = kaldifst.get_linear_symbol_sequence(path)
        found.append((float(weight.value), list(labels)))
    return sorted(found)


def word_times(
    model: Model, boundary: Mapping[int, str], ali: np.ndarray, words: Sequence[int]
) -> list[tuple[int, int, int]]:
    """(word, first frame, frames) of each word of a path; `boundary` is phones/word_boundary.int.

    Phones know their position in the word, so that the n-th span from a beginning to an end is the n-th word.
    """
    if not len(ali):
        return []
    starts = model.phone_starts(ali)
    ends = [*starts[1:].tolist(), len(ali)]
    found, begun = [], 0
    for start, end, phone in zip(starts.tolist(), ends, model.tid_phone[ali[starts]].tolist(), strict=True):
        position = boundary[phone]
        if position in ("begin", "singleton"):
            begun = start
        if position in ("end", "singleton"):
            found.append((begun, end - begun))
    return [(word, *place) for word, place in zip(words, found, strict=False)]
