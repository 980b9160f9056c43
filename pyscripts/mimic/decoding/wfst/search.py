"""Beam search in a decoding graph (HCLG) that remembers all paths near the best one.

Token passing, with all tokens of a frame in one set of arrays. Pruning by what a path costs beyond the best one is that
of Povey et al., "Generating exact lattices in the WFST framework" (ICASSP 2012).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mimic.decoding.wfst.graph_file import Arcs, Graph

PRUNE_EVERY = 25  # frames, Kaldi's --prune-interval


class Links(NamedTuple):
    """Arcs that tokens went along: tokens from and to, the arc, its acoustic cost."""

    source: np.ndarray
    target: np.ndarray
    arc: np.ndarray
    acoustic: np.ndarray

    def of(self, chosen: np.ndarray) -> "Links":
        return Links(*(column[chosen] for column in self))


@dataclass
class Frame:
    """Tokens behind a frame: their costs, the links that led here from the frame before, and those within."""

    cost: np.ndarray
    emitting: Links
    epsilon: Links


class Search:
    """The tokens of one utterance.

    Args:
        graph: what to search.
        beam: largest difference in cost from the best token of a frame.
        max_active: so many tokens of a frame go on, the best ones.
        min_active: so many go on where the beam holds fewer of them.
        beam_delta: the beam of the next frame is so much wider than what either number leaves of this one.
        lattice_beam: largest cost of a path that is remembered, beyond the best one.
    """

    def __init__(
        self, graph: Graph, beam: float, max_active: int, lattice_beam: float,
        min_active: int = 200, beam_delta: float = 0.5,
    ) -> None:  # fmt: skip
        self.graph, self.beam, self.max_active, self.lattice_beam = graph, beam, max_active, lattice_beam
        self.min_active, self.beam_delta = min(min_active, max_active), beam_delta
        self.place = np.full(len(graph.final), -1, np.int32)  # of each state's token among those of the frame
        nothing = np.zeros(0, np.int64)
        self.states, self.cost = np.array([graph.start]), np.zeros(1)
        self.place[self.states] = 0
        self.frames: list[Frame] = []
        self._end(Links(nothing, nothing, nothing, np.zeros(0, np.float32)), beam)

    def __call__(self, scores: np.ndarray) -> bool:
        """Hear scaled log-likelihoods (frames, transition ids). False where no token survives."""
        for number, row in enumerate(scores, 1):
            if not self._advance(row):
                return False
            if number % PRUNE_EVERY == 0:
                self._prune(number - PRUNE_EVERY, np.zeros(len(self.cost)))
        return True

    def _advance(self, row: np.ndarray) -> bool:
        """One frame. Where several paths meet in a state, its token has the cost of the best one."""
        (cutoff, beam), arcs = self._cutoff(), self.graph.emitting
        going = np.flatnonzero(self.cost <= cutoff)
        source, arc = arcs.leaving(self.states[going])
        if not len(arc):
            return False
        acoustic = -row[arcs.tid[arc] - 1]
        cost = self.cost[going][source] + arcs.cost[arc] + acoustic
        if not np.isfinite(best := cost.min()):
            return False
        kept = np.flatnonzero(cost < best + beam)
        target, cost = arcs.target[arc[kept]], cost[kept]
        self.place[self.states] = -1
        self.states = self._settle(target, 0)
        reached = self.place[target]
        self.cost = np.full(len(self.states), np.inf)
        np.minimum.at(self.cost, reached, cost)
        self._end(Links(going[source[kept]], reached, arc[kept], acoustic[kept]), best + beam)
        return True

    def _cutoff(self) -> tuple[float, float]:
        """Cost up to which tokens go on, and the beam of the next frame (GetCutoff of Kaldi's LatticeFasterDecoder)."""
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

    def _end(self, emitting: Links, limit: float) -> None:
        """End a frame: follow arcs that take none up to this cost, as long as a token gets better."""
        arcs, front = self.graph.epsilon, np.arange(len(self.cost))
        while len(front):
            source, arc = arcs.leaving(self.states[front])
            cost, target = self.cost[front][source] + arcs.cost[arc], arcs.target[arc]
            kept = np.flatnonzero(cost < limit)
            cost, target = cost[kept], target[kept]
            new = self._settle(target[np.flatnonzero(self.place[target] < 0)], len(self.states))
            self.states = np.concatenate([self.states, new])
            self.cost = np.concatenate([self.cost, np.full(len(new), np.inf)])
            reached = self.place[target]
            better = np.zeros(len(self.cost), bool)
            better[reached[cost < self.cost[reached]]] = True
            np.minimum.at(self.cost, reached, cost)
            front = np.flatnonzero(better)
        source, arc = arcs.leaving(self.states)
        kept = np.flatnonzero(self.cost[source] + arcs.cost[arc] < limit)
        source, arc = source[kept], arc[kept]
        epsilon = Links(source, self.place[arcs.target[arc]], arc, np.zeros(len(arc), np.float32))
        self.frames.append(Frame(self.cost, emitting, epsilon))

    def _settle(self, target: np.ndarray, number: int) -> np.ndarray:
        """Give each of these states, some of which are there several times, a token from `number` on."""
        order = np.arange(len(target), dtype=np.int32)
        self.place[target] = order
        new = target[np.flatnonzero(self.place[target] == order)]
        self.place[new] = number + order[: len(new)]
        return new

    def _prune(self, begin: int, extra: np.ndarray) -> None:
        """Forget what lies on no path within the lattice beam, behind frame `begin`.

        extra: what the best path through each token of the last frame costs beyond the best of all, or less.
        """
        last = len(self.frames) - 1
        for number in range(last, begin - 1, -1):
            frame = self.frames[number]
            link_extra = self._extra_cost(frame.epsilon, self.graph.epsilon, frame, frame)
            while True:  # chains of epsilon arcs are short
                before = extra.copy()
                np.minimum.at(extra, frame.epsilon.source, link_extra + before[frame.epsilon.target])
                if np.array_equal(before, extra):
                    break
            frame.epsilon = frame.epsilon.of(
                np.flatnonzero(link_extra + extra[frame.epsilon.target] <= self.lattice_beam)
            )
            if number == begin:
                return
            if number < last:
                extra = self._prune_tokens(number, extra)
            earlier = self.frames[number - 1]
            link_extra = (
                self._extra_cost(frame.emitting, self.graph.emitting, earlier, frame) + extra[frame.emitting.target]
            )
            kept = np.flatnonzero(link_extra <= self.lattice_beam)
            frame.emitting = frame.emitting.of(kept)
            extra = np.full(len(earlier.cost), np.inf)
            np.minimum.at(extra, frame.emitting.source, link_extra[kept])

    def _prune_tokens(self, number: int, extra: np.ndarray) -> np.ndarray:
        """Forget the tokens of a frame from which no link is left to go on; gives `extra` of the others."""
        frame, later = self.frames[number : number + 2]
        alive = np.isfinite(extra)
        place, epsilon = alive.cumsum() - 1, frame.epsilon
        emitting = frame.emitting.of(np.flatnonzero(alive[frame.emitting.target]))
        frame.cost = frame.cost[alive]
        frame.epsilon = epsilon._replace(source=place[epsilon.source], target=place[epsilon.target])
        frame.emitting = emitting._replace(target=place[emitting.target])
        later.emitting = later.emitting._replace(source=place[later.emitting.source])
        return extra[alive]

    @staticmethod
    def _extra_cost(links: Links, arcs: Arcs, before: Frame, behind: Frame) -> np.ndarray:
        """What going along each link costs more than the best way to where it leads."""
        return before.cost[links.source] + arcs.cost[links.arc] + links.acoustic - behind.cost[links.target]

    @property
    def reached_final(self) -> bool:
        """Whether a token is in a final state."""
        return bool(np.isfinite(self.graph.final[self.states]).any())

    def paths(self) -> tuple[list[np.ndarray], dict[int, float]]:
        """What is remembered: columns source, target, transition id, word, graph and acoustic cost of arcs.

        And final states with their costs; where no token has reached one, all count as final. The start is state 0.
        """
        ends = self.graph.final[self.states].astype(float) if self.reached_final else np.zeros(len(self.states))
        total = self.cost + ends
        self._prune(0, total - total.min())
        offsets = np.concatenate([[0], np.cumsum([len(frame.cost) for frame in self.frames])])
        columns: list[list[np.ndarray]] = [[] for _ in range(6)]
        for number, frame in enumerate(self.frames):
            kinds = ((frame.emitting, self.graph.emitting, number - 1), (frame.epsilon, self.graph.epsilon, number))
            for links, arcs, before in kinds:
                parts = (links.source + offsets[before], links.target + offsets[number])
                parts += (arcs.tid[links.arc], arcs.word[links.arc], arcs.cost[links.arc], links.acoustic)
                for column, part in zip(columns, parts, strict=True):
                    column.append(part)
        whole = [np.concatenate(column) for column in columns]
        last = offsets[-2] + np.flatnonzero(total - total.min() <= self.lattice_beam)
        states = np.unique(np.concatenate([[0], *whole[:2], last]))
        whole[:2] = (np.searchsorted(states, column) for column in whole[:2])
        final = dict(zip(np.searchsorted(states, last).tolist(), ends[last - offsets[-2]].tolist(), strict=True))
        return whole, final
