"""Studies: settings tried side by side on the dev set, and which of them is chosen, by which figure.

The file of a study (local/demo/study.tsv) has lines `NAME SETTING...`, and `[QUESTION]` before those that answer it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mimic.errors import UserError
from mimic.reporting.score_table import Column, System, collect, markdown

CHOSEN_BY = "dev WER"


@dataclass(frozen=True)
class Study:
    """Settings by try, as in its file; tries by question. `base` is the first try, which every question has."""

    settings: dict[str, str] = field(default_factory=dict)
    questions: dict[str, list[str]] = field(default_factory=dict)

    @property
    def base(self) -> str:
        return next(iter(self.settings))


def read_study(path: Path) -> Study:
    """Read the file of a study. UserError for one without tries."""
    study, question = Study(), ""
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, settings = line.strip().partition(" ")
        if line.startswith("["):
            question = line.strip("[] ")
        elif name and not name.startswith("#"):
            study.settings[name] = settings.strip()
            if question and not name.startswith("perceptual_"):
                study.questions.setdefault(question, []).append(name)
    if not study.settings:
        raise UserError(f"{path}: no line NAME SETTING...")
    return study


def choices(study: Study, systems: Sequence[System], columns: Sequence[Column]) -> list[dict[str, str]]:
    """For each question the try with the lowest mean of CHOSEN_BY, its base included; nothing for one without scores.

    Each has question, choice, settings, figure (with its spread over seeds) and the tries that it was chosen from.
    """
    column = next((column for column in columns if column.title == CHOSEN_BY), None)
    cells = {s.name: cell for s in systems if column and (cell := collect(s, column)).mean is not None}
    found = []
    for question, names in study.questions.items():
        tried = [name for name in dict.fromkeys([study.base, *names]) if name in cells]
        if len(tried) < 2:
            continue
        best = min(tried, key=lambda name: cells[name].mean or 0.0)
        found.append(
            {
                "question": question,
                "choice": best,
                "settings": study.settings[best],
                CHOSEN_BY: cells[best].text(cells[best].count()),
                "of": ", ".join(tried),
            }
        )
    return found


def page_of(
    rows: Sequence[Sequence[str]],
    settings: Mapping[str, str],
    comparisons: Sequence[Mapping[str, str]],
    chosen: Sequence[Mapping[str, str]],
) -> str:
    """Tables of a study's record: what was chosen, then every try with its settings and its difference to the base."""
    against = {c["b"]: f"{c['difference']} [{c['low']}, {c['high']}]" for c in comparisons if c["column"] == CHOSEN_BY}
    verdict = {c["b"]: c["verdict"] for c in comparisons if c["column"] == CHOSEN_BY}
    head, *body = rows
    tries = [["try", "settings", *head[1:], f"{CHOSEN_BY}, difference to {body[0][0]}", "that is"]]
    for name, *cells in body:
        tries.append([name, f"`{settings.get(name, '')}`", *cells, against.get(name, "-"), verdict.get(name, "-")])
    made = [["question", "chosen", "settings", CHOSEN_BY, "of these tries"]]
    made += [[c["question"], c["choice"], f"`{c['settings']}`", c[CHOSEN_BY], c["of"]] for c in chosen]
    return f"{markdown(made)}\n{markdown(tries)}"
