"""What steps/judge.sh writes: results.json, results.txt, trees of scores, and pages of the report."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mimic.io.atomic import replace
from mimic.judging.material import NOISY, System, ratio_text
from mimic.judging.pages import write_data, write_page, write_tree
from mimic.judging.verdicts import CONDITIONS, UNITS, Alignments, ByUtterance, Judgement, change, line
from mimic.metrics.enhancement import MEASURES
from mimic.reporting.score_table import markdown
from mimic.reporting.tree import TEST

NONE = "-"
Sides = Mapping[System, tuple[Alignments, ByUtterance, ByUtterance]]  # alignments, words, scores


class Output:
    """The directory of results, recogniser by recogniser. data: where the judged speech came from."""

    def __init__(self, folder: Path, data: Path, transcripts: bool, utts: Sequence[str]) -> None:
        self.folder, self.data, self.transcripts, self.utts = folder, data, transcripts, utts
        self.text: list[str] = []
        self.lines: list[str] = []
        self.found: dict[str, Any] = {}

    def add(
        self,
        name: str,
        judgements: Sequence[Judgement],
        shown: Sequence[System],
        final: Sequence[System],
        sides: Sides,
        refs: Mapping[str, str],
        dev: tuple[float, Mapping[System, float]] | None,
        signal: Callable[[System, str], np.ndarray],
    ) -> None:
        """A recogniser: its judgements, and what they were made from.

        shown: the system of each enhancer whose scores and audio are kept. final: those that have a line at the end.
        dev: WER by ratio.
        """
        tree, data = self.folder / "scores" / name, self.folder / "scores" / "data" / f"{TEST}_{NOISY}"
        write_data(data, self.data, self.utts, refs if self.transcripts else {})
        for system in [System(), *shown]:
            alignments, _, scores = sides[system]
            write_tree(tree, system, data, alignments, scores, self.utts)
        write_page(tree, data, self.folder / "report" / name, [System(), *shown], final[0], signal)
        self.text += [f"## {name}\n", _comparisons(name, judgements, self.transcripts)]
        if dev:
            self.text.append(_by_ratio(f"{name}, WER on dev", dev[1], dev[0]))
        self.text += [found for c in CONDITIONS if (found := _by_condition(name, c, judgements))]
        chosen = [j for j in judgements if j.system in final]
        lines = [line(name, j, self.transcripts) for j in chosen]
        self.lines += lines
        self.found[name] = {
            "verdicts": [
                {
                    "line": text,
                    "verdict": j.verdict if self.transcripts and "wer" in j.figures else "undecided",
                    "enhancer": j.system.enhancer,
                    "ratio": j.system.ratio,
                }
                for text, j in zip(lines, chosen, strict=True)
            ],
            "dev": _by_enhancer(dev) if dev else None,
            "systems": [{"enhancer": j.system.enhancer, **j.record()} for j in judgements],
        }

    def write(self, facts: Mapping[str, Any]) -> None:
        """results.json and results.txt, whose last lines are the verdicts."""
        with replace(self.folder / "results.json") as f:
            json.dump({**facts, "transcripts": self.transcripts, "recognisers": self.found}, f, indent=1)
            f.write("\n")
        about = (
            f"{facts['data']}: {facts['test']} utterances judged, {facts['dev']} others to choose the ratio on, "
            f"{facts['skipped']} skipped (skipped.tsv). Change: enhanced less noisy, paired bootstrap over "
            "utterances, 95 %.\n"
        )
        with replace(self.folder / "results.txt") as f:
            f.write("\n".join([about, *self.text, *self.lines, ""]))


def _by_enhancer(dev: tuple[float, Mapping[System, float]]) -> dict[str, Any]:
    """WER on dev for JSON."""
    found: dict[str, Any] = {NOISY: dev[0]}
    for system, value in dev[1].items():
        found.setdefault(system.enhancer, {})[ratio_text(system.ratio)] = value
    return found


def _by_ratio(title: str, rates: Mapping[System, float], noisy: float) -> str:
    """A row an enhancer, a column a ratio."""
    ratios = list(dict.fromkeys(system.ratio for system in rates))
    enhancers = list(dict.fromkeys(system.enhancer for system in rates))
    rows = [[title, "noisy", *(f"ratio {ratio_text(ratio)}" for ratio in ratios)]]
    for enhancer in enhancers:
        cells = [rates.get(System(enhancer, ratio)) for ratio in ratios]
        rows.append([enhancer, _number(noisy), *(NONE if cell is None else _number(cell) for cell in cells)])
    return markdown(rows)


def _comparisons(title: str, judgements: Sequence[Judgement], transcripts: bool) -> str:
    """A row a judgement: error rates with their change, then the change of the other figures."""
    others = list(dict.fromkeys(name for j in judgements for name in j.figures if name not in UNITS))
    head = ["WER noisy", "WER", "change [95 %]", "CER", "change [95 %]", "verdict"]
    if not transcripts:
        head = ["words that change, %", "characters that change, %"]
    rows = [[title, "ratio", *head, *(f"{MEASURES.get(name, name)}, change [95 %]" for name in others), "utterances"]]
    for j in judgements:
        wer, cer = (j.figures.get(unit) for unit in UNITS)
        cells = [NONE] * len(head)
        if wer and cer:
            cells = [_number(wer.a), _number(wer.b), change(wer, 2), _number(cer.b), change(cer, 2), j.verdict]
            cells = cells if transcripts else [_number(wer.b), _number(cer.b)]
        more = [change(j.figures[name], 3) if name in j.figures else NONE for name in others]
        count = max((c.n for c in j.figures.values()), default=0)
        rows.append([j.system.enhancer, ratio_text(j.system.ratio), *cells, *more, str(count)])
    return markdown(rows)


def _by_condition(title: str, condition: str, judgements: Sequence[Judgement]) -> str:
    """WER on noisy speech and the change of each enhancer, a column a value of the condition; "" if it is not known."""
    known = [j for j in judgements if condition in j.conditions]
    if not known:
        return ""
    levels = list(known[0].conditions[condition])
    counts = [known[0].conditions[condition][level].n for level in levels]
    rows = [[f"{title}, WER by {condition}", *(f"{v} (n={n})" for v, n in zip(levels, counts, strict=True))]]
    rows.append(["noisy", *(_number(known[0].conditions[condition][level].a) for level in levels)])
    for j in known:
        rows.append([f"{j.system.name}, change", *(change(j.conditions[condition][level], 2) for level in levels)])
    return markdown(rows)


def _number(value: float) -> str:
    return NONE if value != value else f"{value:.2f}"
