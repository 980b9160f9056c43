"""Studies: settings tried side by side on the dev set, and which of them is chosen, by which figure.

The file of a study (local/demo/study.tsv) has lines `NAME SETTING...`, and `[QUESTION]` before those that answer it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mimic.errors import UserError
from mimic.reporting.score_table import Column, System, collect, markdown

# The column that chooses, the first of these that is scored: the recogniser of clean speech may be the perceptual model
# itself, and then its errors fall most where enhanced speech fits this one recogniser only.
CHOSEN_BY = ("foreign dev WER", "dev WER")


@dataclass(frozen=True)
class Study:
    """Settings by try, as in its file; tries by question."""

    settings: dict[str, str] = field(default_factory=dict)
    questions: dict[str, list[str]] = field(default_factory=dict)


def read_study(path: Path) -> Study:
    """Read the file of a study. UserError for one without tries."""
    study, question = Study(), ""
    for line in path.read_text(encoding="utf-8").splitlines():
        name, settings = [*line.split(None, 1), "", ""][:2]
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
    """For each question the try with the lowest mean of the column that chooses, the first system included, which the
    others are compared with; nothing for one without scores.

    Each has question, choice, settings, by (the column), figure (with its spread over seeds) and the tries that it was
    chosen from.
    """
    titles = [column.title for column in columns]
    by = next((title for title in CHOSEN_BY if title in titles), None)
    cells = {s.name: cell for s in systems if by and (cell := collect(s, columns[titles.index(by)])).mean is not None}
    found = []
    for question, names in study.questions.items():
        tried = [name for name in dict.fromkeys([systems[0].name, *names]) if name in cells]
        if len(tried) < 2:
            continue
        best = min(tried, key=lambda name: cells[name].mean or 0.0)
        found.append(
            {
                "question": question,
                "choice": best,
                "settings": study.settings[best],
                "by": str(by),
                "figure": cells[best].text(cells[best].count()),
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
    head, *body = rows
    judges = [title for title in CHOSEN_BY if title in head]
    found = {(c["b"], c["column"]): c for c in comparisons}
    tries = [["try", "settings", *head[1:], *(f"{title}, difference to {body[0][0]}" for title in judges)]]
    for name, *cells in body:
        tries.append([name, f"`{settings.get(name, '')}`", *cells, *(_difference(found, name, t) for t in judges)])
    made = [["question", "chosen", "settings", "by", "figure", "of these tries"]]
    made += [[c["question"], c["choice"], f"`{c['settings']}`", c["by"], c["figure"], c["of"]] for c in chosen]
    return f"{markdown(made)}\n{markdown(tries)}"


def _difference(found: Mapping[tuple[str, str], Mapping[str, str]], name: str, title: str) -> str:
    """Such as "-1.20 [-2.30, -0.10], better"."""
    if (name, title) not in found:
        return "-"
    c = found[name, title]
    return f"{c['difference']} [{c['low']}, {c['high']}], {c['verdict']}"
