"""Tables of many utterances in little memory: lines in blocks, without an object for each id and value."""

from bisect import bisect_right
from collections.abc import ItemsView, Iterable, Iterator, Mapping, ValuesView
from itertools import chain, islice
from operator import ge
from typing import TypeVar, cast

LINES = 32  # of a block; more take less memory, but longer to be looked up in another order
T = TypeVar("T")


class Table(Mapping[str, str]):
    """A read-only {key: value} in C order of the keys, as large as the file; see `table_of`.

    The block of the last lookup is held as a dict, for programs go through utterances in order.
    """

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._firsts: list[str] = []  # key of each block
        self._len = 0
        self._near: tuple[int, dict[str, str]] = -1, {}  # number of a block, and what is in it

    def add(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Append a block, whose keys are in C order and after all that are there; they have no blanks."""
        lines = [f"{key} {value}" for key, value in pairs]
        self._blocks.append("\n".join(lines).encode())
        self._firsts.append(lines[0].partition(" ")[0])
        self._len += len(lines)

    def __repr__(self) -> str:
        return f"table_of({list(self.pairs())})"

    def __len__(self) -> int:
        return self._len

    def __iter__(self) -> Iterator[str]:
        return (key for key, _ in self.pairs())

    def __getitem__(self, key: str) -> str:
        place, near = self._near
        if key not in near and place != (place := bisect_right(self._firsts, key) - 1):
            near = dict(_pairs(self._blocks[place])) if place >= 0 else {}
            self._near = place, near
        return near[key]

    def items(self) -> ItemsView[str, str]:
        return _Items(self)

    def values(self) -> ValuesView[str]:
        return _Values(self)

    def pairs(self) -> Iterator[tuple[str, str]]:
        """(key, value) without lookups."""
        return chain.from_iterable(map(_pairs, self._blocks))


def table_of(pairs: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """A mapping of (key, value) in this order: a Table where the keys are in C order and each is new, else a dict.

    Keys have neither blanks nor newlines, values no newlines.
    """
    table, last, pairs = Table(), "", iter(pairs)
    while block := list(islice(pairs, LINES)):
        keys = [last, *(key for key, _ in block)]
        if any(map(ge, keys, keys[1:])):
            return dict(chain(table.pairs(), block, pairs))
        table.add(block)
        last = keys[-1]
    return table


def in_order(table: Mapping[str, T]) -> Mapping[str, T]:
    """The table in C order of its keys; itself where it is a Table."""
    return cast(Mapping[str, T], table) if isinstance(table, Table) else {key: table[key] for key in sorted(table)}


def _pairs(block: bytes) -> Iterator[tuple[str, str]]:
    for line in block.decode().split("\n"):
        key, _, value = line.partition(" ")
        yield key, value


class _Items(ItemsView[str, str]):
    _mapping: Table

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return self._mapping.pairs()


class _Values(ValuesView[str]):
    _mapping: Table

    def __iter__(self) -> Iterator[str]:
        return (value for _, value in self._mapping.pairs())
