"""Do enhancers help a recogniser? Which ratio, chosen on a dev part, and comparisons with noisy speech on the rest."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mimic.judging.findings import Found
from mimic.judging.material import NOISY, System, ratio_text
from mimic.metrics.comparison import Comparison, Value, bootstrap
from mimic.metrics.conditions import grouped
from mimic.metrics.wer import AlignedSet, Alignment, align_set, characters, words

UNITS = {"wer": words, "cer": characters}
CONDITIONS = ("snr", "noise")
REPLICATIONS, FEW = 10000, 1000  # of the bootstrap; for the conditions
VERDICTS = {"better": "helps", "worse": "harms", "undecided": "undecided"}
Alignments = dict[str, AlignedSet]  # by unit
ByUtterance = Mapping[str, Found]  # by utterance


@dataclass
class Judgement:
    """One enhancer at one ratio before one recogniser, against noisy speech.

    `figures`: by "wer" and "cer", "confidence" and scores without a reference. Without transcripts "wer" and "cer" are
    the share of words and characters that change. `conditions`: {condition: {value: WER compared}}.
    """

    system: System
    alignments: Alignments
    figures: dict[str, Comparison] = field(default_factory=dict)
    conditions: dict[str, dict[str, Comparison]] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        return VERDICTS[self.figures["wer"].verdict]

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "ratio": self.system.ratio,
            "figures": {name: record(c) for name, c in self.figures.items()},
            "conditions": {
                name: {value: record(c) for value, c in found.items()} for name, found in self.conditions.items()
            },
        }


def record(c: Comparison) -> dict[str, Any]:
    """A comparison for JSON: noisy, enhanced, their difference with limits, verdict; None where there is nothing."""
    values = {"noisy": c.a, "enhanced": c.b, "difference": c.b - c.a, **asdict(c)}
    kept = ("noisy", "enhanced", "difference", "low", "high", "better")
    found: dict[str, Any] = {name: None if values[name] != values[name] else round(values[name], 6) for name in kept}
    return found | {"verdict": VERDICTS[c.verdict], "n": c.n, "na": c.na}


def align(refs: Mapping[str, str], found: ByUtterance, normalise: Callable[[str], str]) -> Alignments:
    """Alignments of what was recognised with the normalised references `refs`; {} where no reference has a word."""
    if not any(refs.values()):
        return {}
    hyps = {utt: normalise(found[utt]["hyp"]) for utt in refs if found[utt].get("hyp") is not None}
    return {unit: align_set(refs, hyps, tokenise) for unit, tokenise in UNITS.items()}


def rate(alignments: Alignments) -> float:
    """WER in percent, NaN of nothing."""
    values = [value(a) for a in alignments.get("wer", ())]
    total = sum(v.weight for v in values)
    return 100 * sum(v.amount for v in values) / total if total else float("nan")


def choose(rates: Mapping[System, float]) -> System:
    """The system with the fewest errors on dev; of equals the one that enhances most."""
    return min(rates, key=lambda system: (rates[system], -_amount(system)))


def strongest(systems: Sequence[System]) -> list[System]:
    """Of each enhancer the highest ratio; auto only where there is no other."""
    enhancers = dict.fromkeys(system.enhancer for system in systems)
    return [max((s for s in systems if s.enhancer == enhancer), key=_amount) for enhancer in enhancers]


def _amount(system: System) -> float:
    return -1.0 if isinstance(system.ratio, str) else system.ratio


def value(a: Alignment) -> Value:
    return Value(sum(op != "C" for op in a.ops), len(a.ref), tuple(a.ref), tuple(a.hyp))


def judge(
    system: System,
    noisy: tuple[Alignments, ByUtterance, ByUtterance],
    enhanced: tuple[Alignments, ByUtterance, ByUtterance],
    data_dirs: Sequence[str | Path],
) -> Judgement:
    """Compare enhanced with noisy speech; of each side alignments, what the recogniser found, and scores by utterance.

    data_dirs: which may know SNRs and noise types.
    """
    found = Judgement(system, enhanced[0])
    both = (noisy, enhanced)
    for unit in UNITS:
        if sides := [{a.utt: value(a) for a in side[0].get(unit, ())} for side in both]:
            if sides[0]:
                found.figures[unit] = bootstrap(unit, [(sides[0], sides[1])], REPLICATIONS)
    spoken, scored = [side[1] for side in both], [side[2] for side in both]
    for name, found_in in [("confidence", spoken), *((measure, scored) for measure in measures(noisy[2]))]:
        known = [{utt: _known(one.get(name)) for utt, one in side.items()} for side in found_in]
        if any(known[0].values()):
            found.figures[name] = bootstrap(name, [(known[0], known[1])], REPLICATIONS)
    if "wer" in found.figures:
        pairs = list(zip(noisy[0]["wer"], enhanced[0]["wer"], strict=True))
        for condition, level, some in grouped(pairs, lambda pair: pair[0].utt, data_dirs):
            if condition in CONDITIONS:
                words_of = [{pair[k].utt: value(pair[k]) for pair in some} for k in (0, 1)]
                found.conditions.setdefault(condition, {})[level] = bootstrap("wer", [(words_of[0], words_of[1])], FEW)
    found.conditions = {name: values for name, values in found.conditions.items() if len(values) > 1}
    return found


def measures(scores: ByUtterance) -> list[str]:
    """The scores that utterances have."""
    return list(next(iter(scores.values()), {}))


def _known(number: float | None) -> Value | None:
    return None if number is None else Value(number, 1)


def line(recogniser: str, best: Judgement, transcripts: bool) -> str:
    """The verdict in a line."""
    what = f"{best.system.enhancer} at ratio {ratio_text(best.system.ratio)}"
    c = best.figures.get("wer")
    if c is None or not c.n:
        return f"{recogniser}: undecided: no words are recognised or known; {what}"
    if transcripts:
        levels = f"WER {c.a:.2f} % -> {c.b:.2f} % ({change(c, 2)})"
        return f"{recogniser}: {best.verdict}: {levels} with {what}; {c.n} utterances"
    more = [f"{name} {change(v, 3)}" for name, v in best.figures.items() if name not in UNITS and v.n]
    text = f"{recogniser}: undecided, for there are no transcripts: {c.b:.2f} % of the words change with {what}"
    return "; ".join([text, *more, f"{c.n} utterances"])


def change(c: Comparison, digits: int) -> str:
    """`-1.20 [-2.00, -0.40]`."""
    return f"{c.b - c.a:+.{digits}f} [{c.low:+.{digits}f}, {c.high:+.{digits}f}]" if c.n else "-"


def systems(enhancers: Sequence[str], ratios: Sequence[float | str]) -> list[System]:
    """Each enhancer at each ratio."""
    return [System(enhancer, ratio) for enhancer in enhancers if enhancer != NOISY for ratio in ratios]
