"""Two systems on the same utterances: the difference of their scores, its interval, and which is likely the better.

Paired bootstrap over utterances: M. Bisani, H. Ney, "Bootstrap Estimates for Confidence Intervals in ASR Performance
Evaluation", ICASSP 2004. Directories of scores and Kaldi's own decode directories are read by mimic.metrics.scores.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import kaldialign
import numpy as np

from mimic.errors import UserError
from mimic.inputs import split_paths
from mimic.io import atomic
from mimic.metrics.enhancement import MEASURES
from mimic.metrics.figures import Pairs
from mimic.metrics.identity import NOISE, OTHER, UNKNOWN, mark
from mimic.metrics.scores import has_scores, read_identity, read_rows
from mimic.metrics.wer import EPS, bootci_text

log = logging.getLogger(__name__)

RATES = ("wer", "cer")  # in percent, less is better; for all other measures more is
REPLICATIONS = 10000
NAMED = 5  # utterances that a message lists
BLOCK = 250  # replications drawn at a time: memory stays small for long test sets
HEADER = ["measure", "A", "B", "B-A", "ci95min", "ci95max", "P(B better)", "B is", "n", "NA"]


@dataclass(frozen=True)
class Value:
    """One utterance's part in a score, amount / weight: errors / reference words, or PESQ / 1."""

    amount: float
    weight: float
    ref: tuple[str, ...] = ()
    hyp: tuple[str, ...] = ()


Values = Mapping[str, Value | None]  # by utterance; None is NA


@dataclass(frozen=True)
class Comparison:
    """One measure of both systems over `n` utterances that both have; `na` are left out. NaN where n is 0."""

    measure: str
    a: float
    b: float
    low: float
    high: float
    better: float  # share of replications in which B is strictly better
    n: int
    na: int

    @property
    def verdict(self) -> str:
        """How B compares with A: better, worse, or undecided where the interval holds 0."""
        up, down = ("worse", "better") if self.measure in RATES else ("better", "worse")
        return up if self.low > 0 else down if self.high < 0 else "undecided"

    def cells(self) -> list[str]:
        """A row below HEADER; a difference whose interval holds 0 is undecided."""
        if not self.n:
            return [self.measure, *["NA"] * (len(HEADER) - 3), "0", str(self.na)]
        digits = 2 if self.measure in RATES else 4
        levels = [f"{v:.{digits}f}" for v in (self.a, self.b)]
        differences = [f"{v:+.{digits}f}" for v in (self.b - self.a, self.low, self.high)]
        return [self.measure, *levels, *differences, f"{self.better:.4f}", self.verdict, str(self.n), str(self.na)]


def read_system(dirs: str, name: str) -> dict[str, Values]:
    """All measures of a system: scoring, decode or experiment directories, comma-separated; of the last the set `name`.

    UserError: a directory without scores, or two with the same measure.
    """
    found: dict[str, Values] = {}
    for path in split_paths(dirs, ","):
        scores = read_values(scores_dir(path, name))
        if twice := found.keys() & scores.keys():
            raise UserError(f"{dirs}: {min(twice)} is in more than one of these: which one is meant?")
        found |= scores
    return found


def scores_dir(path: str | Path, name: str) -> Path:
    """Where the scores of a scoring, decode or experiment directory are; UserError names the steps that make them."""
    path = Path(path)
    for place in (path, path / "scoring_kaldi", path / "scoring" / name, path / f"decode_{name}" / "scoring_kaldi"):
        if has_scores(place):
            if (place / ".fingerprint").exists() and not (place / ".done").exists():
                raise UserError(f"{place} is incomplete: score again: steps/score_asr.sh or steps/score_enhancement.sh")
            return place
    if not path.is_dir():
        raise UserError(f"{path}: no such directory")
    scored = sorted(place.name for place in atomic.glob(path, "scoring/*") if has_scores(place))
    there = f", only of {', '.join(scored)} (see --set)" if scored else ""
    raise UserError(f"{path}: no scores of {name}{there}: run steps/score_asr.sh or steps/score_enhancement.sh")


def compare(
    a: Mapping[str, Values], b: Mapping[str, Values], names: tuple[str, str], replications: int = REPLICATIONS
) -> list[Comparison]:
    """Every measure that both systems have. UserError: none such, other utterances, or other references."""
    common = [measure for measure in (*RATES, *MEASURES) if measure in a and measure in b]
    if not common:
        raise UserError(
            f"no measure in common: {names[0]} has {', '.join(a)}, {names[1]} has {', '.join(b)}: "
            "compare recognisers with recognisers and enhancers with enhancers"
        )
    for measure in sorted((a.keys() | b.keys()) - set(common)):
        log.warning("%s is only in %s: left out", measure, names[0] if measure in a else names[1])
    for measure in common:
        check(measure, a[measure], b[measure], names)
    return [bootstrap(measure, [(a[measure], b[measure])], replications) for measure in common]


def check_identity(dirs: tuple[str, str], name: str) -> None:
    """UserError where two systems, as `read_system` takes them, were scored on other data; a warning if that may be."""
    first, second = ([read_identity(scores_dir(path, name)) for path in system.split(",")] for system in dirs)
    for a in first:
        for b in second:
            reason = UNKNOWN if a is None else mark(b, a)
            if reason == OTHER:
                assert a is not None and b is not None  # others are UNKNOWN
                raise UserError(
                    f"{dirs[0]} and {dirs[1]} were scored on different data: {a.data} ({a}), {b.data} ({b})"
                )
            if reason:
                more = {NOISE: "noise types or SNRs differ", UNKNOWN: "what one was scored on is not recorded"}[reason]
                log.warning("%s: %s", reason, more)
                return


def bootci_lines(a: Values, b: Values, replications: int = REPLICATIONS) -> str:
    """What Kaldi's compute-wer-bootci prints for two systems, from their words."""
    pairs = [(x, y) for utt in sorted(a) if (x := a[utt]) and (y := b[utt])]
    result = kaldialign.bootstrap_wer_ci(
        [list(x.ref) for x, _ in pairs],
        [list(x.hyp) for x, _ in pairs],
        [list(y.hyp) for _, y in pairs],
        replications=replications,
    )
    lines = "".join(f"Set{k}: {bootci_text(result[f'system{k}'])}\n" for k in (1, 2))
    return f"{lines}Probability of Set2 improving Set1: {100 * result['p_s2_improv_over_s1']:.2f}\n"


def bootstrap(measure: str, seeds: Sequence[tuple[Values, Values]], replications: int = REPLICATIONS) -> Comparison:
    """One measure of two systems, of which each seed has a pair of scores of the same utterances.

    Utterances are drawn, and seeds where there are several; what another seed would give, one seed cannot tell.
    """
    utts = sorted(seeds[0][0])
    known = [utt for utt in utts if all(side[utt] is not None for pair in seeds for side in pair)]
    na = len(utts) - len(known)
    if not known:
        nan = float("nan")
        return Comparison(measure, nan, nan, nan, nan, nan, 0, na)
    # (seeds, utts)
    x, y = (np.array([[_known(pair[side][utt]).amount for utt in known] for pair in seeds]) for side in (0, 1))
    weight = np.array([_known(seeds[0][0][utt]).weight for utt in known])  # (utts,)
    scale = 100 if measure in RATES else 1
    rng = np.random.default_rng(0)  # the same scores give the same figures
    drawn = []
    for start in range(0, replications, BLOCK):
        size = min(BLOCK, replications - start)
        index = rng.integers(len(known), size=(size, len(known)))
        found = (y - x)[:, index].sum(axis=2)  # (seeds, size)
        if len(seeds) > 1:
            found = found[rng.integers(len(seeds), size=(len(seeds), size)), np.arange(size)]
        drawn.append(found.mean(axis=0) / np.maximum(weight[index].sum(axis=1), 1))
    difference = scale * np.concatenate(drawn)
    low, high = np.percentile(difference, [2.5, 97.5])
    better = np.mean(difference < 0 if measure in RATES else difference > 0)
    first, second = (scale * float(v.mean(axis=0).sum() / weight.sum()) for v in (x, y))
    return Comparison(measure, first, second, float(low), float(high), float(better), len(known), na)


def check(measure: str, a: Values, b: Values, names: tuple[str, str]) -> None:
    """UserError unless both have the same utterances with the same references."""
    if a.keys() != b.keys():
        only = list(zip(names, (sorted(a.keys() - b.keys()), sorted(b.keys() - a.keys())), strict=True))
        differences = "; ".join(f"{len(utts)} only in {name}: {_some(utts)}" for name, utts in only if utts)
        raise UserError(f"{measure}: the systems were scored on different utterances: {differences}")
    other = [utt for utt, x in a.items() if x and (y := b[utt]) and x.ref != y.ref]
    if other:
        raise UserError(
            f"{measure}: {names[0]} and {names[1]} have different references for {len(other)}: {_some(other)}: "
            "score both with the same text and --normaliser"
        )


def _known(value: Value | None) -> Value:
    assert value is not None  # NA is left out before
    return value


def _some(utts: Sequence[str]) -> str:
    return ", ".join(utts[:NAMED]) + (", ..." if len(utts) > NAMED else "")


def read_values(place: Path) -> dict[str, Values]:
    """The measures of one directory of scores."""
    found: dict[str, dict[str, Value | None]] = {}
    for utt, row in read_rows(place).items():
        for unit, pairs in row.alignments.items():
            found.setdefault(unit, {})[utt] = _errors(pairs)
        for measure, score in row.scores.items():
            found.setdefault(measure, {})[utt] = None if score is None else Value(score, 1)
    return dict(found)


def _errors(pairs: Pairs) -> Value:
    ref, hyp = (tuple(pair[side] for pair in pairs if pair[side] != EPS) for side in (0, 1))
    return Value(sum(op != "C" for _, _, op in pairs), len(ref), ref, hyp)
