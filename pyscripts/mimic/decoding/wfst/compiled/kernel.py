"""Token passing and determinisation by the compiled library: the results of token_passing.py and determinize.py."""

import ctypes
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from mimic import compiled
from mimic.decoding.wfst.graph_file import Graph
from mimic.decoding.wfst.lattice import Lattice, Strings

LONG, DOUBLE, POINTER = ctypes.c_int64, ctypes.c_double, ctypes.c_void_p


class _Options(ctypes.Structure):
    _fields_ = [(name, DOUBLE) for name in ("beam", "beam_delta", "lattice_beam")] + [
        (name, LONG) for name in ("max_active", "min_active")
    ]


class _Paths(ctypes.Structure):
    _fields_ = [
        (name, POINTER)
        for name in ("source", "target", "tid", "word", "graph", "acoustic", "final_state", "final_cost")
    ]


class _Columns(ctypes.Structure):
    _fields_ = [("size", LONG)] + [
        (name, POINTER) for name in ("source", "target", "word", "total", "graph", "ids_end", "ids")
    ]


SIGNATURES = {
    "search_new": (POINTER, [LONG, LONG, *[POINTER] * 6]),
    "search_delete": (None, [POINTER]),
    "search_pass": (ctypes.c_int, [POINTER, POINTER, LONG, LONG, POINTER]),
    "search_reached_final": (ctypes.c_int, [POINTER]),
    "search_finish": (ctypes.c_int, [POINTER, POINTER, POINTER]),
    "search_paths": (ctypes.c_int, [POINTER, POINTER]),
    "determinize": (ctypes.c_int, [POINTER, POINTER, DOUBLE, DOUBLE, LONG, LONG, *[POINTER] * 3]),
    "lattice_delete": (None, [POINTER]),
    "lattice_columns": (None, [POINTER, DOUBLE, *[POINTER] * 7]),
}


@functools.cache
def load() -> Any:
    """The library; None where MIMIC_COMPILED is false or, with a line in the log, where it cannot be built."""
    return compiled.load("decoding/wfst/compiled", SIGNATURES, "the lattice search runs in numpy, several times slower")


def _pointer(array: Any) -> int:
    return array.ctypes.data


def _enough(result: int) -> int:
    """What a function gave. Raises MemoryError."""
    if result < 0:
        raise MemoryError("the lattice search needs more memory")
    return result


class TokenPassing:
    """As that of token_passing.py."""

    def __init__(
        self, graph: Graph, beam: float, max_active: int, lattice_beam: float,
        min_active: int = 200, beam_delta: float = 0.5,
    ) -> None:  # fmt: skip
        lattice_beam = min(lattice_beam, float(np.finfo(float).max))
        options = _Options(beam, beam_delta, lattice_beam, max_active, min(min_active, max_active))
        library, self.graph = load(), graph
        assert library is not None
        self.library = library
        arcs = [_pointer(column) for arcs in (graph.emitting, graph.epsilon) for column in (arcs.first, arcs.table)]
        self.handle = self.library.search_new(
            len(graph.final), graph.start, _pointer(graph.final), *arcs, ctypes.byref(options)
        )
        _enough(0 if self.handle else -1)

    def __del__(self) -> None:
        if getattr(self, "handle", None):
            self.library.search_delete(self.handle)

    def __call__(self, scores: np.ndarray, column: np.ndarray | None = None) -> bool:
        scores = np.ascontiguousarray(scores, np.float32)
        column = np.ascontiguousarray(np.arange(scores.shape[1]) if column is None else column, np.int32)
        self.graph.check(len(column))
        if not 0 <= column.min(initial=0) <= column.max(initial=0) < scores.shape[1]:
            raise IndexError(f"scores of {scores.shape[1]} pdfs, columns up to {column.max()}")
        return bool(_enough(self.library.search_pass(self.handle, _pointer(scores), *scores.shape, _pointer(column))))

    @property
    def reached_final(self) -> bool:
        return bool(self.library.search_reached_final(self.handle))

    def paths(self) -> tuple[list[np.ndarray], dict[int, float]]:
        arcs, finals = LONG(), LONG()
        _enough(self.library.search_finish(self.handle, ctypes.byref(arcs), ctypes.byref(finals)))
        columns = [np.empty(arcs.value, np.int32) for _ in range(4)]
        columns += [np.empty(arcs.value, np.float32) for _ in range(2)]
        states, costs = np.empty(finals.value, np.int32), np.empty(finals.value)
        out = _Paths(*map(_pointer, (*columns, states, costs)))
        _enough(self.library.search_paths(self.handle, ctypes.byref(out)))
        return columns, dict(zip(states.tolist(), costs.tolist(), strict=True))


def determinize(
    lattice: Lattice, beam: float, acwt: float, max_elements: int, phone: np.ndarray | None = None
) -> tuple[Lattice, float]:
    """As `determinize` of determinize.py, or with `phone` as `determinize_phones`."""
    library, word, width = load(), lattice.word.astype(np.int64), 0
    assert library is not None
    if phone is not None:
        width = int(phone.max(initial=0)) + 1
        word = word * width + np.where(lattice.source == 0, 0, phone)
    total = lattice.graph + lattice.acoustic * acwt
    arcs, kept = _columns(lattice.source, lattice.target, word, total, lattice.graph, lattice.tids)
    states = np.array(list(lattice.final))
    graph, acoustic, tids = ([*column] for column in zip(*lattice.final.values(), strict=True))
    total = np.array(graph) + np.array(acoustic) * acwt
    final, kept_too = _columns(states, states, states, total, np.array(graph), tids)
    effective, sizes, result = DOUBLE(), (LONG * 3)(), POINTER()
    places = map(ctypes.byref, (arcs, final, effective, sizes, result))
    first, second, *rest = places
    done = library.determinize(first, second, beam, acwt, max_elements, width, *rest)
    del kept, kept_too  # what the columns point to
    if not _enough(done):
        raise ValueError("a lattice with a cycle")
    try:
        return _lattice(library, result, acwt, *sizes), effective.value
    finally:
        library.lattice_delete(result)


def _columns(
    source: np.ndarray, target: np.ndarray, word: np.ndarray, total: np.ndarray, graph: np.ndarray,
    tids: Sequence[bytes] | Strings,
) -> tuple[_Columns, list[np.ndarray]]:  # fmt: skip
    """Rows as the library takes them, and the arrays that have to stay as long."""
    strings = Strings.of(tids)
    ids = np.frombuffer(strings.data, np.int32)
    types = (np.int32, np.int32, np.int64, float, float, np.int64, np.int32)
    columns = (source, target, word, total, graph, strings.ends // 4, ids)
    kept = [np.ascontiguousarray(column, kind) for column, kind in zip(columns, types, strict=True)]
    return _Columns(len(source), *map(_pointer, kept)), kept


def _lattice(library: ctypes.CDLL, result: ctypes.c_void_p, acwt: float, arcs: int, finals: int, ids: int) -> Lattice:
    source, tids = np.empty(arcs + finals, np.int32), np.empty(ids, np.int32)
    target, word = np.empty(arcs, np.int32), np.empty(arcs, np.int64)
    graph, acoustic, ends = np.empty(arcs + finals), np.empty(arcs + finals), np.empty(arcs + finals, np.int64)
    library.lattice_columns(result, acwt, *map(_pointer, (source, target, word, graph, acoustic, ends, tids)))
    strings = Strings(tids.tobytes(), 4 * ends)
    costs = zip(source[arcs:].tolist(), graph[arcs:].tolist(), acoustic[arcs:].tolist(), strict=True)
    final = {state: (*both, strings[arcs + place]) for place, (state, *both) in enumerate(costs)}
    strings = Strings(strings.data, strings.ends[:arcs])
    columns = source[:arcs].astype(np.int64), target.astype(np.int64), word, graph[:arcs], acoustic[:arcs]
    return Lattice(*columns, strings, final)
