"""The tables of the report: results of one tree or of two side by side, all scores with intervals, utterances."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from mimic.reporting.collect import NAMES, TEST, Scored, Tree
from mimic.reporting.table import DIGITS, MAIN_COLUMNS, WER_LINE, Cell, System, collect, parse_columns, table

COLUMNS = parse_columns(MAIN_COLUMNS)


@dataclass(frozen=True)
class Value:
    """A cell: what it shows, a number to sort by, whether it is the best of its column."""

    text: str
    number: float | None = None
    best: bool = False


def results(tree: Tree) -> tuple[list[str], list[list[Value]], list[str]]:
    """Header, rows and notes of the table that RESULTS.md has, the best of each column marked; clean is no rival."""
    systems = [scored.system for scored in tree.scored]
    (header, *rows), notes = table(systems, COLUMNS) if systems else ([""], [])
    numbers = [[_number(collect(system, column)) for column in COLUMNS] for system in systems]
    rivals = [scored.name != "clean" for scored in tree.scored]
    best = []
    for place, column in enumerate(COLUMNS):
        known = [n[place] for n, rival in zip(numbers, rivals, strict=True) if rival and n[place] is not None]
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
    """Columns of the results table, and for each system: name, then (first, second, difference) per column."""
    rows = []
    names = dict.fromkeys(s.name for tree in (first, second) for s in tree.scored)
    for name in names:
        pair = [next((s.system for s in tree.scored if s.name == name), None) for tree in (first, second)]
        row = [next(system.name for system in pair if system)]
        for column in COLUMNS:
            cells = [collect(system, column) if system else Cell({}) for system in pair]
            a, b = (_number(cell) for cell in cells)
            row += [*(cell.text() for cell in cells), "-" if a is None or b is None else f"{b - a:+.{DIGITS}f}"]
        rows.append(row)
    return [column.title for column in COLUMNS], rows


def all_scores(systems: Sequence[Scored]) -> tuple[list[str], list[list[tuple[str, str]]]]:
    """Every measure and error rate of each system's first seed as (mean, interval); empty columns are left out."""
    columns = {NAMES[measure]: [_summary(s.system, s, measure) for s in systems] for measure in NAMES}
    for unit in ("wer", "cer"):
        for part in ("dev", TEST):
            columns[f"{part} {unit.upper()}"] = [_rate(s.system, part, unit) for s in systems]
    columns = {title: cells for title, cells in columns.items() if any(cell[0] for cell in cells)}
    rows = [[(s.title, ""), *(cells[k] for cells in columns.values())] for k, s in enumerate(systems)]
    return ["system", *columns], rows


def _summary(system: System, scored: Scored, measure: str) -> tuple[str, str]:
    path = system.enhance / "scoring" / TEST / "summary.tsv" if system.enhance else Path("none")
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        name, *cells = line.split("\t")
        if name == measure:
            return _digits(cells[0]), "" if cells[1] == "NA" else f"{_digits(cells[1])} to {_digits(cells[2])}"
    return "", ""


def _rate(system: System, part: str, unit: str) -> tuple[str, str]:
    where = system.asr / "scoring" / part if system.asr else Path("none")
    path = where / f"{unit}_1_0.0"
    found = WER_LINE.search(path.read_text(encoding="utf-8")) if path.exists() else None
    limits = _limits(where / f"{unit}_details" / f"{unit}_bootci")
    return (found[1] if found else ""), (f"{limits[0]} to {limits[1]}" if found and limits else "")


def _limits(path: Path) -> tuple[str, str] | None:
    """Limits of the 95 % interval in Kaldi's wer_bootci."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    found = re.search(r"Interval \[ (\S+), (\S+) \]", text)
    return (found[1], found[2]) if found else None


def _digits(text: str) -> str:
    return text if text == "NA" else f"{float(text):.3f}"


def _number(cell: Cell) -> float | None:
    values = [score.value for score in cell.scores.values() if score.value is not None]
    return round(mean(values), DIGITS) if values else None  # as shown: what reads alike is alike
