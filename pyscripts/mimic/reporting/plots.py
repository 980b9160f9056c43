"""Which figures the report has: scores by SNR, noisy against enhanced, training curves."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from mimic.metrics.enhancement import MEASURES
from mimic.metrics.figures import REPLICATIONS, Mean, mean
from mimic.reporting import svg
from mimic.reporting.runs import GROUPS, Run
from mimic.reporting.score_table import System, collect, parse_columns
from mimic.reporting.tree import Scored
from mimic.reporting.verdicts import pairs_of, verdicts

CLEAN = "clean"  # in place of an SNR
MOST_LEVELS = 12  # of SNR; more are binned
BIN_DB = 5.0
WORDS = {"loss": "loss", "pesq": "PESQ", "stoi": "STOI", "estoi": "eSTOI"}
WORDS |= {"wer": "word error rate, %", "ter": "token error rate, %"}


@dataclass(frozen=True)
class Key:
    """A line of a legend."""

    title: str
    colour: int
    dashed: bool

    @property
    def marker(self) -> str:
        return "●■◆▲▼✚✖★"[self.colour % svg.COLOURS]


@dataclass(frozen=True)
class Group:
    """Figures that share a legend, and their numbers as a table: header and rows."""

    title: str
    keys: list[Key]
    plots: list[Markup]
    header: list[str]
    rows: list[list[str]]


def snr_levels(utt2snr: Mapping[str, str]) -> dict[str, list[str]]:
    """{SNR in dB: utterances}, rising; many different ones: in classes of 5 dB; last those without noise."""
    values: dict[str, float] = {}
    clean = sorted(utt for utt, text in utt2snr.items() if text == CLEAN)
    for utt, text in utt2snr.items():
        try:
            values[utt] = float(text)
        except ValueError:
            continue
    binned = len(set(values.values())) > MOST_LEVELS
    if binned:
        values = {utt: BIN_DB * np.floor(value / BIN_DB) for utt, value in values.items()}
    levels: dict[str, list[str]] = {}
    for utt, value in sorted(values.items(), key=lambda item: (item[1], item[0])):
        levels.setdefault(f"{value:g} to {value + BIN_DB:g}" if binned else f"{value:g}", []).append(utt)
    return levels | ({CLEAN: clean} if clean else {})


def quality(system: Scored, utts: Sequence[str], measure: str) -> Mean:
    """Mean of a measure of enhanced speech over some utterances."""
    return mean(system.quality(utt, measure) for utt in utts if utt in system.scores)


def word_errors(system: Scored, utts: Sequence[str]) -> Mean:
    """Errors per 100 reference words over some utterances; the bootstrap draws utterances, with a fixed seed."""
    counts = np.array([system.errors(utt) for utt in utts if utt in system.words]).reshape(-1, 2)
    words = int(counts[:, 1].sum())
    if not words:
        return Mean(math.nan, math.nan, math.nan, 0, 0)
    rng = np.random.default_rng(0)
    sums = counts[rng.integers(len(counts), size=(REPLICATIONS, len(counts)))].sum(1)  # (replications, 2)
    rates = 100 * sums[:, 0] / np.maximum(sums[:, 1], 1)
    low, high = np.percentile(rates, [2.5, 97.5])
    return Mean(100 * counts[:, 0].sum() / words, float(low), float(high), words, 0)


def by_snr(systems: Sequence[Scored], levels: Mapping[str, Sequence[str]], measure: str | None) -> Group | None:
    """Quality and word errors against SNR, with 95 % intervals."""
    panels = []
    if measure:
        curves_of = [(s, [quality(s, utts, measure) for utts in levels.values()]) for s in systems if s.scores]
        panels.append((MEASURES[measure], 2, curves_of))
    curves_of = [(s, [word_errors(s, utts) for utts in levels.values()]) for s in systems if s.words]
    panels.append(("WER, %", 1, curves_of))
    plots, rows, shown = [], [], {}
    for title, digits, curves in panels:
        lines = []
        for s, means in curves:
            there = [(k, m) for k, m in enumerate(means) if m.n]
            if there:
                x, y = [k for k, _ in there], [m.mean for _, m in there]
                low, high = [m.low for _, m in there], [m.high for _, m in there]
                lines.append(svg.Line(s.title, s.colour, x, y, low, high, s.dashed))
                rows.append([title, s.title, *(_interval(m, digits) for m in means)])
                shown[s.key] = Key(s.title, s.colour, s.dashed)
        if lines:
            label = f"{title} against SNR. " + "; ".join(
                f"{line.name}: {line.y[0]:.{digits}f} to {line.y[-1]:.{digits}f}" for line in lines
            )
            plots.append(svg.lines(title, "SNR in dB", lines, label, list(levels)))
    if not levels or not plots:
        return None
    keys = [shown[s.key] for s in systems if s.key in shown]
    return Group(
        "", keys, plots, ["", "system", *(level if level == CLEAN else f"{level} dB" for level in levels)], rows
    )


def by_seed(systems: Sequence[System]) -> Group | None:
    """WER with and without mimic loss from each seed, with intervals over utterances; None where there is one seed.

    The table has the differences, whose intervals are over seeds and utterances.
    """
    plots, rows = [], []
    keys: dict[str, Key] = {}
    columns = parse_columns("test WER,fixed test WER")
    for pair in pairs_of(systems, []):
        for verdict in verdicts(*pair, columns):
            column = next(column for column in columns if column.title == verdict.column)
            scores = [collect(system, column).scores for system in pair]
            seeds = [seed for seed in scores[0] if seed in scores[1]]
            if len(seeds) < 2:
                continue
            lines = []
            for system, of_seed in zip(pair, scores, strict=True):
                key = keys.setdefault(system.name, Key(system.name, len(keys), False))
                y, low, high = zip(*((m.mean, m.low, m.high) for m in map(of_seed.get, seeds) if m), strict=True)
                lines.append(svg.Line(system.name, key.colour, range(len(seeds)), y, low, high))
            plots.append(svg.lines(f"{verdict.column}, %", "seed", lines, str(verdict), seeds))
            limits = f"{verdict.low} to {verdict.high}" if verdict.low else "-"
            rows.append([verdict.column, f"{verdict.b} against {verdict.a}", verdict.difference, limits, verdict.note])
    header = ["score", "compared", "difference", "95 % interval", "that is"]
    return Group("", list(keys.values()), plots, header, rows) if plots else None


def scatters(
    systems: Sequence[Scored], noisy: Mapping[str, Scored], hrefs: Mapping[str, str], measure: str | None
) -> list[Markup]:
    """For each enhancer the utterances' quality before and after; a point is a link to its utterance."""
    plots = []
    for s in systems:
        before = noisy.get(s.tree)
        if not (measure and before and s.enhances):
            continue
        points = []
        for utt in s.scores:
            x, y = before.quality(utt, measure), s.quality(utt, measure)
            if x is not None and y is not None and utt in hrefs:
                points.append(svg.Point(x, y, hrefs[utt], f"{utt}: noisy {x:.2f}, enhanced {y:.2f}"))
        if points:
            better = sum(p.y > p.x for p in points)
            title = f"{s.title}: better on {better} of {len(points)}"
            label = f"{title} utterances. {MEASURES[measure]} noisy against enhanced; arrow keys move, Enter opens."
            points.sort(key=lambda p: (p.x, p.label))
            plots.append(svg.scatter(title, MEASURES[measure], s.colour, points, label))
    return plots


def curves(runs: Mapping[Run, int | None]) -> list[Group]:
    """For each group of runs their losses and validation scores over epochs; `runs` have the colour of their system."""
    groups = []
    for group, title in GROUPS.items():
        those = [run for run in runs if run.group == group and run.epochs]
        if not those:
            continue
        tint = {run.name: k if (colour := runs[run]) is None else colour for k, run in enumerate(those)}
        names = dict.fromkeys(key for run in those for entry in run.epochs for key in entry)
        wanted: list[str] = [n for n in ("train_loss", "valid_loss") if n in names]
        wanted += [n for n in names if n.startswith("valid_") and n not in wanted]
        if group == "adversarial":  # no single loss tells how it goes
            wanted += [n for n in names if n.startswith("train_") and n not in wanted and "gradient" not in n]
        plots = []
        for name in wanted:
            lines = []
            for run in those:
                points = [(entry["epoch"], entry[name]) for entry in run.epochs if name in entry and "epoch" in entry]
                if points:
                    x, y = zip(*points, strict=True)
                    lines.append(svg.Line(run.title, tint[run.name], x, y, dashed=run.dashed))
            if max((len(line.x) for line in lines), default=0) < 2:
                continue  # a curve needs two points; the table has it
            side, _, what = name.partition("_")
            panel = f"{'training' if side == 'train' else 'validation'} {WORDS.get(what, what.replace('_', ' '))}"
            label = f"{title}: {panel} over epochs. " + "; ".join(
                f"{line.name}: {line.y[0]:.4g} to {line.y[-1]:.4g}" for line in lines
            )
            plots.append(svg.lines(panel, "epoch", lines, label))
        keys = [Key(run.title, tint[run.name], run.dashed) for run in those]
        rows = [
            [run.title, str(run.epochs[-1].get("epoch", "")), *(_last(run, name) for name in wanted)] for run in those
        ]
        groups.append(Group(title, keys, plots, ["last epoch of", "epoch", *wanted], rows))
    return groups


def _last(run: Run, name: str) -> str:
    values = [entry[name] for entry in run.epochs if name in entry]
    return f"{values[-1]:.4g}" if values else "-"


def _interval(m: Mean, digits: int) -> str:
    return f"{m.mean:.{digits}f} ({m.low:.{digits}f} to {m.high:.{digits}f})" if m.n else "-"
