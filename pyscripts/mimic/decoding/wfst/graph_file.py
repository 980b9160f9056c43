"""Decoding graphs (HCLG) from OpenFst's files, as arrays."""

import struct
from array import array
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mimic.errors import UserError

MAGIC = 2125659606  # of OpenFst's files
SYMBOLS = 3  # flags in their headers: tables of symbols follow


ARC = np.dtype([("tid", "<i4"), ("word", "<i4"), ("cost", "<f4"), ("target", "<i4")])  # also in compiled/frames.h


class Arcs(NamedTuple):
    """Arcs sorted by the state they leave: rows of `table`; `counts[s]` from `first[s]` on are those of state s.

    `first` has one number more, the end of the last state's.
    """

    first: np.ndarray
    counts: np.ndarray
    table: np.ndarray

    @property
    def tid(self) -> np.ndarray:
        return self.table["tid"]

    @property
    def word(self) -> np.ndarray:
        return self.table["word"]

    @property
    def cost(self) -> np.ndarray:
        return self.table["cost"]

    @property
    def target(self) -> np.ndarray:
        return self.table["target"]

    def arcs_from(self, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All arcs that leave these states: place in `states`, and arc."""
        counts = self.counts[states]
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
        emitting: arcs with a transition id, each takes a frame.
        epsilon: arcs without.
    """

    start: int
    final: np.ndarray
    emitting: Arcs
    epsilon: Arcs

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
            there = (table["target"] >= 0) & (table["target"] < states)
            if len(source) != len(there) or not there.all() or not 0 <= start < states:
                raise ValueError("states that are not there")
            if not ((table["cost"] > -np.inf).all() and (final > -np.inf).all() and (table["tid"] >= 0).all()):
                raise ValueError("costs or labels that are not valid")  # of NaN no comparison holds
        except (struct.error, IndexError, ValueError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: not an OpenFst graph, or damaged ({error}): run steps/mkgraph.sh again") from None
        parts = []
        for chosen in (table["tid"] > 0, table["tid"] == 0):
            count = np.bincount(source[chosen], minlength=states)
            parts.append(Arcs(np.append(0, count.cumsum()), count.astype(np.int32), table[chosen]))
        return cls(start, np.ascontiguousarray(final), *parts)

    def check(self, tids: int) -> None:
        """Raises UserError where an arc has a higher transition id than there are."""
        if self.tids > tids:
            raise UserError(
                f"HCLG.fst has transition ids up to {self.tids}, the model {tids}: run steps/mkgraph.sh again"
            )

    @cached_property
    def tids(self) -> int:
        """The highest transition id."""
        return int(self.emitting.tid.max(initial=0))


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


def _vector(data: bytes, states: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Final costs, numbers of arcs, and these: each state is followed by its arcs."""
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
    table = row[arc[:, None] + np.arange(4)].view(ARC)[:, 0]
    return row.view(np.float32)[begin], counts, table


def _const(data: bytes, at: int, version: int, states: int, arcs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same of a file that has all states first, and then all arcs; version 1 has both at multiples of 16 bytes."""
    grid = 16 if version == 1 else 1
    at = -(-at // grid) * grid
    state = np.dtype([("final", "<f4"), ("first", "<u4"), ("arcs", "<u4"), ("inputs", "<u4"), ("outputs", "<u4")])
    table = np.frombuffer(data, state, states, at)
    at = -(-(at + table.nbytes) // grid) * grid
    return table["final"], table["arcs"].astype(np.int64), np.frombuffer(data, ARC, arcs, at)
