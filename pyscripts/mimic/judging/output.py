"""What steps/judge.sh writes: results.json, results.txt, trees of scores, and pages of the report."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mimic.io.atomic import replace
from mimic.judging import tables
from mimic.judging.material import NOISY, System, ratio_text
from mimic.judging.pages import write_data, write_page, write_tree
from mimic.judging.verdicts import CONDITIONS, Alignments, ByUtterance, Judgement, line
from mimic.reporting.tree import TEST

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
        best: System,
        sides: Sides,
        refs: Mapping[str, str],
        dev: tuple[float, Mapping[System, float]] | None,
        signal: Callable[[System, str], np.ndarray],
    ) -> None:
        """A recogniser: its judgements, the system that counts, and what they were made from. dev: WER by ratio."""
        tree, data = self.folder / "scores" / name, self.folder / "scores" / "data" / f"{TEST}_{NOISY}"
        write_data(data, self.data, self.utts, refs if self.transcripts else {})
        shown = {j.system.enhancer: j.system for j in judgements}  # of several ratios of an enhancer one
        shown[best.enhancer] = best
        for system in [System(), *shown.values()]:
            alignments, _, scores = sides[system]
            write_tree(tree, system, data, alignments, scores, self.utts)
        write_page(tree, data, self.folder / "report" / name, [System(), *shown.values()], best, signal)
        self.text += [f"## {name}\n", tables.comparisons(name, judgements, self.transcripts)]
        if dev:
            self.text.append(tables.by_ratio(f"{name}, WER on dev", dev[1], dev[0]))
        self.text += [found for c in CONDITIONS if (found := tables.by_condition(name, c, judgements))]
        chosen = next(j for j in judgements if j.system == best)
        self.lines.append(line(name, chosen, self.transcripts))
        self.found[name] = {
            "line": self.lines[-1],
            "verdict": chosen.verdict if self.transcripts and "wer" in chosen.figures else "undecided",
            "enhancer": best.enhancer,
            "ratio": best.ratio,
            "dev": by_enhancer(dev) if dev else None,
            "systems": [{"enhancer": j.system.enhancer, **j.record()} for j in judgements],
        }

    def write(self, facts: Mapping[str, Any]) -> None:
        """results.json and results.txt, whose last lines are the verdicts."""
        with replace(self.folder / "results.json") as f:
            json.dump({**facts, "transcripts": self.transcripts, "recognisers": self.found}, f, indent=1)
            f.write("\n")
        about = (
            f"{facts['data']}: {facts['test']} utterances judged, {facts['dev']} others to choose the ratio on, "
            f"{facts['skipped']} skipped. Change: enhanced less noisy, paired bootstrap over utterances, 95 %.\n"
        )
        with replace(self.folder / "results.txt") as f:
            f.write("\n".join([about, *self.text, *self.lines, ""]))


def by_enhancer(dev: tuple[float, Mapping[System, float]]) -> dict[str, Any]:
    """WER on dev for JSON."""
    found: dict[str, Any] = {NOISY: dev[0]}
    for system, value in dev[1].items():
        found.setdefault(system.enhancer, {})[ratio_text(system.ratio)] = value
    return found
