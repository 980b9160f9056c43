"""Tables for people, in Markdown, of what steps/judge.sh found."""

from collections.abc import Mapping, Sequence

from mimic.judging.material import System, ratio_text
from mimic.judging.verdicts import UNITS, Judgement, change
from mimic.metrics.enhancement import MEASURES
from mimic.reporting.score_table import markdown

NONE = "-"


def by_ratio(title: str, rates: Mapping[System, float], noisy: float) -> str:
    """A row an enhancer, a column a ratio."""
    ratios = list(dict.fromkeys(system.ratio for system in rates))
    enhancers = list(dict.fromkeys(system.enhancer for system in rates))
    rows = [[title, "noisy", *(f"ratio {ratio_text(ratio)}" for ratio in ratios)]]
    for enhancer in enhancers:
        cells = [rates.get(System(enhancer, ratio)) for ratio in ratios]
        rows.append([enhancer, number(noisy), *(NONE if cell is None else number(cell) for cell in cells)])
    return markdown(rows)


def comparisons(title: str, judgements: Sequence[Judgement], transcripts: bool) -> str:
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
            cells = [number(wer.a), number(wer.b), change(wer, 2), number(cer.b), change(cer, 2), j.verdict]
            cells = cells if transcripts else [number(wer.b), number(cer.b)]
        more = [change(j.figures[name], 3) if name in j.figures else NONE for name in others]
        count = max((c.n for c in j.figures.values()), default=0)
        rows.append([j.system.enhancer, ratio_text(j.system.ratio), *cells, *more, str(count)])
    return markdown(rows)


def by_condition(title: str, condition: str, judgements: Sequence[Judgement]) -> str:
    """WER on noisy speech and the change of each enhancer, a column a value of the condition; "" if it is not known."""
    known = [j for j in judgements if condition in j.conditions]
    if not known:
        return ""
    levels = list(known[0].conditions[condition])
    counts = [known[0].conditions[condition][level].n for level in levels]
    rows = [[f"{title}, WER by {condition}", *(f"{v} (n={n})" for v, n in zip(levels, counts, strict=True))]]
    rows.append(["noisy", *(number(known[0].conditions[condition][level].a) for level in levels)])
    for j in known:
        rows.append([f"{j.system.name}, change", *(change(j.conditions[condition][level], 2) for level in levels)])
    return markdown(rows)


def number(value: float) -> str:
    return NONE if value != value else f"{value:.2f}"
