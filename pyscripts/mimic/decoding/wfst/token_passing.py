"""Lattice beam search in a decoding graph (HCLG): token passing over the frames of one utterance.

Povey et al., "Generating exact lattices in the WFST framework", ICASSP 2012. One token at a time, it is

    cost = {start: 0}                                          # token of each state: the best path to it
    for frame in frames:
        new = {}
        for state in cost, if cost[state] <= cutoff:
            for arc in emitting arcs of state:                 # each takes the frame
                new[arc.target] = min(new.get(arc.target, inf), cost[state] + arc.cost - loglike[frame, arc.tid])
        for state in new, best first:
            for arc in epsilon arcs of state:                  # these take none
                new[arc.target] = min(new.get(arc.target, inf), new[state] + arc.cost)
        cost = new

with the arcs within the beam recorded as links of a lattice. Below, the tokens of a frame are one set of arrays, and
their arcs are followed all at once; tests/unit/test_lattice_decoder.py compares the result with an exhaustive search.
"""

import numpy as np

from mimic.decoding.wfst.graph_file import Graph
from mimic.decoding.wfst.pruning import Frame, Links, prune

PRUNE_EVERY = 25  # frames, Kaldi's --prune-interval


class TokenPassing:
    """The tokens of one utterance.

    Args:
        graph: what to search.
        beam: largest difference in cost from the best token of a frame.
        max_active: so many tokens of a frame are expanded, the best ones.
        min_active: so many are expanded where the beam holds fewer of them.
        beam_delta: the beam of the next frame is so much wider than what either number leaves of this one.
        lattice_beam: largest extra cost of a path in the lattice over the best one.
    """

    def __init__(
        self, graph: Graph, beam: float, max_active: int, lattice_beam: float,
        min_active: int = 200, beam_delta: float = 0.5,
    ) -> None:  # fmt: skip
        self.graph, self.beam, self.max_active = graph, beam, max_active
        self.lattice_beam = min(lattice_beam, float(np.finfo(float).max))  # what leads to no end has infinite costs
        self.min_active, self.beam_delta = min(min_active, max_active), beam_delta
        self.place = np.full(len(graph.final), -1, np.int32)  # of each state's token among those of the frame
        nothing = np.zeros(0, np.int64)
        self.states, self.cost = np.array([graph.start]), np.zeros(1)
        self.place[self.states] = 0
        self.frames: list[Frame] = []
        self._close(Links(nothing, nothing, nothing, np.zeros(0, np.float32)), beam)

    def __call__(self, scores: np.ndarray, column: np.ndarray | None = None) -> bool:
        """Pass the tokens over scaled log-likelihoods (frames, transition ids). False where no token survives.

        column: for scores of pdfs, the column of each transition id, from 1 on.
        """
        scores = (scores if column is None else scores[:, column]).astype(np.float32, copy=False)
        self.graph.check(scores.shape[1])
        for number, row in enumerate(scores, 1):
            if not self._advance(row):
                return False
            if number % PRUNE_EVERY == 0:
                self._prune(number - PRUNE_EVERY, np.zeros(len(self.cost)))
        return True

    def _advance(self, row: np.ndarray) -> bool:
        """One frame: follow the emitting arcs. A state that several paths reach has the cost of the best one."""
        (cutoff, beam), arcs = self._cutoff(), self.graph.emitting
        active = np.flatnonzero(self.cost <= cutoff)
        source, arc = arcs.arcs_from(self.states[active])
        if not len(arc):
            return False
        acoustic = -row[arcs.tid[arc] - 1]
        cost = self.cost[active][source] + arcs.cost[arc] + acoustic
        if not np.isfinite(best := cost.min()):
            return False
        if not len(kept := np.flatnonzero(cost < best + beam)):
            return False
        target, cost = arcs.target[arc[kept]], cost[kept]
        self.place[self.states] = -1
        self.states = self._add_tokens(target, 0)
        reached = self.place[target]
        self.cost = np.full(len(self.states), np.inf)
        np.minimum.at(self.cost, reached, cost)
        self._close(Links(active[source[kept]], reached, arc[kept], acoustic[kept]), best + beam)
        return True

    def _cutoff(self) -> tuple[float, float]:
        """Cost up to which tokens are expanded, and the next frame's beam, as GetCutoff of LatticeFasterDecoder."""
        best, tokens = self.cost.min(), len(self.cost)
        within = best + self.beam
        if tokens > self.max_active:
            cutoff = np.partition(self.cost, self.max_active)[self.max_active]
            if cutoff < within:
                return cutoff, cutoff - best + self.beam_delta
        cutoff = np.partition(self.cost, self.min_active)[self.min_active] if tokens > self.min_active else np.inf
        if cutoff > within:
            return cutoff, cutoff - best + self.beam_delta
        return within, self.beam

    def _close(self, emitting: Links, limit: float) -> None:
        """End a frame: follow the epsilon arcs up to this cost, as long as a token gets better."""
        arcs, front = self.graph.epsilon, np.arange(len(self.cost))
        while len(front):
            source, arc = arcs.arcs_from(self.states[front])
            cost, target = self.cost[front][source] + arcs.cost[arc], arcs.target[arc]
            kept = np.flatnonzero(cost < limit)
            cost, target = cost[kept], target[kept]
            new = self._add_tokens(target[np.flatnonzero(self.place[target] < 0)], len(self.states))
            self.states = np.concatenate([self.states, new])
            self.cost = np.concatenate([self.cost, np.full(len(new), np.inf)])
            reached = self.place[target]
            better = np.zeros(len(self.cost), bool)
            better[reached[cost < self.cost[reached]]] = True
            np.minimum.at(self.cost, reached, cost)
            front = np.flatnonzero(better)
        source, arc = arcs.arcs_from(self.states)
        kept = np.flatnonzero(self.cost[source] + arcs.cost[arc] < limit)
        source, arc = source[kept], arc[kept]
        epsilon = Links(source, self.place[arcs.target[arc]], arc, np.zeros(len(arc), np.float32))
        self.frames.append(Frame(self.cost, emitting, epsilon))

    def _add_tokens(self, target: np.ndarray, number: int) -> np.ndarray:
        """Number the tokens of new states from `number` on; a state may stand in `target` several times."""
        order = np.arange(len(target), dtype=np.int32)
        self.place[target] = order
        new = target[np.flatnonzero(self.place[target] == order)]
        self.place[new] = number + order[: len(new)]
        return new

    def _prune(self, begin: int, extra: np.ndarray) -> None:
        prune(self.frames, self.graph, begin, extra, self.lattice_beam)

    @property
    def reached_final(self) -> bool:
        """Whether a token is in a final state."""
        return bool(np.isfinite(self.graph.final[self.states]).any())

    def paths(self) -> tuple[list[np.ndarray], dict[int, float]]:
        """The lattice: columns source, target, transition id, word, graph and acoustic cost of its arcs.

        And final states with their costs; where no token has reached one, all count as final. The start is state 0.
        """
        ends = self.graph.final[self.states].astype(float) if self.reached_final else np.zeros(len(self.states))
        total = self.cost + ends
        self._prune(0, total - total.min())
        offsets = np.concatenate([[0], np.cumsum([len(frame.cost) for frame in self.frames])])
        columns: list[list[np.ndarray]] = [[] for _ in range(6)]
        for number, frame in enumerate(self.frames):
            both = ((frame.emitting, self.graph.emitting, number - 1), (frame.epsilon, self.graph.epsilon, number))
            for links, arcs, before in both:
                between = (links.source + offsets[before], links.target + offsets[number])
                parts = (*between, arcs.tid[links.arc], arcs.word[links.arc], arcs.cost[links.arc], links.acoustic)
                for column, part in zip(columns, parts, strict=True):
                    column.append(part)
        whole = [np.concatenate(column) for column in columns]
        last = offsets[-2] + np.flatnonzero(total - total.min() <= self.lattice_beam)
        states = np.unique(np.concatenate([[0], *whole[:2], last]))
        whole[:2] = (np.searchsorted(states, column) for column in whole[:2])
        final = dict(zip(np.searchsorted(states, last).tolist(), ends[last - offsets[-2]].tolist(), strict=True))
        return whole, final
