"""The tables of the report: main scores of one tree or of two side by side, all scores with intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mimic.metrics.enhancement import MEASURES
from mimic.metrics.figures import Mean
from mimic.metrics.scores import read_scores
from mimic.metrics.wer import percent
from mimic.reporting.score_table import DIGITS, MAIN_COLUMNS, Cell, Column, System, collect, parse_columns, table
from mimic.reporting.tree import TEST, Scored, Tree

COLUMNS = parse_columns(f"{MAIN_COLUMNS},fixed test WER")


@dataclass(frozen=True)
class Value:
    """A cell: what it shows, a number to sort by, whether it is the best of its column."""

    text: str
    number: float | None = None
    best: bool = False


def columns(systems: Sequence[System]) -> tuple[Column, ...]:
    """COLUMNS, where speech was scored less those measures that no system has: by DNSMOS alone, for example.

    Those of the fixed recogniser only where a system has it.
    """
    fixed = any(system.dirs("fixed") for system in systems)
    scored = [read_scores(s.enhance / "scoring" / TEST) for s in systems if s.enhance]
    known = {measure for scores in scored if scores for measure in scores.figures}
    has = {"enhance": lambda c: not known or c.measure in known, "fixed": lambda c: fixed, "asr": lambda c: True}
    return tuple(c for c in COLUMNS if has[c.side](c))


def main_scores(tree: Tree) -> tuple[list[str], list[list[Value]], list[str]]:
    """Header, rows and notes of the table that RESULTS.md has, the best of each column but clean marked."""
    systems = [scored.system for scored in tree.scored]
    shown = columns(systems)
    grid: list[list[str]] = [[]]
    notes: list[str] = []
    if systems:
        grid, notes = table(systems, shown)
    header, *rows = grid
    numbers = [[_number(collect(system, column)) for column in shown] for system in systems]
    rivals = [scored.name != "clean" for scored in tree.scored]
    best = []
    for place, column in enumerate(shown):
        of_rivals = [n[place] for n, rival in zip(numbers, rivals, strict=True) if rival]
        known = [number for number in of_rivals if number is not None]
        best.append((max if column.more_is_better else min)(known) if len(known) > 1 else None)
    marked = []
    for row, values, rival in zip(rows, numbers, rivals, strict=True):
        cells = [
            Value(text, number, rival and number is not None and number == top)
            for text, number, top in zip(row[1:], values, best, strict=True)
        ]
        marked.append([Value(row[0]), *cells])
    return header, marked, notes


def side_by_side(first: Tree, second: Tree) -> tuple[list[str], list[list[str]]]:
    """Columns of the main table, and for each system: name, then (first, second, difference) per column."""
    rows = []
    names = dict.fromkeys(s.name for tree in (first, second) for s in tree.scored)
    shown = columns([s.system for tree in (first, second) for s in tree.scored])
    for name in names:
        pair = [next((s.system for s in tree.scored if s.name == name), None) for tree in (first, second)]
        row = [next(system.name for system in pair if system)]
        for column in shown:
            cells = [collect(system, column) if system else Cell({}) for system in pair]
            a, b = (_number(cell) for cell in cells)
            row += [*(cell.text() for cell in cells), "-" if a is None or b is None else f"{b - a:+.{DIGITS}f}"]
        rows.append(row)
    return [column.title for column in shown], rows


def all_scores(systems: Sequence[Scored]) -> tuple[list[str], list[list[tuple[str, str]]]]:
    """Every measure and error rate of each system's first seed as (mean, interval); empty columns are left out."""
    columns = {MEASURES[measure]: [_figure(s.system.enhance, TEST, measure) for s in systems] for measure in MEASURES}
    for unit in ("wer", "cer"):
        for part in ("dev", TEST):
            columns[f"{part} {unit.upper()}"] = [_figure(s.system.asr, part, unit) for s in systems]
    columns = {title: cells for title, cells in columns.items() if any(cell[0] for cell in cells)}
    rows = [[(s.title, ""), *(cells[k] for cells in columns.values())] for k, s in enumerate(systems)]
    return ["system", *columns], rows


def _figure(directory: Path | None, part: str, measure: str) -> tuple[str, str]:
    """A figure and its interval as text, empty where it is not there."""
    scores = read_scores(directory / "scoring" / part) if directory else None
    found: Mean | None = scores.figures.get(measure) if scores else None
    if found is None:
        return "", ""
    limits = (found.low, found.high)
    if measure in ("wer", "cer"):
        text, digits = percent(found.counts["errors"], found.n), 2
    else:
        text, digits = "NA" if math.isnan(found.mean) else f"{found.mean:.3f}", 3
    return text, "" if any(map(math.isnan, limits)) else " to ".join(f"{v:.{digits}f}" for v in limits)


def _number(cell: Cell) -> float | None:
    return None if cell.mean is None else round(cell.mean, DIGITS)  # as shown: what reads alike is alike
