"""Beam search in a decoding graph (HCLG) that remembers all paths near the best one.

Token passing, with all tokens of a frame in one set of arrays. Pruning by what a path costs beyond the best one is that
of Povey et al., "Generating exact lattices in the WFST framework" (ICASSP 2012).
"""

import struct
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mimic.errors import UserError

MAGIC = 2125659606  # of OpenFst's files
SYMBOLS = 3  # flags in their headers: tables of symbols follow
PRUNE_EVERY = 25  # frames


class Arcs(NamedTuple):
    """Arcs sorted by the state they leave: `count[s]` from `first[s]` on are those of state s."""

    first: np.ndarray
    count: np.ndarray
    target: np.ndarray
    tid: np.ndarray
    word: np.ndarray
    cost: np.ndarray

    def leaving(self, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All arcs that leave these states: place in `states`, and arc."""
        counts = self.count[states]
        some = np.flatnonzero(counts)
        counts = counts[some]
        skipped = self.first[states[some]] - counts.cumsum() + counts
        return np.repeat(some, counts), np.repeat(skipped, counts) + np.arange(counts.sum())


@dataclass(frozen=True)
class Graph:
    """A decoding graph.

    Attributes:
        start: state.
        final: cost of ending in each state, inf where nothing ends.
        spoken: arcs with a transition id, each takes a frame.
        silent: arcs without.
    """

    start: int
    final: np.ndarray
    spoken: Arcs
    silent: Arcs

    @classmethod
    def read(cls, path: Path) -> "Graph":
        """Read a file of OpenFst, of type vector (as steps/mkgraph.sh writes it) or const (as Kaldi's does)."""
        data = path.read_bytes()
        try:
            kind, version, start, states, arcs, at = _header(data)
            if kind == "vector":
                final, counts, table = _vector(data[at:], states)
            else:
                final, counts, table = _const(data, at, version, states, arcs)
            source = np.repeat(np.arange(states), counts)
            there = (table[3] >= 0) & (table[3] < states)
            if len(source) != len(there) or not there.all() or not 0 <= start < states:
                raise ValueError("states that are not there")
        except (struct.error, IndexError, ValueError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: no graph of OpenFst, or damaged ({error}): run steps/mkgraph.sh again") from None
        parts = []
        for chosen in (table[0] > 0, table[0] == 0):
            count = np.bincount(source[chosen], minlength=states)
            tid, word, cost, target = (column[chosen] for column in table)
            parts.append(Arcs(count.cumsum() - count, count.astype(np.int32), target, tid, word, cost))
        return cls(start, final, *parts)


def _header(data: bytes) -> tuple[str, int, int, int, int, int]:
    """Type and its version, start, states and arcs of a file of OpenFst, and where its header ends."""
    if struct.unpack_from("<i", data)[0] != MAGIC:
        raise ValueError("other first bytes")
    at, names = 4, []
    for _ in range(2):
        (length,) = struct.unpack_from("<i", data, at)
        names.append(data[at + 4 : at + 4 + length].decode())
        at += 4 + length
    version, flags, _, start, states, arcs = struct.unpack_from("<iiQqqq", data, at)
    if names[0] not in ("vector", "const") or names[1] != "standard" or flags & SYMBOLS:
        raise ValueError(f"{names[0]} of {names[1]} arcs; expected vector or const of standard ones, without symbols")
    return names[0], version, start, states, arcs, at + struct.calcsize("<iiQqqq")


def _vector(data: bytes, states: int) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Final costs, numbers of arcs, and their columns: each state has its arcs behind it."""
    words = memoryview(data[: len(data) // 4 * 4]).cast("i")
    places, at = array("q"), 0
    for _ in range(states):
        places.append(at)
        at += 3 + 4 * words[at + 1]
    if at > len(words):
        raise ValueError("cut short")
    row, begin = np.frombuffer(words, np.int32), np.frombuffer(places, np.int64)
    counts = row[begin + 1]
    ends = counts.cumsum()
    arc = np.repeat(begin + 3 - 4 * (ends - counts), counts) + 4 * np.arange(ends[-1] if states else 0)
    return row.view(np.float32)[begin], counts, [row[arc], row[arc + 1], row.view(np.float32)[arc + 2], row[arc + 3]]


def _const(data: bytes, at: int, version: int, states: int, arcs: int) -> tuple[np.ndarray, np.ndarray, list]:
    """The same of a file that has all states first, and then all arcs; version 1 has both at multiples of 16 bytes."""
    grid = 16 if version == 1 else 1
    at = -(-at // grid) * grid
    state = np.dtype([("final", "<f4"), ("first", "<u4"), ("arcs", "<u4"), ("inputs", "<u4"), ("outputs", "<u4")])
    table = np.frombuffer(data, state, states, at)
    at = -(-(at + table.nbytes) // grid) * grid
    arc = np.frombuffer(data, np.dtype([("tid", "<i4"), ("word", "<i4"), ("cost", "<f4"), ("target", "<i4")]), arcs, at)
    return table["final"], table["arcs"].astype(np.int64), [arc[name].copy() for name in arc.dtype.names]


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
    spoken: Links
    silent: Links


class Search:
    """The tokens of one utterance.

    Args:
        graph: what to search.
        beam: largest difference in cost from the best token of a frame.
        max_active: so many tokens of a frame go on, the best ones.
        lattice_beam: largest cost of a path that is remembered, beyond the best one.
    """

    def __init__(self, graph: Graph, beam: float, max_active: int, lattice_beam: float):
        self.graph, self.beam, self.max_active, self.lattice_beam = graph, beam, max_active, lattice_beam
        self.place = np.full(len(graph.final), -1, np.int32)  # of each state's token among those of the frame
        nothing = np.zeros(0, np.int64)
        self.states, self.cost = np.array([graph.start]), np.zeros(1)
        self.place[self.states] = 0
        self.frames: list[Frame] = []
        self._end(Links(nothing, nothing, nothing, np.zeros(0, np.float32)))

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
        limit, arcs = self.cost.min() + self.beam, self.graph.spoken
        if len(self.cost) > self.max_active:
            limit = min(limit, np.partition(self.cost, self.max_active - 1)[self.max_active - 1])
        going = np.flatnonzero(self.cost <= limit)
        source, arc = arcs.leaving(self.states[going])
        if not len(arc):
            return False
        acoustic = -row[arcs.tid[arc] - 1]
        cost = self.cost[going][source] + arcs.cost[arc] + acoustic
        if not np.isfinite(best := cost.min()):
            return False
        kept = np.flatnonzero(cost <= best + self.beam)
        target, cost = arcs.target[arc[kept]], cost[kept]
        self.place[self.states] = -1
        self.states = self._settle(target, 0)
        reached = self.place[target]
        self.cost = np.full(len(self.states), np.inf)
        np.minimum.at(self.cost, reached, cost)
        self._end(Links(going[source[kept]], reached, arc[kept], acoustic[kept]))
        return True

    def _end(self, spoken: Links) -> None:
        """End a frame: follow arcs that take none, as long as a token gets better."""
        arcs, limit, front = self.graph.silent, self.cost.min() + self.beam, np.arange(len(self.cost))
        while len(front):
            source, arc = arcs.leaving(self.states[front])
            cost, target = self.cost[front][source] + arcs.cost[arc], arcs.target[arc]
            kept = np.flatnonzero(cost <= limit)
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
        kept = np.flatnonzero(self.cost[source] + arcs.cost[arc] <= limit)
        source, arc = source[kept], arc[kept]
        silent = Links(source, self.place[arcs.target[arc]], arc, np.zeros(len(arc), np.float32))
        self.frames.append(Frame(self.cost, spoken, silent))

    def _settle(self, target: np.ndarray, number: int) -> np.ndarray:
        """Give each of these states, some of which are there several times, a token from `number` on."""
        order = np.arange(len(target), dtype=np.int32)
        self.place[target] = order
        new = target[np.flatnonzero(self.place[target] == order)]
        self.place[new] = number + order[: len(new)]
        return new

    def _prune(self, begin: int, beyond: np.ndarray) -> None:
        """Forget what lies on no path within the lattice beam, behind frame `begin`.

        beyond: what the best path through each token of the last frame costs beyond the best of all, or less.
        """
        last = len(self.frames) - 1
        for number in range(last, begin - 1, -1):
            frame = self.frames[number]
            more = self._more(frame.silent, self.graph.silent, frame, frame)
            while True:  # chains of silent arcs are short
                before = beyond.copy()
                np.minimum.at(beyond, frame.silent.source, more + before[frame.silent.target])
                if np.array_equal(before, beyond):
                    break
            frame.silent = frame.silent.of(np.flatnonzero(more + beyond[frame.silent.target] <= self.lattice_beam))
            if number == begin:
                return
            if number < last:
                beyond = self._forget(number, beyond)
            earlier = self.frames[number - 1]
            more = self._more(frame.spoken, self.graph.spoken, earlier, frame) + beyond[frame.spoken.target]
            kept = np.flatnonzero(more <= self.lattice_beam)
            frame.spoken = frame.spoken.of(kept)
            beyond = np.full(len(earlier.cost), np.inf)
            np.minimum.at(beyond, frame.spoken.source, more[kept])

    def _forget(self, number: int, beyond: np.ndarray) -> np.ndarray:
        """Forget the tokens of a frame from which no link is left to go on; gives `beyond` of the others."""
        frame, later = self.frames[number : number + 2]
        alive = np.isfinite(beyond)
        place, silent = alive.cumsum() - 1, frame.silent
        spoken = frame.spoken.of(np.flatnonzero(alive[frame.spoken.target]))
        frame.cost = frame.cost[alive]
        frame.silent = silent._replace(source=place[silent.source], target=place[silent.target])
        frame.spoken = spoken._replace(target=place[spoken.target])
        later.spoken = later.spoken._replace(source=place[later.spoken.source])
        return beyond[alive]

    @staticmethod
    def _more(links: Links, arcs: Arcs, before: Frame, behind: Frame) -> np.ndarray:
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
            kinds = ((frame.spoken, self.graph.spoken, number - 1), (frame.silent, self.graph.silent, number))
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
