"""Two systems on the same utterances: the difference of their scores, its interval, and which is likely the better.

Paired bootstrap over utterances: M. Bisani, H. Ney, "Bootstrap Estimates for Confidence Intervals in ASR Performance
Evaluation", ICASSP 2004. Where there are several seeds they are drawn, too; all seeds have the same utterances, so a
draw of utterances is for all of them (A. Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2), 2007).
Drawing utterances within each seed instead would take the same sentences for new ones: of such intervals at 95 % only
70 to 94 % held the true difference in simulations with 3 to 10 seeds. Directories of scores and Kaldi's own decode
directories are read by mimic.metrics.scores.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import kaldialign
import numpy as np
from scipy.special import ndtri, stdtrit

from mimic.errors import UserError
from mimic.inputs import split_paths
from mimic.io import atomic
from mimic.metrics.conditions import CONDITIONS, grouped
from mimic.metrics.enhancement import MEASURES
from mimic.metrics.figures import Pairs
from mimic.metrics.identity import NOISE, OTHER, UNKNOWN, mark
from mimic.metrics.scores import has_scores, read_identity, read_rows
from mimic.metrics.wer import EPS, bootci_text

log = logging.getLogger(__name__)

RATES = ("wer", "cer", "cpwer", "tcpwer")  # in percent
LESS = (*RATES, "lsd", "mcd")  # of which less is better; of all others more is
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
System = Mapping[str, Values]  # by measure
Groups = Mapping[tuple[str, str], Sequence[str]]  # utterances by condition and its value


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
    condition: tuple[str, str] = ("", "")  # such as ("snr", "5"): of these utterances only

    @property
    def verdict(self) -> str:
        """How B compares with A: better, worse, or undecided where the interval holds 0."""
        up, down = ("worse", "better") if self.measure in LESS else ("better", "worse")
        return up if self.low > 0 else down if self.high < 0 else "undecided"

    def cells(self) -> list[str]:
        """A row below HEADER; a difference whose interval holds 0 is undecided."""
        if not self.n:
            return [self.measure, *["NA"] * (len(HEADER) - 3), "0", str(self.na)]
        digits = 2 if self.measure in RATES else 4
        levels = [f"{v:.{digits}f}" for v in (self.a, self.b)]
        differences = [f"{v:+.{digits}f}" for v in (self.b - self.a, self.low, self.high)]
        return [self.measure, *levels, *differences, f"{self.better:.4f}", self.verdict, str(self.n), str(self.na)]


def of_seed(dirs: str, seed: int, first: int) -> str:
    """The directories of a system for one seed: <seed> in their names is _seed<k>, of the first seed nothing."""
    return dirs.replace("<seed>", "" if seed == first else f"_seed{seed}")


def read_pairs(dirs: tuple[str, str], name: str, seeds: Sequence[int] = (1,)) -> list[tuple[System, System]]:
    """The scores of the set `name` of both systems, for each seed."""
    if len(seeds) > 1 and not any("<seed>" in system for system in dirs):
        raise UserError(f"{dirs[0]} and {dirs[1]}: several seeds, but neither has <seed> in the place of _seed<k>")
    a, b = ([read_system(of_seed(system, seed, seeds[0]), name) for seed in seeds] for system in dirs)
    return list(zip(a, b, strict=True))


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
    pairs: Sequence[tuple[System, System]],
    names: tuple[str, str],
    replications: int = REPLICATIONS,
    groups: Groups | None = None,
) -> list[Comparison]:
    """Every measure that both systems have, over all utterances or, with `groups`, over those of each condition.

    `pairs` has both systems for each seed. UserError: no measure in common, other utterances, or other references.
    """
    a, b = pairs[0]
    known = dict.fromkeys((*RATES, *MEASURES, *a))  # those by a model of the user's are not in MEASURES
    common = [measure for measure in known if all(measure in system for pair in pairs for system in pair)]
    if not common:
        raise UserError(
            f"no measure in common: {names[0]} has {', '.join(a)}, {names[1]} has {', '.join(b)}: "
            "compare recognisers with recognisers and enhancers with enhancers"
        )
    if groups is None:
        for measure in sorted((a.keys() | b.keys()) - set(common)):
            log.warning("%s is only in %s: left out", measure, names[0] if measure in a else names[1])
    found = []
    for measure in common:
        seeds = [(x[measure], y[measure]) for x, y in pairs]
        for x, y in seeds:
            check(measure, x, y, names)
            check(measure, seeds[0][0], x, (names[0], f"{names[0]}, another seed"))
        for condition, utts in (groups or {("", ""): list(a[measure])}).items():
            some = [({u: x[u] for u in utts if u in x}, {u: y[u] for u in utts if u in y}) for x, y in seeds]
            found.append(replace(bootstrap(measure, some, replications), condition=condition))
    return found


def conditions(utts: Sequence[str], data_dirs: Sequence[str | Path], wanted: Sequence[str]) -> Groups:
    """Utterances by condition, such as SNR and noise type; UserError for one that no data directory tells."""
    found = {(name, value): some for name, value, some in grouped(utts, str, data_dirs) if name in wanted}
    if missing := [name for name in wanted if name not in {name for name, _ in found}]:
        table = CONDITIONS.get(missing[0], "such a table")
        raise UserError(f"no {missing[0]} in {' and '.join(map(str, data_dirs))}: {table} is not there: see --data")
    return found


def data_of(dirs: tuple[str, str], name: str) -> list[str]:
    """The data directories that two systems, as `read_system` takes them, were scored on, as far as it is recorded."""
    identities = [read_identity(scores_dir(path, name)) for system in dirs for path in split_paths(system, ",")]
    return sorted({identity.data for identity in identities if identity})


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
    gains = (y - x).mean(axis=0)  # (utts,)
    other = (y - x).sum(axis=1) / max(weight.sum(), 1)  # (seeds,)
    other = expansion(len(seeds)) * (other - other.mean())
    rng = np.random.default_rng(0)  # the same scores give the same figures
    drawn = []
    for start in range(0, replications, BLOCK):
        size = min(BLOCK, replications - start)
        index = rng.integers(len(known), size=(size, len(known)))
        found = gains[index].sum(axis=1) / np.maximum(weight[index].sum(axis=1), 1)  # (size,)
        if len(seeds) > 1:
            found += other[rng.integers(len(seeds), size=(size, len(seeds)))].mean(axis=1)
        drawn.append(found)
    difference = scale * np.concatenate(drawn)
    low, high = np.percentile(difference, [2.5, 97.5])
    better = np.mean(difference < 0 if measure in LESS else difference > 0)
    first, second = (scale * float(v.mean(axis=0).sum() / weight.sum()) for v in (x, y))
    return Comparison(measure, first, second, float(low), float(high), float(better), len(known), na)


def expansion(seeds: int) -> float:
    """Factor of the differences between seeds, by which a percentile interval becomes as wide as few seeds demand.

    Expanded percentile interval: T. Hesterberg, "What Teachers Should Know About the Bootstrap", American Statistician
    69(4), 2015: drawn means vary by (n - 1) / n too little, and a few values have the tails of Student's t.
    """
    n = max(seeds, 2)
    return float(np.sqrt(n / (n - 1)) * stdtrit(n - 1, 0.975) / ndtri(0.975))


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
