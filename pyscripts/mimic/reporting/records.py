"""Records of what was measured: scores or what a benchmark printed, with command, commit, seeds and environment.

A record is a JSON file, results/NAME.json or benchmarks/records/NAME.json. RESULTS.md shows their figures
(mimic.reporting.results_page); where they come from stands in the records alone.
"""

import json
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mimic.errors import UserError
from mimic.io.atomic import replace
from mimic.io.environment import environment
from mimic.metrics.pesq import version
from mimic.reporting.score_table import markdown

RATIO = re.compile(r"^ratio (\S+) (\S+)$", re.MULTILINE)  # how a benchmark prints what it has measured


@dataclass(frozen=True)
class Record:
    """`rows` are a table with its header, or `text` is what a program printed; `facts` say where they come from.

    `comparisons` of two rows: column, a, b, difference (of b from a), low, high,
    verdict, as text; `ratios` of a benchmark; `systems` that the rows show: name, seed and
    directories, for each seed; `by_seed` their figures with intervals, by row and column.
    Of a study, `settings` of each row, and the `choices` that follow from it.
    """

    facts: dict[str, str]
    rows: list[list[str]] = field(default_factory=list)
    text: str = ""
    notes: list[str] = field(default_factory=list)
    comparisons: list[dict[str, str]] = field(default_factory=list)
    ratios: dict[str, str] = field(default_factory=dict)
    systems: list[dict[str, str]] = field(default_factory=list)
    by_seed: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    choices: list[dict[str, str]] = field(default_factory=list)

    def markdown(self) -> str:
        """The whole record, as the page that a recipe writes."""
        notes = "".join(f"- {note}\n" for note in self.notes)
        facts = "".join(f"- {name}: {value}\n" for name, value in self.facts.items())
        body = markdown(self.rows) if self.rows else f"```\n{self.text.strip()}\n```\n"
        return "\n".join(part for part in (body, notes, facts) if part)

    def write(self, path: Path) -> None:
        """Write the record as JSON, atomically; what it does not have is left out."""
        with replace(path) as f:
            f.write(json.dumps({k: v for k, v in asdict(self).items() if v}, indent=1, ensure_ascii=False) + "\n")

    def publish(self, page: Path, heading: str) -> None:
        """Write the record as a page in Markdown, and as JSON beside it."""
        page.parent.mkdir(parents=True, exist_ok=True)
        self.write(page.with_suffix(".json"))
        with replace(page) as f:
            f.write(f"# {heading}\n\n{self.markdown()}")


def printed(known: dict[str, str], text: str) -> Record:
    """The record of a program that printed this text; `known` are the `facts` from before it ran."""
    return Record(known, text=text, ratios=dict(RATIO.findall(text)))


def read_record(path: Path) -> Record:
    """Read what `Record.write` wrote; UserError for anything else."""
    try:
        record = Record(**json.loads(path.read_text(encoding="utf-8")))
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError) as error:
        raise UserError(f"{path}: not a record of scores ({error})") from None
    missing = {"command", "commit"} - record.facts.keys()
    if missing or not (record.rows or record.text):
        raise UserError(f"{path}: a record needs facts command and commit, and rows or text")
    return record


def facts(command: str, seeds: str = "") -> dict[str, str]:
    """Command, commit, seeds, machine, software and date of a measurement made now."""
    found = environment()
    packages = {"Python": found["python"], **found["packages"], "pesq": version()}
    return {
        "command": f"`{command}`",
        "commit": found["revision"],
        **({"seeds": seeds} if seeds else {}),
        "machine": f"{found['machine']}, {os.cpu_count()} CPUs",
        "software": ", ".join(f"{name} {number}" for name, number in packages.items()),
        "date": found["started"],
    }
