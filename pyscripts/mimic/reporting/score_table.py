"""The table of scores: what is in exp/*/scoring, a row for each system, seeds combined; and rows as text."""

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev

from mimic.errors import UserError
from mimic.inputs import split_paths
from mimic.metrics.figures import Mean
from mimic.metrics.identity import NOISE, OTHER, UNKNOWN
from mimic.metrics.scores import marks, read_scores
from mimic.settings import comma_separated

DIGITS = 2
SEED = re.compile(r"(.+)@(\d+)")  # a row's name with its seed
REASONS = {
    OTHER: f"{OTHER} than the rest of the column, no comparison with it",
    NOISE: "other noise types or SNRs than most rows have",
    UNKNOWN: f"{UNKNOWN}, for what they were scored on is not recorded; score again with --force true",
}
SCORED = {"enhance": "steps/score_enhancement.sh", "asr": "steps/score_asr.sh", "fixed": "steps/score_asr.sh"}
SIDES = tuple(SCORED)  # of a system: its directories
MADE = {
    "enhance": "steps/train.sh and steps/enhance.sh",
    "asr": "steps/train.sh and steps/decode.sh",
    "fixed": "steps/decode.sh",
}


@dataclass(frozen=True)
class Column:
    """A figure of each system: of which directory and set, its name in summary.json, and how it is shown."""

    title: str
    side: str  # "enhance", "asr" or "fixed": which of the directories of a system
    set: str
    measure: str
    scale: float = 1.0
    more_is_better: bool = True


COLUMNS = (
    Column("PESQ", "enhance", "test", "wb-pesq"),
    Column("eSTOI", "enhance", "test", "estoi", scale=100),
    Column("STOI", "enhance", "test", "stoi", scale=100),
    Column("CSIG", "enhance", "test", "csig"),
    Column("CBAK", "enhance", "test", "cbak"),
    Column("COVL", "enhance", "test", "covl"),
    Column("SI-SDR", "enhance", "test", "si-sdr"),
    Column("DNSMOS", "enhance", "test", "dnsmos-ovrl"),
    Column("dev PESQ", "enhance", "dev", "wb-pesq"),
    Column("dev eSTOI", "enhance", "dev", "estoi", scale=100),
    Column("dev STOI", "enhance", "dev", "stoi", scale=100),
    Column("dev SI-SDR", "enhance", "dev", "si-sdr"),
    Column("accuracy", "asr", "test", "accuracy"),
    Column("EER", "asr", "test", "eer", more_is_better=False),
    Column("dev CER", "asr", "dev", "cer", more_is_better=False),
    Column("test CER", "asr", "test", "cer", more_is_better=False),
    Column("dev WER", "asr", "dev", "wer", more_is_better=False),
    Column("test WER", "asr", "test", "wer", more_is_better=False),
    Column("foreign dev WER", "fixed", "dev", "wer", more_is_better=False),
    Column("fixed test WER", "fixed", "test", "wer", more_is_better=False),
)
MAIN_COLUMNS = "PESQ,eSTOI,dev WER,test WER"


def parse_columns(names: str) -> tuple[Column, ...]:
    """Split comma-separated titles (or "all") into columns, in the order of COLUMNS; UserError for an unknown one."""
    wanted = [column.title for column in COLUMNS] if names == "all" else comma_separated(names)
    if unknown := set(wanted) - {column.title for column in COLUMNS}:
        titles = ",".join(column.title for column in COLUMNS)
        raise UserError(f"--columns {names}: no column '{min(unknown)}', there are {titles}")
    return tuple(column for column in COLUMNS if column.title in wanted)


@dataclass(frozen=True)
class System:
    """A row: the directories of an enhancer, of a recogniser trained on its speech, and of what the recogniser of clean
    speech, not retrained, makes of that (each may be none); and the same for each further seed."""

    name: str
    enhance: Path | None
    asr: Path | None
    seed: str = "1"
    others: tuple["System", ...] = ()
    fixed: Path | None = None

    @classmethod
    def parse(cls, text: str) -> "System":
        """Read `name=enhance_dir,asr_dir`, `...,fixed_dir`, `name@seed=...`; each directory may be empty."""
        name, equals, rest = text.partition("=")
        dirs = split_paths(rest, ",")
        if not equals or not name or len(dirs) not in (2, 3):
            raise UserError(f"'{text}': expected name=enhance_dir,asr_dir, e.g. MSE=exp/enhance_mse,exp/asr_mse")
        name, seed = match.groups() if (match := SEED.fullmatch(name)) else (name, "1")
        enhance, asr, fixed = (Path(d) if d else None for d in [*dirs, ""][:3])
        return cls(name, enhance, asr, seed, fixed=fixed)

    def dirs(self, side: str) -> dict[str, Path]:
        """{seed: directory} of one of SIDES; empty for a system without it."""
        return {s.seed: d for s in (self, *self.others) if (d := getattr(s, side))}

    def records(self, base: Path) -> list[dict[str, str]]:
        """A dictionary for each seed, for Record.systems; paths from `base`."""
        found = [(s, {side: getattr(s, side) for side in SIDES}) for s in (self, *self.others)]
        relative = [(s, {side: os.path.relpath(d, base) for side, d in dirs.items() if d}) for s, dirs in found]
        return [{"name": s.name, "seed": s.seed, **dirs} for s, dirs in relative]


def parse_systems(texts: Sequence[str]) -> list[System]:
    """Rows of a table; arguments of one name are the seeds of one system. UserError for a seed given twice."""
    found: dict[str, list[System]] = {}
    for system in map(System.parse, texts):
        seeds = found.setdefault(system.name, [])
        if system.seed in [other.seed for other in seeds]:
            raise UserError(f"row {system.name}, seed {system.seed}: given twice; name@2=... is of seed 2")
        seeds.append(system)
    return _joined(found)


def read_systems(path: Path) -> list[System]:
    """The systems of the record beside a table of scores, none of another JSON file. UserError for a damaged one."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        lines = record.get("systems", []) if isinstance(record, dict) else []
        found: dict[str, list[System]] = {}
        for line in lines:
            enhance, asr, fixed = (path.parent / line[side] if side in line else None for side in SIDES)
            found.setdefault(line["name"], []).append(System(line["name"], enhance, asr, line["seed"], fixed=fixed))
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path}: not a record of scores ({error}): remove it and run the recipe again") from None
    return _joined(found)


def _joined(found: Mapping[str, Sequence[System]]) -> list[System]:
    return [replace(first, others=tuple(others)) for first, *others in found.values()]


@dataclass(frozen=True)
class Cell:
    """All seeds of a system in one column; `missing` names what is not there and the steps that make it."""

    scores: dict[str, Mean]  # by seed, in the units of the column
    missing: str = ""
    folders: tuple[Path, ...] = ()  # where the scores were read
    mark: str = ""  # after the number

    @property
    def mean(self) -> float | None:
        """Mean over the seeds that have a score."""
        return mean(values) if (values := self.values()) else None

    def values(self) -> list[float]:
        return [s.mean for s in self.scores.values() if not math.isnan(s.mean)]

    def count(self) -> int | None:
        """How many items every seed was scored on, None where that differs or something has no score."""
        counts = {s.n for s in self.scores.values()}
        return counts.pop() if len(counts) == 1 and not any(s.na for s in self.scores.values()) else None

    def text(self, common: int | None = None) -> str:
        """Mean and spread, and on how many items, unless they are as many as `common` says."""
        if not self.scores:
            return "-"
        values = self.values()
        spread = f" +- {stdev(values):.{DIGITS}f}" if len(values) > 1 else ""
        counts = {s.n for s in self.scores.values()}
        na = sum(s.na for s in self.scores.values())
        span = f"{min(counts)}" if len(counts) == 1 else f"{min(counts)}-{max(counts)}"
        shown = f"{mean(values):.{DIGITS}f}{spread}" if values else "NA"
        counted = "" if common and common == self.count() else f" (n={span}{f', NA={na}' if na else ''})"
        return f"{shown}{counted}{self.mark}"


def collect(system: System, column: Column) -> Cell:
    """Read one cell; what is not there is named in `missing` instead."""
    scores, missing, folders = {}, [], []
    for seed, path in system.dirs(column.side).items():
        folder = path / "scoring" / column.set
        found = read_scores(folder)
        if found and column.measure in found.figures:
            scores[seed] = _scaled(found.figures[column.measure], column.scale)
            folders.append(folder)
        elif found and column.side == "enhance":
            raise UserError(f"{folder}: no score {column.measure}: score again with --measures all,{column.measure}")
        else:
            made = SCORED[column.side] if path.is_dir() else f"{MADE[column.side]}, then {SCORED[column.side]}"
            missing.append(f"{system.name}, {column.title}: no {column.measure} in {folder}: run {made}")
    return Cell(scores, "; ".join(missing), tuple(folders))


def by_seed(system: System, columns: Sequence[Column]) -> dict[str, dict[str, str]]:
    """{title of a column: {seed: "12.34 [11.00, 13.50]"}}: each seed's figure and its interval over utterances."""
    cells = {column.title: collect(system, column).scores for column in columns}
    return {
        title: {seed: _with_limits(score) for seed, score in scores.items()}
        for title, scores in cells.items()
        if scores
    }


def _with_limits(score: Mean) -> str:
    return f"{score.mean:.{DIGITS}f} [{score.low:.{DIGITS}f}, {score.high:.{DIGITS}f}]"


def _scaled(score: Mean, scale: float) -> Mean:
    return replace(score, mean=scale * score.mean, low=scale * score.low, high=scale * score.high)


def table(
    systems: Sequence[System], columns: Sequence[Column], published: Mapping[str, Mapping[str, str]] | None = None
) -> tuple[list[list[str]], list[str]]:
    """The table with its header, and a line for each number that is missing.

    `published` is {system: {title of a column: value}}. With it cells are short: the published value follows the
    measured one in brackets, and a count that a whole column shares is in the header.
    """
    cells = [[collect(system, column) for column in columns] for system in systems]
    notes = [cell.missing for line in cells for cell in line if cell.missing]
    cells, marked = _mark(systems, columns, cells)
    notes += marked
    if published is None:
        rows = [[system.name, *(cell.text() for cell in line)] for system, line in zip(systems, cells, strict=True)]
        return [["system", *(column.title for column in columns)], *rows], notes
    head, rows = ["system"], [[system.name] for system in systems]
    for column, line in zip(columns, zip(*cells, strict=True), strict=True):
        counts = {count for cell in line if (count := cell.count())}
        common = counts.pop() if len(counts) == 1 else None
        values = [published.get(system.name, {}).get(column.title, "-") for system in systems]
        title = f"{column.title} [published]" if set(values) - {"-"} else column.title
        head.append(f"{title}{f' (n={common})' if common else ''}")
        for row, cell, value in zip(rows, line, values, strict=True):
            row.append(cell.text(common) + ("" if value == "-" else f" [{value}]"))
    return [head, *rows], notes


def _mark(
    systems: Sequence[System], columns: Sequence[Column], cells: Sequence[Sequence[Cell]]
) -> tuple[list[list[Cell]], list[str]]:
    """The cells, those marked that were scored on other data than most of their column, and a line for each reason."""
    found: dict[str, dict[str, None]] = {reason: {} for reason in REASONS}
    marked = [list(line) for line in cells]
    for place, column in enumerate(columns):
        reasons = marks([folder for line in cells for folder in line[place].folders])
        for row, (system, line) in enumerate(zip(systems, cells, strict=True)):
            those = {reasons[folder] for folder in line[place].folders}
            for reason in those - {""}:
                found[reason][f"{system.name} ({column.title})" if reason == OTHER else system.name] = None
            if OTHER in those:
                marked[row][place] = replace(line[place], mark=f" ({OTHER})")
    return marked, [f"{text}: {', '.join(found[reason])}" for reason, text in REASONS.items() if found[reason]]


def read_published(path: Path) -> dict[str, dict[str, str]]:
    """Read published values: a header `system` and titles of columns, then rows, tab-separated; `-`: none."""
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    head, *rows = lines
    if bad := [row for row in rows if len(row) != len(head)]:
        raise UserError(f"{path}: {bad[0][0]}: {len(bad[0])} fields, the header has {len(head)}")
    return {name: dict(zip(head[1:], values, strict=True)) for name, *values in rows}


def seeds_of(systems: Sequence[System]) -> str:
    """Which seeds each row is made from, as far as their directories are there."""
    rows = {system.name: dirs for system in systems if (dirs := system.dirs("asr") or system.dirs("enhance"))}
    found = {name: [seed for seed, path in dirs.items() if path.is_dir()] for name, dirs in rows.items()}
    return "; ".join(f"{name}: {','.join(seeds) or 'none yet'}" for name, seeds in found.items())


def trained_at(systems: Sequence[System]) -> str:
    """Revisions of the code that trained the rows, as their run_info.json say; empty where there is none."""
    dirs = [path for system in systems for side in SIDES for path in system.dirs(side).values()]
    infos = [path / "run_info.json" for path in dirs]
    return ", ".join(sorted({json.loads(path.read_text())["revision"] for path in infos if path.is_file()}))


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns padded with spaces, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(rest, widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip() + "\n")
    return "".join(lines)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """The same as a table in Markdown."""
    head, *body = (f"| {' | '.join(row)} |\n" for row in rows)
    return head + "|---" * len(rows[0]) + "|\n" + "".join(body)


def tsv(rows: Sequence[Sequence[str]]) -> str:
    """The same, tab-separated."""
    return "".join("\t".join(row) + "\n" for row in rows)
