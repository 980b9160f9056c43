"""Kaldi's archives of lattices: compact or not, binary or text, gzipped; those written are compact and binary."""

import gzip
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from mimic.decoding.wfst.graph_file import MAGIC
from mimic.decoding.wfst.lattice import Lattice
from mimic.errors import UserError
from mimic.io.atomic import replace

COMPACT, PLAIN = b"compactlattice44", b"lattice4"  # Kaldi's names of the two types of arcs
EXPANDED_MUTABLE = 3  # properties that every vector FST of OpenFst has
Arc = tuple[int, int, int, float, float, bytes]


def write_lattices(path: Path, lattices: Iterable[tuple[str, Lattice | None]]) -> int:
    """lat.JOB.gz; an utterance without lattice is left out. Gives their number."""
    written = 0
    with replace(path, "wb") as raw, gzip.GzipFile("", "wb", 1, raw, mtime=0) as f:
        for utt, lattice in lattices:
            if lattice is not None:
                f.write(f"{utt} ".encode() + _packed(lattice))
                written += 1
    return written


def _packed(lattice: Lattice) -> bytes:
    def string(text: bytes) -> bytes:
        return struct.pack("<i", len(text)) + text

    leaving: list[list[bytes]] = [[] for _ in range(lattice.states)]
    columns = (lattice.source, lattice.target, lattice.word, lattice.graph, lattice.acoustic)
    for source, target, word, *costs, tids in zip(*(c.tolist() for c in columns), lattice.tids, strict=True):
        leaving[source].append(
            struct.pack("<iiffi", word, word, *costs, len(tids) // 4) + tids + struct.pack("<i", target)
        )
    out = [struct.pack("<i", MAGIC), string(b"vector"), string(COMPACT)]
    out.append(struct.pack("<iiQqqq", 2, 0, EXPANDED_MUTABLE, 0, len(leaving), len(lattice.source)))
    for state, arcs in enumerate(leaving):
        graph, acoustic, tids = lattice.final.get(state, (np.inf, np.inf, b""))
        out += [struct.pack("<ffi", graph, acoustic, len(tids) // 4), tids, struct.pack("<q", len(arcs)), *arcs]
    return b"".join(out)


def read_lattices(path: Path) -> Iterator[tuple[str, Lattice]]:
    """(utterance, lattice) of one archive."""
    try:
        data, at = gzip.decompress(path.read_bytes()), 0
        while at < len(data):
            end = data.index(b" ", at)
            utt, at = data[at:end].decode(), end + 1
            binary = data.startswith(struct.pack("<i", MAGIC), at)
            lattice, at = _unpacked(data, at) if binary else _parsed(data, at)
            yield utt, lattice
    except (OSError, EOFError, ValueError, IndexError, struct.error) as error:
        raise UserError(f"{path}: damaged or missing lattices ({error}): decode again") from None


def read_decode_dir(directory: Path) -> Iterator[tuple[str, Lattice]]:
    """All lattices of a decode directory."""
    try:
        nj = int((directory / "num_jobs").read_text())
    except (OSError, ValueError):
        raise UserError(f"{directory}: no num_jobs: is it a decode directory with lattices?") from None
    for job in range(1, nj + 1):
        yield from read_lattices(directory / f"lat.{job}.gz")


def _lattice(arcs: Sequence[Arc], final: dict[int, tuple[float, float, bytes]], start: int) -> Lattice:
    """Of arcs in any order; `start` and state 0 change their numbers."""
    if not final:
        raise ValueError("a lattice without final state")
    source, target, word, graph, acoustic, tids = zip(*arcs, strict=True) if arcs else [()] * 6
    renamed = {start: 0, 0: start}
    columns = [np.array(column, np.int64) for column in (source, target, word)]
    if start:
        columns[:2] = (np.array([renamed.get(state, state) for state in c.tolist()], np.int64) for c in columns[:2])
        final = {renamed.get(state, state): costs for state, costs in final.items()}
    sources, targets, words = columns
    lattice = Lattice(sources, targets, words, np.array(graph, float), np.array(acoustic, float), list(tids), final)
    lattice.topological()  # or it has a cycle
    return lattice


def _unpacked(data: bytes, at: int) -> tuple[Lattice, int]:
    """A binary lattice that begins at byte `at`, and where it ends."""
    names, at = [], at + 4
    for _ in range(2):
        (length,) = struct.unpack_from("<i", data, at)
        names.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    if names[0] != b"vector" or names[1] not in (COMPACT, PLAIN):
        raise ValueError(f"{b' of '.join(names)!r}: expected a vector FST of {COMPACT.decode()} or {PLAIN.decode()}")
    compact = names[1] == COMPACT
    _, flags, _, start, states, _ = struct.unpack_from("<iiQqqq", data, at)
    at += struct.calcsize("<iiQqqq")
    if flags & 3:
        raise ValueError("with symbol tables")

    def weight(at: int) -> tuple[float, float, bytes, int]:
        graph, acoustic = struct.unpack_from("<ff", data, at)
        if not compact:
            return graph, acoustic, b"", at + 8
        end = at + 12 + 4 * struct.unpack_from("<i", data, at + 8)[0]
        if not at + 12 <= end <= len(data):
            raise ValueError("cut short")
        return graph, acoustic, data[at + 12 : end], end

    arcs: list[Arc] = []
    final = {}
    for state in range(states):
        graph, acoustic, tids, at = weight(at)
        if np.isfinite(graph):
            final[state] = (graph, acoustic, tids)
        (number,) = struct.unpack_from("<q", data, at)
        at += 8
        for _ in range(number):
            tid, word = struct.unpack_from("<ii", data, at)
            graph, acoustic, tids, at = weight(at + 8)
            if not compact and tid:
                tids = struct.pack("<i", tid)
            (target,) = struct.unpack_from("<i", data, at)
            at += 4
            if not 0 <= target < states:
                raise ValueError("states that are not there")
            arcs.append((state, target, word, graph, acoustic, tids))
    return _lattice(arcs, final, start), at


def _parsed(data: bytes, at: int) -> tuple[Lattice, int]:
    """A lattice as text, from the line after the utterance to an empty line, and where it ends."""
    end = data.find(b"\n\n", at)
    if end < 0:
        raise ValueError("cut short")
    rows = [line.split() for line in data[at:end].decode().splitlines()]
    arcs: list[Arc] = []
    final = {}
    rows = [row for row in rows if row]
    for row in rows:
        costs = row.pop().split(",") if "," in row[-1] else ["0", "0"]
        graph, acoustic = float(costs[0]), float(costs[1])
        tids = np.array(costs[2].split("_") if costs[2:] and costs[2] else [], np.int32).tobytes()
        numbers = [int(word) for word in row]
        if len(numbers) == 1:
            final[numbers[0]] = (graph, acoustic, tids)
        else:
            source, target, *labels = numbers
            if len(labels) == 2 and labels[0]:  # not compact: transition id and word
                tids = struct.pack("<i", labels[0])
            arcs.append((source, target, labels[-1], graph, acoustic, tids))
    return _lattice(arcs, final, int(rows[0][0])), end + 2
