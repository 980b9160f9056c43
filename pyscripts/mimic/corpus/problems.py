"""What the validator finds: problems as lines for the user, and tables read as far as they go."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from mimic.io.lines import BLANKS, MARK

# What a clean file, with a line end put in front, has nowhere: plain searches are ten times faster than a pattern.
UNCLEAN = ("\r", " \n", "\t\n", "\n ", "\n\t", "\n\n")


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
    tables: dict[str, dict[str, str]] = field(default_factory=dict)
    samples: dict[str, int] = field(default_factory=dict)  # at `rate` Hz
    rate: int = 16000
    problems: list[Problem] = field(default_factory=list)

    @property
    def utts(self) -> set[str]:
        return set(self.tables.get("utt2spk", {}))

    @property
    def speakers(self) -> int:
        return len(set(self.tables.get("utt2spk", {}).values()))

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


def read_leniently(found: Checked, file: Path) -> dict[str, str]:
    """Read a table as far as it goes, noting what read_table would refuse."""
    name, raw, repair = file.name, file.read_bytes(), found.repair
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
    if "\0" in text or MARK in text:
        for number, line in enumerate(rows, 1):
            if "\0" in line:
                found.error("NUL byte", name, f"line {number}", "NUL byte", "damaged: copy the file again")
            if line.startswith(MARK):
                found.error("byte order mark", name, f"line {number}", "byte order mark in front", repair)
        rows = [row.removeprefix(MARK) for row in rows]
    table: dict[str, str] = {}
    framed = f"\n{text}"
    if any(mark in framed for mark in UNCLEAN) or text.endswith((" ", "\t")):
        for number, line in enumerate(rows, 1):
            if "\r" in line:
                found.error("carriage return", name, f"line {number}", "Windows line end", repair)
            elif line.strip(BLANKS) != line or not line:
                found.error("blanks", name, f"line {number}", "empty, or blanks at an end of the line", repair)
        rows = [row for row in (line.strip(BLANKS + "\r") for line in rows) if row]
    if "\t" in text:
        rows = [row.replace("\t", " ") for row in rows]
    for line in rows:
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
