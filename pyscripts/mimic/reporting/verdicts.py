"""Two rows of a table of scores: their difference, its interval, and what that decides.

Rows are compared by the paired bootstrap of mimic.metrics.comparison, over the seeds that both have.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from statistics import mean

from mimic.errors import UserError
from mimic.metrics.comparison import Values, bootstrap, check, read_values
from mimic.metrics.identity import OTHER
from mimic.metrics.scores import marks
from mimic.reporting.score_table import DIGITS, Cell, Column, System, collect

LEGEND = (
    "[95 % interval] of a difference: paired bootstrap over utterances and, where there are several, seeds (the fewer, "
    "the wider); undecided: it holds 0. One seed says nothing of another seed, and another processor trains as another "
    "seed would: --seeds 3."
)


def pairs_of(systems: Sequence[System], chosen: Sequence[Sequence[str]]) -> list[tuple[System, System]]:
    """The chosen pairs of names, and each "X" with "X + mimic"; UserError for a name that is not a row."""
    names = {system.name: system for system in systems}
    for name in (name for pair in chosen for name in pair):
        if name not in names:
            raise UserError(f"--pair: no row '{name}', there are {', '.join(names)}")
    found = [*chosen, *([name, f"{name} + mimic"] for name in names if f"{name} + mimic" in names)]
    return [(names[a], names[b]) for a, b in dict.fromkeys(map(tuple, found))]


@dataclass(frozen=True)
class Verdict:
    """How row `b` compares with row `a` in a column; figures as they are shown, without an interval no limits."""

    column: str
    a: str
    b: str
    difference: str = ""
    low: str = ""
    high: str = ""
    note: str = ""  # the verdict, or why there is none

    def __str__(self) -> str:
        """Such as "WER: b against a: -1.20 [-2.30, +0.10], undecided (3 seeds, 160 utterances)"."""
        limits = f" [{self.low}, {self.high}]" if self.low else ""
        figures = f"{self.difference}{limits}, " if self.difference else ""
        return f"{self.column}: {self.b} against {self.a}: {figures}{self.note}"

    def record(self) -> dict[str, str]:
        """For Record.comparisons."""
        figures = {name: getattr(self, name) for name in ("column", "a", "b", "difference", "low", "high")}
        return figures | {"verdict": self.note.split()[0]}  # of limits that are not rounded


def verdicts(a: System, b: System, columns: Sequence[Column]) -> list[Verdict]:
    """A verdict for each column in which both have scores."""
    found = []
    values = cache(read_values)  # a directory has those of several columns
    for column in columns:
        first, second = (collect(system, column) for system in (a, b))
        if seeds := _seeds(a, b, first, second):
            pair = partial(Verdict, column.title, a.name, b.name)
            if verdict := _verdict(pair, column, seeds, (first, second), values):
                found.append(verdict)
    return found


def _seeds(a: System, b: System, first: Cell, second: Cell) -> list[tuple[str, str]]:
    """Pairs of seeds: those that both have; noisy speech, which has none, is compared with each of the other's."""
    if bool(a.others) != bool(b.others):
        return [(s, t) for s in first.scores for t in second.scores]
    return [(seed, seed) for seed in first.scores if seed in second.scores]


def _verdict(
    pair: Callable[..., Verdict],
    column: Column,
    seeds: Sequence[tuple[str, str]],
    cells: tuple[Cell, Cell],
    values: Callable[[Path], Mapping[str, Values]],
) -> Verdict | None:
    folders = [dict(zip(cell.scores, cell.folders, strict=True)) for cell in cells]
    sides = [[side[pair[k]] for pair in seeds] for k, side in enumerate(folders)]
    if OTHER in marks([*sides[0], *sides[1]]).values():
        return pair(note="scored on other data, not compared")
    try:
        pairs = [(values(a)[column.measure], values(b)[column.measure]) for a, b in zip(*sides, strict=True)]
        for x, y in pairs:
            check(column.measure, x, y, (pair().a, pair().b))
            check(column.measure, pairs[0][0], x, (pair().a, pair().a))
    except KeyError:  # no scores by utterance, as of an equal error rate
        gains = [cells[1].scores[t].mean - cells[0].scores[s].mean for s, t in seeds]
        known = [gain for gain in gains if not math.isnan(gain)]
        return pair(f"{mean(known):+.{DIGITS}f}", note=f"{_count(seeds)}, without an interval") if known else None
    except UserError as error:
        return pair(note=f"not compared: {error}")
    found = bootstrap(column.measure, pairs)
    if not found.n:
        return None
    figures = [f"{column.scale * v:+.{DIGITS}f}" for v in (found.b - found.a, found.low, found.high)]
    na = f", {found.na} NA" if found.na else ""
    return pair(*figures, f"{found.verdict} ({_count(seeds)}, {found.n} utterances{na})")


def _count(seeds: Sequence[tuple[str, str]]) -> str:
    return f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''}"
