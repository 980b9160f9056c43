"""Determinisation of lattices: of every sequence of words its best alignment stays, in an acceptor that has each once.

The algorithm is that of Povey et al., "Generating exact lattices in the WFST framework" (ICASSP 2012): subset
construction over pairs of cost and transition ids, the best arcs first, up to a beam. As in Kaldi a first pass takes
phones with the words, because its subsets are small, and a second one the words alone.
"""

from collections.abc import Iterator
from dataclasses import replace
from heapq import heapify, heappop, heappush

import numpy as np

from mimic.decoding.wfst.lattice import Lattice

DELTA = 1 / 1024  # subsets whose costs differ by no more are the same, as in Kaldi
Element = tuple[int, float, float, bytes]  # state; scaled total and graph cost, transition ids since the subset began
Subset = list[Element]  # sorted by state


def determinize_phones(
    lattice: Lattice, phone: np.ndarray, beam: float, acwt: float, max_elements: int
) -> tuple[Lattice, float]:
    """Determinise with the phones first; `phone` (arcs,): which one begins with an arc, 0 for none.

    Gives the lattice and the beam that it has: `beam`, or less where more than `max_elements` would be taken.
    """
    width = int(phone.max(initial=0)) + 1
    phone = np.where(lattice.source == 0, 0, phone)  # as in Kaldi, where initial silence divides nothing
    phones, first = determinize(replace(lattice, word=lattice.word * width + phone), beam, acwt, max_elements)
    words, second = determinize(replace(phones, word=phones.word // width), beam, acwt, max_elements)
    return words, min(first, second)


def determinize(lattice: Lattice, beam: float, acwt: float, max_elements: int) -> tuple[Lattice, float]:
    """Determinise over the words; costs are compared with acoustic ones scaled by `acwt`. Gives the same."""
    work = _Determinizer(lattice, beam, acwt)
    effective = work.run(max_elements)
    source, target, word, total, graph, tids = zip(*work.arcs, strict=True) if work.arcs else [()] * 6
    costs = np.array(graph, float)
    sources, targets, words = (np.array(column, np.int64) for column in (source, target, word))
    out = Lattice(sources, targets, words, costs, (np.array(total, float) - costs) / acwt, list(tids), {})
    out.final = {state: (g, (t - g) / acwt, ids) for state, (t, g, ids) in work.final.items()}
    return out.connected(), effective


class _Subsets:
    """A table whose keys are subsets; costs may differ by rounding."""

    def __init__(self) -> None:
        self.known: dict[tuple, list[tuple[list[float], tuple]]] = {}

    def find(self, subset: Subset) -> tuple | None:
        found = self.known.get(tuple((state, tids) for state, _, _, tids in subset), ())
        for costs, value in found:
            if all(abs(one - element[1]) <= DELTA for one, element in zip(costs, subset, strict=True)):
                return value
        return None

    def add(self, subset: Subset, value: tuple) -> None:
        key = tuple((state, tids) for state, _, _, tids in subset)
        self.known.setdefault(key, []).append(([total for _, total, _, _ in subset], value))


class _Determinizer:
    """Arcs and final states of the new lattice as they are found."""

    def __init__(self, lattice: Lattice, beam: float, acwt: float) -> None:
        order = lattice.topological()
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        states = len(order) + len(lattice.final)
        self.epsilon: list[list] = [[] for _ in range(states)]
        self.labelled: list[list] = [[] for _ in range(states)]
        self.ends: dict[int, tuple[float, float, bytes]] = {}
        for end, (state, (graph, acoustic, tids)) in enumerate(lattice.final.items(), len(order)):
            costs = (graph + acoustic * acwt, graph)
            if tids:  # which an arc can share with others, a final state cannot
                self.epsilon[rank[state]].append((end, *costs, tids))
                self.ends[end] = (0.0, 0.0, b"")
            else:
                self.ends[int(rank[state])] = (*costs, b"")
        total = lattice.graph + lattice.acoustic * acwt
        columns = (rank[lattice.source], rank[lattice.target], lattice.word, total, lattice.graph)
        for source, target, word, *rest in zip(*(c.tolist() for c in columns), lattice.tids, strict=True):
            if word:
                self.labelled[source].append((word, target, *rest))
            else:
                self.epsilon[source].append((target, *rest))
        self.to_end = [np.inf] * states  # cost of the best way to the end
        for state in reversed(range(states)):
            onward = [self.ends[state][0]] if state in self.ends else []
            onward += [arc[1] + self.to_end[arc[0]] for arc in self.epsilon[state]]
            onward += [arc[2] + self.to_end[arc[1]] for arc in self.labelled[state]]
            self.to_end[state] = min(onward, default=np.inf)
        self.beam, self.cutoff = beam, self.to_end[0] + beam
        self.forward: list[float] = []  # of each new state, the cost of the best way to it
        self.arcs: list[tuple[int, int, int, float, float, bytes]] = []
        self.final: dict[int, tuple[float, float, bytes]] = {}
        self.queue: list[tuple[float, int, int, int, dict]] = []  # transitions to come, the best first
        self.serial = self.elements = 0
        self.minimal, self.initial = _Subsets(), _Subsets()

    def run(self, max_elements: int) -> float:
        """Follow transitions while they are within the beam; gives the beam that was reached."""
        self._new_state(self._closure([(0, 0.0, 0.0, b"")]), 0.0)
        while self.queue:
            if self.elements > max_elements and self.final:
                return self.queue[0][0] - self.to_end[0]
            _, _, source, word, elements = heappop(self.queue)
            total, graph, tids, subset = _normalised(sorted((state, *rest) for state, rest in elements.items()))
            found = self.initial.find(subset)
            if found is None:
                more, more_graph, more_tids, minimal = _normalised(self._closure(subset))
                cost = self.forward[source] + total + more
                state = self.minimal.find(minimal) or self._new_state(minimal, cost)
                found = (*state, more, more_graph, more_tids)
                self.initial.add(subset, found)
            target, more, more_graph, more_tids = found
            self.arcs.append((source, target, word, total + more, graph + more_graph, tids + more_tids))
        return self.beam

    def _closure(self, subset: Subset) -> Subset:
        """What arcs without a word lead to, the best way to each; only states that words leave, or final ones."""
        best = {state: (total, graph, tids) for state, total, graph, tids in subset}
        waiting, epsilon = list(best), self.epsilon  # states are in topological order, so each is taken once
        heapify(waiting)
        reached = []
        while waiting:
            state = heappop(waiting)
            total, graph, tids = best[state]
            if self.labelled[state] or state in self.ends:
                reached.append((state, total, graph, tids))
            for target, arc_total, arc_graph, arc_tids in epsilon[state]:
                cost = total + arc_total
                if target not in best:
                    heappush(waiting, target)
                elif cost > best[target][0]:
                    continue
                new = (cost, graph + arc_graph, tids + arc_tids)
                if target not in best or new < best[target]:
                    best[target] = new
        self.elements += len(best)
        return reached

    def _new_state(self, subset: Subset, forward: float) -> tuple[int]:
        """A state for a subset, with what ends in it and, in the queue, what leaves it."""
        number = len(self.forward)
        self.forward.append(forward)
        self.minimal.add(subset, (number,))
        ends = [_after(element, self.ends[element[0]]) for element in subset if element[0] in self.ends]
        if ends and forward + min(ends)[0] <= self.cutoff:
            self.final[number] = min(ends)
        for word, elements in self._transitions(subset).items():
            cost = forward + min(rest[0] + self.to_end[state] for state, rest in elements.items())
            if cost <= self.cutoff:
                heappush(self.queue, (cost, self.serial, number, word, elements))
                self.serial += 1
        return (number,)

    def _transitions(self, subset: Subset) -> dict[int, dict[int, tuple[float, float, bytes]]]:
        """Of each word the states that it leads to, with the best way to each."""
        by_word: dict[int, dict[int, tuple[float, float, bytes]]] = {}
        for element in subset:
            for word, target, *arc in self.labelled[element[0]]:
                reached, new = by_word.setdefault(word, {}), _after(element, arc)
                if target not in reached or new < reached[target]:
                    reached[target] = new
        return by_word


def _after(element: Element, arc: tuple[float, float, bytes]) -> tuple[float, float, bytes]:
    return element[1] + arc[0], element[2] + arc[1], element[3] + arc[2]


def _normalised(subset: Subset) -> tuple[float, float, bytes, Subset]:
    """Costs of the best element and the transition ids that all begin with, and the subset without them."""
    total, graph = min((total, graph) for _, total, graph, _ in subset)
    low, high = (pick(tids for *_, tids in subset) for pick in (min, max))
    end = next(_differences(low, high))
    return total, graph, low[:end], [(s, t - total, g - graph, tids[end:]) for s, t, g, tids in subset]


def _differences(low: bytes, high: bytes) -> Iterator[int]:
    """Where the ids of two strings differ; at last the end of the shorter one."""
    for at in range(0, len(low), 4):
        if low[at : at + 4] != high[at : at + 4]:
            yield at
    yield len(low)
