"""Kaldi's basic types in its binary and text formats: what models, trees and topologies are made of."""

import re
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, overload

import numpy as np

from mimic.errors import UserError

HEADER = b"\0B"
State = tuple[int, list[tuple[int, float]]]  # of a topology: pdf class (-1: final), transitions (state, probability)


def pack_int(value: int) -> bytes:
    return b"\4" + struct.pack("<i", value)


def pack_floats(values: np.ndarray) -> bytes:
    """A float vector or matrix."""
    values = np.ascontiguousarray(values, np.float32)
    return (b"FV " if values.ndim == 1 else b"FM ") + b"".join(map(pack_int, values.shape)) + values.tobytes()


def pack_ints(values: list[int]) -> bytes:
    return b"\4" + struct.pack(f"<i{len(values)}i", len(values), *values)


class Reader:
    """The types of a binary file, one after the other."""

    def __init__(self, data: bytes, path: Path) -> None:
        self.data, self.at, self.path = data, len(HEADER), path

    def expect(self, *tokens: str) -> str:
        end = self.data.find(b" ", self.at)
        token = self.data[self.at : end if end >= 0 else None].decode(errors="replace")
        if token not in tokens:
            raise UserError(f"{self.path}: expected {' or '.join(tokens)}, got {token[:40]!r}: is it whole?")
        self.at += len(token) + 1
        return token

    @property
    def ended(self) -> bool:
        return self.at >= len(self.data)

    @overload
    def basic(self, kind: Literal["i"]) -> int: ...
    @overload
    def basic(self, kind: Literal["f"]) -> float: ...
    def basic(self, kind: str) -> int | float:
        """An "i"nteger or a "f"loat."""
        self.at += 5
        return struct.unpack(f"<{kind}", self.data[self.at - 4 : self.at])[0]

    def ints(self) -> list[int]:
        n = self.basic("i")
        self.at += 4 * n
        return list(struct.unpack(f"<{n}i", self.data[self.at - 4 * n : self.at]))

    def floats(self) -> np.ndarray:
        matrix = self.expect("FV", "FM") == "FM"
        shape = tuple(self.basic("i") for _ in range(1 + matrix))
        size = int(np.prod(shape))
        self.at += 4 * size
        return np.frombuffer(self.data, np.float32, size, self.at - 4 * size).reshape(shape)

    def topology(self) -> str:
        """A topology, in Kaldi's text format."""
        self.expect("<Topology>")
        phones, index, entries = self.ints(), self.ints(), []
        for _ in range(self.basic("i")):
            states: list[State] = []
            for _ in range(self.basic("i")):
                pdf_class, n = self.basic("i"), self.basic("i")
                states.append((pdf_class, [(self.basic("i"), self.basic("f")) for _ in range(n)]))
            entries.append(states)
        self.expect("</Topology>")
        texts = [entry_text([p for p in phones if index[p] == i], entry) for i, entry in enumerate(entries)]
        return f"<Topology>\n{''.join(texts)}</Topology>\n"


class TextReader(Reader):
    """The same of a text file (--binary=false)."""

    WORD = re.compile(rb"\s*(\S*)\s*")

    def __init__(self, data: bytes, path: Path) -> None:
        super().__init__(data, path)
        self.at = 0

    def word(self) -> str:
        match = self.WORD.match(self.data, self.at)
        assert match is not None  # it matches the empty word, too
        self.at = match.end()
        return match[1].decode(errors="replace")

    def expect(self, *tokens: str) -> str:
        token = self.word()
        if token not in tokens:
            raise UserError(f"{self.path}: expected {' or '.join(tokens)}, got {token[:40]!r}: is it whole?")
        return token

    @overload
    def basic(self, kind: Literal["i"]) -> int: ...
    @overload
    def basic(self, kind: Literal["f"]) -> float: ...
    def basic(self, kind: str) -> int | float:
        return {"i": int, "f": float}[kind](self.word())

    def _brackets(self) -> bytes:
        self.expect("[")
        begin, self.at = self.at, self.data.index(b"]", self.at) + 1
        return self.data[begin : self.at - 1]

    def ints(self) -> list[int]:
        return [int(word) for word in self._brackets().split()]

    def floats(self) -> np.ndarray:
        """A vector is one line; a matrix begins a new one after its bracket."""
        begin = self.at
        rows = [[float(word) for word in line.split()] for line in self._brackets().splitlines() if line.strip()]
        matrix = re.match(rb"\s*\[[ \t]*\n", self.data[begin : begin + 99])
        values = np.array(rows, np.float32)
        return values if matrix else values.reshape(-1)

    def topology(self) -> str:
        begin = self.data.index(b"<Topology>", self.at)
        self.at = self.data.index(b"</Topology>", begin) + len(b"</Topology>")
        return self.data[begin : self.at].decode() + "\n"


def read_file(path: Path) -> Reader:
    """A reader for a file of either format."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file: train the model first") from None
    return Reader(data, path) if data.startswith(HEADER) else TextReader(data, path)


def binary_tree(text: bytes) -> bytes:
    """A tree in Kaldi's text format as its binary file has it, less the header. ValueError where it is none."""
    words = iter(text.decode().split())
    out = _token(next(words)) + pack_int(int(next(words))) + pack_int(int(next(words))) + _token(next(words))
    out += _event_map(words) + _token(next(words))
    if next(words, None) is not None:
        raise ValueError("more after the tree")
    return out


def _token(word: str) -> bytes:
    return word.encode() + b" "


def _event_map(words: Iterator[str]) -> bytes:
    kind = next(words)
    out = _token(kind)
    if kind == "CE":
        out += pack_int(int(next(words)))
    elif kind == "SE":
        out += pack_int(int(next(words)))
        values, _ = [], next(words)  # after "["
        while (word := next(words)) != "]":
            values.append(int(word))
        out += pack_ints(values) + _token(next(words)) + _event_map(words) + _event_map(words) + _token(next(words))
    elif kind == "TE":
        out += pack_int(int(next(words)))
        size = int(next(words))
        out += b"\xfc" + struct.pack("<i", size) + _token(next(words))  # \xfc: four bytes without sign
        out += b"".join(_event_map(words) for _ in range(size)) + _token(next(words))
    elif kind != "NULL":
        raise ValueError(f"{kind!r} is not an event map")
    return out


def left_to_right(states: int) -> list[State]:
    """Each state has a self-loop and a transition to the next one."""
    return [(s, [(s, 0.75), (s + 1, 0.25)]) for s in range(states)] + [(-1, [])]


def silence(states: int) -> list[State]:
    """States in the middle reach each other and the last one, so that short and long silences fit."""
    if states < 4:
        return left_to_right(states)
    middle, last = list(range(1, states - 1)), states - 1
    p = 1 / (states - 1)
    found: list[State] = [(0, [(s, p) for s in range(states - 1)])]
    found += [(s, [(target, p) for target in [*middle, last]]) for s in middle]
    return [*found, (last, [(last, 0.75), (last + 1, 0.25)]), (-1, [])]


def entry_text(phones: Sequence[int], states: Sequence[State]) -> str:
    """One <TopologyEntry>."""
    lines = ["<TopologyEntry>", "<ForPhones>", " ".join(map(str, phones)), "</ForPhones>"]
    for number, (pdf_class, transitions) in enumerate(states):
        pdf = f"<PdfClass> {pdf_class} " if pdf_class >= 0 else ""
        moves = "".join(f"<Transition> {target} {p:.9g} " for target, p in transitions)
        lines.append(f"<State> {number} {pdf}{moves}</State>")
    return "\n".join([*lines, "</TopologyEntry>"]) + "\n"


def topo_text(voiced: Sequence[int], silent: Sequence[int], num_nonsil_states: int, num_sil_states: int) -> str:
    """The file `topo` of a lang directory, in Kaldi's text format."""
    entries = entry_text(voiced, left_to_right(num_nonsil_states)) + entry_text(silent, silence(num_sil_states))
    return f"<Topology>\n{entries}</Topology>\n"
