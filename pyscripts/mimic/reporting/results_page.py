"""RESULTS.md and its plots from a template and records.

A line of the template stands for a part of the page:
    {{ table NAME...: COLUMN; first.COLUMN; rest.COLUMN as TITLE }}   rows of records, those of one name put together;
                                       bold: better than its pair, with an interval that excludes 0; first, rest:
                                       only of the first record, only of the others
    {{ effects NAME...: COLUMN as TITLE... }}      a column of each record; with the difference of a row to its pair,
                                       not that to noisy speech, and its interval: what mimic loss does
    {{ by_condition NAME...: ROW; TITLE... }}      what mimic loss does to a row in each condition, a column a record
    {{ by_input NAME...: COLUMN; LABEL... }}       rows named "system, input": a row a system, a column an input
    {{ snr NAME: ROW; ROW }}           plot of error rates against SNR, with their intervals; NAME snr_A: of test set A
    {{ seeds NAME: COLUMN }}           plot of "X + mimic" beside X from each seed, titled by their difference
    {{ not_better NAME... }}           a table of the compared rows that are undecided or worse
    {{ reproduce NAME... }}            command, commit and record, a line each
    {{ study NAME... }}                settings that were tried on dev, and those chosen; records may be absent
    {{ printed NAME }}                 what a program printed, which is Markdown
    {{ verdicts NAME }}                of what steps/judge.sh printed, the tables with verdicts and the last lines
and within a line
    {{ NAME.KEY }}                     a ratio or a fact
    {{ NAME.KEY >= 2 }}                a ratio with its target, also <=; marked where it misses that or has no record
    {{ NAME.last }}                    the last line that a program printed
"""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from mimic.errors import UserError
from mimic.reporting import page_plots, study
from mimic.reporting.records import Record, read_record
from mimic.reporting.score_table import COLUMNS, markdown

TEMPLATE = "template.md"
LINE = re.compile(r"^\{\{ (\w+) ([^:}]+)(?:: (.*))? \}\}$", re.MULTILINE)
INLINE = re.compile(r"\{\{ ([\w-]+)\.([\w-]+)(?: ([<>]=) ([\d.]+))? \}\}")
RISING = {column.title: column.more_is_better for column in COLUMNS}


class Page:
    """A page in the making: its records, those that have been shown, and the plots that it needs."""

    def __init__(self, records: Mapping[str, Record], folder: str, figures: str) -> None:
        self.records, self.folder, self.figures = records, folder, figures
        self.shown: set[str] = set()
        self.plots: dict[str, str] = {}  # file name: SVG

    def render(self, template: str, complete: bool = True) -> str:
        """The page. UserError: a record that is not there, or a directive that is not known.

        Where it has to be `complete` also for a record that has no place.
        """
        text = INLINE.sub(self._value, LINE.sub(self._part, template))
        if left := re.search(r"\{\{.*", text):
            raise UserError(f"{TEMPLATE}: {left[0]}: not a directive of mimic/reporting/results_page.py")
        if complete and (unused := sorted(self.records.keys() - self.shown)):
            raise UserError(f"{self.folder}/{unused[0]}.json has no place in {TEMPLATE}: name it in a directive")
        return text

    def _get(self, name: str) -> Record:
        if name not in self.records:
            raise UserError(f"{TEMPLATE}: {{{{ {name} }}}}: no {self.folder}/{name}.json")
        self.shown.add(name)
        return self.records[name]

    def _value(self, match: re.Match) -> str:
        name, key, sign, target = match.groups()
        if sign and (name not in self.records or key not in self._get(name).ratios):
            return f"no record (target {target})"  # on a machine without the peer
        record = self._get(name)
        if key == "last":
            return record.text.strip().splitlines()[-1]
        found = record.ratios.get(key, record.facts.get(key))
        if found is None:
            raise UserError(f"{TEMPLATE}: {match[0]}: neither a ratio nor a fact of {self.folder}/{match[1]}.json")
        if sign and (float(found) < float(target) if sign == ">=" else float(found) > float(target)):
            return f"{found} **target {target}**"
        return found

    def _part(self, match: re.Match) -> str:
        parts: dict[str, Callable[[list[str], str], str]] = {
            "table": self._table,
            "effects": self._effects,
            "by_condition": self._by_condition,
            "by_input": self._by_input,
            "snr": self._snr,
            "seeds": self._seeds,
            "not_better": self._not_better,
            "reproduce": self._reproduce,
            "study": self._study,
            "printed": lambda names, _: self._get(names[0]).text,
            "verdicts": self._verdicts,
        }
        if match[1] not in parts:
            return match[0]
        return parts[match[1]](match[2].split(), match[3] or "").rstrip("\n")

    def _table(self, names: list[str], columns: str) -> str:
        wanted = titled(columns)
        rows: dict[str, list[str]] = {}
        for name in names:
            record = self._get(name)
            place = {bare(title): k for k, title in enumerate(record.rows[0])}
            better = {(c["b"], c["column"]) for c in record.comparisons if verdict(c) == "better"}
            for row in record.rows[1:]:
                cells = rows.setdefault(row[0], [""] * len(wanted))
                for k, (spec, _) in enumerate(wanted):
                    part, dot, column = spec.rpartition(".")
                    if column in place and not cells[k] and (not dot or (part == "first") == (name == names[0])):
                        bold = "**" if (row[0], column) in better else ""
                        cells[k] = f"{bold}{bare(row[place[column]])}{bold}"
        head = ["system", *(title for _, title in wanted)]
        return markdown([head, *([name, *cells] for name, cells in rows.items())])

    def _effects(self, names: list[str], columns: str) -> str:
        wanted = titled(columns)
        table: dict[str, list[str]] = {}
        for k, (name, (column, _)) in enumerate(zip(names, wanted, strict=True)):
            record = self._get(name)
            head, *body = record.rows
            at = [bare(title) for title in head].index(column)
            pairs = {c["b"]: c for c in record.comparisons if c["column"] == column and c["a"] != "noisy"}
            for row in body:
                cell = bare(row[at])
                if c := pairs.get(row[0]):
                    bold = "**" if verdict(c) == "better" else ""
                    cell += f" ({bold}{change(c)}{bold})"
                table.setdefault(row[0], [""] * len(names))[k] = cell
        head = ["system", *(title for _, title in wanted)]
        return markdown([head, *([row, *cells] for row, cells in table.items())])

    def _by_condition(self, names: list[str], spec: str) -> str:
        row, *titles = spec.split("; ")
        table: dict[str, list[str]] = {}
        for k, name in enumerate(names):
            for c in self._get(name).comparisons:
                if c["b"] == row and not re.match("snr_", c["column"]):
                    bold = "**" if verdict(c) == "better" else ""
                    table.setdefault(c["column"], [""] * len(names))[k] = f"{bold}{change(c)}{bold}"
        if not table:
            raise UserError(f"{TEMPLATE}: {self.folder}/{names[0]}.json compares nothing with {row}")
        return markdown([["condition", *titles], *([condition, *cells] for condition, cells in table.items())])

    def _by_input(self, names: list[str], spec: str) -> str:
        column, *labels = spec.split("; ")
        table: dict[str, dict[str, str]] = {}
        for name, label in zip(names, labels or [""], strict=True):
            head, *body = self._get(name).rows
            at = [bare(title) for title in head].index(column)
            for row in body:
                system, _, condition = row[0].rpartition(", ")
                table.setdefault(system, {})[f"{condition}, {label}" if label else condition] = bare(row[at])
        conditions = list(dict.fromkeys(condition for cells in table.values() for condition in cells))
        rows = [[system, *(cells.get(condition, "-") for condition in conditions)] for system, cells in table.items()]
        return markdown([[column, *conditions], *rows])

    def _snr(self, names: list[str], rows: str) -> str:
        head, *body = self._get(names[0]).rows
        condition = names[1] if len(names) > 1 else "snr"
        split = [(k, *title.partition(" ")) for k, title in enumerate(head)]
        levels = [(k, level) for k, name, _, level in split if name == condition and level]
        wanted = rows.split("; ")
        curves = {row[0]: [numbers(row[k]) for k, _ in levels] for row in body if row[0] in wanted}
        if missing := set(wanted) - curves.keys():
            raise UserError(f"{TEMPLATE}: {self.folder}/{names[0]}.json has no row {min(missing)}")
        if not levels:
            raise UserError(f"{TEMPLATE}: {self.folder}/{names[0]}.json has no column {condition}")
        name = "_".join(names) if condition != "snr" else names[0]
        return self._plot(name, page_plots.by_level([level for _, level in levels], curves), "WER against SNR")

    def _seeds(self, names: list[str], column: str) -> str:
        record = self._get(names[0])
        found = next((c for c in record.comparisons if c["column"] == column and c["b"] == f"{c['a']} + mimic"), None)
        if found is None or not all(column in record.by_seed.get(found[side], {}) for side in "ab"):
            raise UserError(f"{TEMPLATE}: {self.folder}/{names[0]}.json has no {column} with and without mimic by seed")
        pair = {found[side]: record.by_seed[found[side]][column] for side in "ab"}
        seeds = [seed for seed in pair[found["a"]] if seed in pair[found["b"]]]
        curves = {row: [numbers(cells[seed]) for seed in seeds] for row, cells in pair.items()}
        title = (
            f"{column}, %: {found['b']} against {found['a']} {change(found)}, {len(seeds)} seeds, {found['verdict']}"
        )
        svg = page_plots.by_level(seeds, curves, title, "seed")
        return self._plot(f"{names[0]}_{column.replace(' ', '_')}", svg, title)

    def _not_better(self, names: list[str], _: str) -> str:
        rows = [["change", "score", "difference [95 % interval]", "verdict", "record"]]
        for name in names:
            rows += [
                [f"{c['a']} -> {c['b']}", c["column"], change(c), verdict(c), name]
                for c in self._get(name).comparisons
                if verdict(c) != "better"
            ]
        if len(rows) == 1:
            return "No paired comparison is recorded: undecided."
        return markdown(rows)

    def _reproduce(self, names: list[str], _: str) -> str:
        lines: dict[str, list[str]] = {}
        for name in names:
            facts = self._get(name).facts
            line = f"{facts['command']} (commit {facts['commit']})"
            lines.setdefault(line, []).append(f"[{name}]({self.folder}/{name}.json)")
        return "".join(f"- {', '.join(links)}: {line}\n" for line, links in lines.items())

    def _study(self, names: list[str], _: str) -> str:
        tables = []
        for name in names:
            if name not in self.records:
                continue
            record = self._get(name)
            rows = [[bare(cell) for cell in row] for row in record.rows]
            tables.append(study.page_of(rows, record.settings, record.comparisons, record.choices))
            tables.append(self._reproduce([name], ""))
        return "\n".join(tables) or "No study is recorded."

    def _verdicts(self, names: list[str], _: str) -> str:
        parts = [part.strip("\n") for part in self._get(names[0]).text.strip().split("\n\n")]
        tables = [part for part in parts if "| verdict |" in part.splitlines()[0]]
        return "\n\n".join([*tables, *(f"- {line}" for line in parts[-1].splitlines())])

    def _plot(self, name: str, svg: str, label: str) -> str:
        self.plots[f"{name}.svg"] = svg
        return f"![{label}]({self.figures}/{name}.svg)"


def verdict(c: Mapping[str, str]) -> str:
    """What the interval of a difference means: better, worse, or undecided where it holds 0."""
    if "verdict" in c:
        return c["verdict"]
    low, high = float(c["low"]), float(c["high"])
    if low <= 0 <= high:
        return "undecided"
    return "better" if (low > 0) == RISING.get(c["column"], False) else "worse"


def change(c: Mapping[str, str]) -> str:
    """A difference with its interval."""
    return f"{c['difference']} [{c['low']}, {c['high']}]"


def titled(columns: str) -> list[tuple[str, str]]:
    """(column, title) of each of `COLUMN; COLUMN as TITLE`."""
    parts = (column.partition(" as ") for column in columns.split("; "))
    return [(column, title or column) for column, _, title in parts]


def bare(cell: str) -> str:
    """A cell or a title without counts and published values."""
    return re.sub(r" (\(n=.*?\)|\[.*?\])", "", cell)


def numbers(cell: str) -> tuple[float, float, float] | None:
    """`12.3 [10.1, 14.5]` as three numbers, None for an empty cell."""
    found = re.findall(r"-?\d+\.?\d*", cell)
    if len(found) != 3:
        return None
    value, low, high = map(float, found)
    return value, low, high


def render_folder(folder: Path, pages: Mapping[str, Path], figures: Path) -> dict[Path, str]:
    """{file: text} of pages and their plots, from a folder with their templates and records (or records/ in it).

    `pages` has the page of each template; a template that is not there is left out, and the last page has a place for
    each record that no other one shows.
    """
    place = folder / "records" if (folder / "records").is_dir() else folder
    records = {path.stem: read_record(path) for path in sorted(place.glob("*.json"))}
    made: dict[Path, str] = {}
    shown: set[str] = set()
    for name, page in pages.items():
        if not (folder / name).exists():
            continue
        new = Page(records, _from(page, place), _from(page, figures))
        new.shown = shown
        made[page] = new.render((folder / name).read_text(encoding="utf-8"), complete=name == TEMPLATE)
        made |= {figures / plot: svg for plot, svg in new.plots.items()}
    return made


def _from(page: Path, folder: Path) -> str:
    return os.path.relpath(folder, page.parent)
