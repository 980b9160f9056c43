"""What the validator finds: problems as lines for the user, and tables read as far as they go."""

import io
from collections import Counter
from collections.abc import KeysView, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mimic.io.compact import Table, table_of
from mimic.io.lines import BLANKS, MARK

# What a clean file has nowhere: plain searches are ten times faster than a pattern.
UNCLEAN = (b"\r", b"\t", b"\0", MARK.encode(), b" \n", b"\n ", b"\n\n")


@dataclass(frozen=True)
class Problem:
    """One line for the user; `kind` groups lines that have one cause, a note (not an error) needs no action."""

    kind: str
    line: str
    error: bool = True


@dataclass
class Checked:
    """A data directory as read, leniently: its tables, samples per utterance, and the problems found on the way."""

    path: Path
    tables: dict[str, Mapping[str, str]] = field(default_factory=dict)
    samples: dict[str, int] = field(default_factory=dict)  # at `rate` Hz
    rate: int = 16000
    problems: list[Problem] = field(default_factory=list)

    @property
    def utts(self) -> KeysView[str]:
        return self.tables.get("utt2spk", {}).keys()

    @cached_property
    def speakers(self) -> set[str]:
        return set(self.tables.get("utt2spk", {}).values())

    @property
    def repair(self) -> str:
        return f"run steps/fix_data.sh {self.path}"

    def error(self, kind: str, name: str, key: str, what: str, fix: str) -> None:
        self.problems.append(Problem(f"{name}: {kind}", f"{self.path}/{name}: {key}: {what}: {fix}"))

    def note(self, kind: str, line: str) -> None:
        self.problems.append(Problem(kind, f"note: {self.path}: {line}", error=False))


def lines(problems: list[Problem], limit: int) -> list[str]:
    """Give the lines to print: at most `limit` of each kind, and how many more there are."""
    seen: Counter[str] = Counter(p.kind for p in problems)
    printed: Counter[str] = Counter()
    out = []
    for problem in problems:
        printed[problem.kind] += 1
        if printed[problem.kind] <= limit:
            out.append(problem.line)
        if printed[problem.kind] == limit and seen[problem.kind] > limit:
            out.append(f"... and {seen[problem.kind] - limit} more of the kind `{problem.kind}`")
    return out


def clean(raw: bytes) -> bool:
    """Whether the lines of a table are as write_table writes them, but for their order."""
    try:
        return (
            raw.endswith(b"\n")
            and not raw.startswith((b" ", b"\n"))
            and not any(mark in raw for mark in UNCLEAN)
            and (raw.isascii() or bool(raw.decode()))
        )
    except UnicodeDecodeError:
        return False


def read_leniently(found: Checked, file: Path) -> Mapping[str, str]:
    """Read a table as far as it goes, noting what read_table would refuse."""
    name, raw, repair = file.name, file.read_bytes(), found.repair
    if clean(raw):
        cells = (line.decode().rstrip("\n").partition(" ") for line in io.BytesIO(raw))
        if isinstance(read := table_of((key, value.lstrip(" ")) for key, _, value in cells), Table):
            return read
    if not raw:
        found.error("empty file", name, "-", "the file is empty", "remove it or fill it")
        return {}
    if not raw.endswith(b"\n"):
        found.error("last line", name, "-", "the last line has no newline", repair)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode(errors="replace")
        for number, stored in enumerate(raw.split(b"\n"), 1):
            if stored.decode(errors="replace").encode() != stored:
                found.error("not UTF-8", name, f"line {number}", "not UTF-8", "convert it: iconv -f latin1 -t utf-8")
    rows = text.removesuffix("\n").split("\n")
    for number, line in enumerate(rows, 1):
        if "\0" in line:
            found.error("NUL byte", name, f"line {number}", "NUL byte", "damaged: copy the file again")
        if line.startswith(MARK):
            found.error("byte order mark", name, f"line {number}", "byte order mark in front", repair)
    rows = [row.removeprefix(MARK) for row in rows]
    for number, line in enumerate(rows, 1):
        if "\r" in line:
            found.error("carriage return", name, f"line {number}", "Windows line end", repair)
        elif line.strip(BLANKS) != line or not line:
            found.error("blanks", name, f"line {number}", "empty, or blanks at an end of the line", repair)
    table: dict[str, str] = {}
    for line in filter(None, (row.strip(BLANKS + "\r").replace("\t", " ") for row in rows)):
        key, _, rest = line.partition(" ")
        rest = rest.lstrip(" ")
        if key in table:
            fix = repair if table[key] == rest else "remove the wrong one of its lines"
            found.error("duplicate", name, key, "the id is there twice", fix)
        else:
            table[key] = rest
    keys = list(table)
    if keys != sorted(keys):
        key = next(b for a, b in zip(keys, keys[1:], strict=False) if b < a)
        found.error("order", name, key, "not in C order (LC_ALL=C sort)", repair)
    return table
