"""What can be said of two rows of a table of scores: the difference, its interval, and what that decides.

Rows are compared by the paired bootstrap of mimic.metrics.comparison, over the seeds that both have.
"""

import math
from collections.abc import Sequence
from functools import cache
from statistics import mean

from mimic.errors import UserError
from mimic.metrics.comparison import bootstrap, check, read_values
from mimic.metrics.identity import OTHER
from mimic.metrics.scores import marks
from mimic.reporting.score_table import DIGITS, Column, System, collect

LEGEND = (
    "[95 % interval] of a difference: paired bootstrap over utterances and, where there are several, seeds; undecided: "
    "it holds 0. One seed says nothing of another seed, and another processor trains as another seed would: --seeds 3."
)


def pairs_of(systems: Sequence[System], chosen: Sequence[Sequence[str]]) -> list[tuple[System, System]]:
    """The chosen pairs of names, and each "X" with "X + mimic"; UserError for a name that is no row."""
    names = {system.name: system for system in systems}
    for name in (name for pair in chosen for name in pair):
        if name not in names:
            raise UserError(f"--pair: no row '{name}', there are {', '.join(names)}")
    found = [*chosen, *([name, f"{name} + mimic"] for name in names if f"{name} + mimic" in names)]
    return [(names[a], names[b]) for a, b in dict.fromkeys(map(tuple, found))]


def verdicts(a: System, b: System, columns: Sequence[Column]) -> list[str]:
    """A line for each column in which both have scores, such as "WER: b against a: -1.20 [-2.30, +0.10], undecided"."""
    lines = []
    scores = cache(read_values)  # a directory has those of several columns
    for column in columns:
        first, second = (collect(system, column) for system in (a, b))
        seeds = [seed for seed in first.scores if seed in second.scores]
        if not seeds:
            continue
        sides = [[dict(zip(cell.scores, cell.folders, strict=True))[s] for s in seeds] for cell in (first, second)]
        start = f"{column.title}: {b.name} against {a.name}:"
        if OTHER in marks([*sides[0], *sides[1]]).values():
            lines.append(f"{start} scored on other data, not compared")
            continue
        measure = column.measure
        try:
            values = [[scores(side)[measure] for side in pair] for pair in zip(*sides, strict=True)]
            for x, y in values:
                check(measure, x, y, (a.name, b.name))
                check(measure, values[0][0], x, (a.name, a.name))
        except KeyError:  # no scores by utterance, as of an equal error rate
            gains = [second.scores[s].mean - first.scores[s].mean for s in seeds]
            known = [gain for gain in gains if not math.isnan(gain)]
            if known:
                lines.append(f"{start} {mean(known):+.{DIGITS}f}, {_count(seeds)}, without an interval")
            continue
        except UserError as error:
            lines.append(f"{start} not compared: {error}")
            continue
        found = bootstrap(measure, values)
        if found.n:
            numbers = [column.scale * v for v in (found.b - found.a, found.low, found.high)]
            difference, low, high = (f"{v:+.{DIGITS}f}" for v in numbers)
            na = f", {found.na} NA" if found.na else ""
            lines.append(
                f"{start} {difference} [{low}, {high}], {found.verdict} ({_count(seeds)}, {found.n} utterances{na})"
            )
    return lines


def _count(seeds: Sequence[str]) -> str:
    return f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''}"
