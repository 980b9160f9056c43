"""Records of what was measured, with the command, commit, seeds and environment they come from; RESULTS.md from them.

A record is a JSON file: a table or the text that a benchmark printed, notes, and facts. RESULTS.md is a template with
prose, in which a line `{{ name }}` stands for results/name.json.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mimic.errors import UserError
from mimic.io.atomic import replace
from mimic.io.environment import environment
from mimic.metrics.pesq import version
from mimic.reporting.score_table import markdown

PLACE = re.compile(r"^\{\{ ([\w-]+) \}\}$", re.MULTILINE)
TEMPLATE = "template.md"


@dataclass(frozen=True)
class Record:
    """`rows` are a table with its header, or `text` is what a program printed; `facts` say where they come from."""

    facts: dict[str, str]
    rows: list[list[str]] = field(default_factory=list)
    text: str = ""
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """The record as a part of RESULTS.md."""
        notes = "".join(f"- {note}\n" for note in self.notes)
        facts = "".join(f"- {name}: {value}\n" for name, value in self.facts.items())
        body = markdown(self.rows) if self.rows else f"```\n{self.text.strip()}\n```\n"
        return "\n".join(part for part in (body, notes, facts) if part)

    def write(self, path: Path) -> None:
        """Write the record as JSON, atomically."""
        with replace(path) as f:
            f.write(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")


def read_record(path: Path) -> Record:
    """Read what `Record.write` wrote; UserError for anything else."""
    try:
        record = Record(**json.loads(path.read_text(encoding="utf-8")))
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError) as error:
        raise UserError(f"{path}: not a record of results ({error})") from None
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


def render(template: str, records: Mapping[str, Record]) -> str:
    """Put records into the template. UserError: a record that is not there, or one without a place."""
    places = PLACE.findall(template)
    for name in places:
        if name not in records:
            raise UserError(f"{TEMPLATE}: {{{{ {name} }}}}: no results/{name}.json")
    for name in records:
        if name not in places:
            raise UserError(f"results/{name}.json has no place: put a line {{{{ {name} }}}} into results/{TEMPLATE}")
    return PLACE.sub(lambda match: records[match[1]].markdown().rstrip("\n"), template)


def render_folder(folder: Path) -> str:
    """RESULTS.md from a folder with template.md and records."""
    records = {path.stem: read_record(path) for path in sorted(folder.glob("*.json"))}
    return render((folder / TEMPLATE).read_text(encoding="utf-8"), records)
