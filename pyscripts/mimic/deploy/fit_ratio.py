"""Fitting the curve of the enhancement ratio "auto" (mimic.models.ratio) to the word errors of a recogniser on dev.

Given are the errors of each utterance at some fixed ratios, and its estimated SNR. Candidates are the given ratios, and
curves with corners on a grid and these ratios as values; at a ratio between two that were decoded, errors are
interpolated. A curve may win by chance, so it is kept only where it wins out of bag as well: fitted to utterances drawn
with replacement, it has to make fewer errors on those that were not drawn than the best fixed ratio of the same draw
(the .632 bootstrap's test part: B. Efron, R. Tibshirani, JASA 92, 1997).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mimic.errors import UserError
from mimic.io.audio import AudioReader
from mimic.metrics.comparison import check, read_values
from mimic.models.enhancer import Enhancer
from mimic.models.ratio import Curve, check_ratio, estimated_snr

STEP_DB = 1.0  # between corners
PERCENTILES = (5.0, 95.0)  # of the SNRs, between which the corners are
SEED = 1


@dataclass(frozen=True)
class Errors:
    """Word errors at fixed ratios.

    Attributes:
        ratios: (ratios,), ascending.
        errors: (ratios, utterances), of an utterance at most as many as it has words.
        words: of the references, (utterances,).
        snrs: estimated, dB, (utterances,).
    """

    ratios: np.ndarray
    errors: np.ndarray
    words: np.ndarray
    snrs: np.ndarray

    def at(self, wanted: np.ndarray) -> np.ndarray:
        """Expected errors (utterances,) at a ratio of each utterance."""
        right = np.clip(np.searchsorted(self.ratios, wanted), 1, len(self.ratios) - 1)
        share = (wanted - self.ratios[right - 1]) / (self.ratios[right] - self.ratios[right - 1])
        each = np.arange(len(wanted))
        return (1 - share) * self.errors[right - 1, each] + share * self.errors[right, each]


def read_errors(enhancer: Enhancer, data: Path, scorings: Mapping[float, Path]) -> Errors:
    """The errors in directories of steps/score_asr.sh by ratio, and SNRs of the noisy speech in a data directory.

    Raises UserError for fewer than two ratios, for scorings of different utterances, and for a ratio out of its range.
    """
    if len(scorings) < 2:
        raise UserError("give scorings of at least two ratios, as 0=exp/noisy/scoring/dev 1=exp/enhanced/scoring/dev")
    ratios = sorted(map(check_ratio, scorings))
    found = [read_values(scorings[ratio]).get("wer") for ratio in ratios]
    for ratio, values in zip(ratios, found, strict=True):
        if not values:
            raise UserError(f"{scorings[ratio]}: no word errors: steps/score_asr.sh writes them")
        check("wer", found[0] or {}, values, (str(scorings[ratios[0]]), str(scorings[ratio])))
    rows = [{utt: value for utt, value in (values or {}).items() if value} for values in found]
    utts = sorted(rows[0])
    reader = AudioReader(data, enhancer.rate)
    if missing := set(utts) - set(reader.utts):
        raise UserError(f"{data}: has no utterance {min(missing)}, which {scorings[ratios[0]]} has")
    words = np.array([rows[0][utt].weight for utt in utts], float)
    # At most all words: else one utterance, which a recogniser repeats without end, would decide alone.
    errors = np.minimum([[row[utt].amount for utt in utts] for row in rows], words)
    return Errors(np.array(ratios), errors, words, np.array([_snr(enhancer, reader[utt]) for utt in utts]))


@torch.inference_mode()
def _snr(enhancer: Enhancer, noisy: np.ndarray) -> float:
    enhanced = enhancer.net.enhance([torch.from_numpy(noisy).to(enhancer.device)], enhancer.front)[0]
    return float(estimated_snr(noisy, enhanced.cpu().numpy()))


def fit(table: Errors, replications: int = 1000) -> dict[str, Any]:
    """What ratio.json holds: "curve", and "fit": WER (%), of an utterance at most 100, of it and of each fixed ratio,
    and the test out of bag.

    Raises UserError for a single utterance.
    """
    count = len(table.snrs)
    if count < 2:
        raise UserError("one utterance is too little to fit a curve to: take a dev set")
    fixed = [Curve(0.0, 1.0, ratio, ratio) for ratio in table.ratios[::-1].tolist()]  # of equals the largest one
    curves = fixed + _curves(table)
    errors = np.stack([table.at(curve(table.snrs)) for curve in curves])  # (curves, utterances)
    draws = np.random.default_rng(SEED).multinomial(count, np.full(count, 1 / count), size=replications)
    drawn = draws.T.astype(float)  # (utterances, replications)
    totals = errors @ drawn
    gains = []
    for best, best_fixed, left_out in zip(totals.argmin(0), totals[: len(fixed)].argmin(0), draws == 0, strict=True):
        if words := table.words[left_out].sum():
            gains.append(100 * (errors[best, left_out] - errors[best_fixed, left_out]).sum() / words)
    wins = bool(gains) and np.mean(gains) < 0
    sums = errors.sum(1)
    chosen = int(sums.argmin() if wins else sums[: len(fixed)].argmin())
    words = table.words.sum()
    against = {}
    for place in (0, len(fixed) - 1):
        differences = 100 * (errors[chosen] - errors[place]) @ drawn / np.maximum(table.words @ drawn, 1)
        against[f"{fixed[place].at_low:g}"] = _limits(100 * (sums[chosen] - sums[place]) / words, differences)
    names = [*(f"{curve.at_low:g}" for curve in fixed), "auto"]
    facts = {
        "kept": "curve" if chosen >= len(fixed) else "fixed ratio",
        "utterances": count,
        "words": int(words),
        "wer": {
            name: round(100 * sums[k] / words, 3) for name, k in zip(names, [*range(len(fixed)), chosen], strict=True)
        },
        "against": against,
        "out_of_bag": _limits(float(np.mean(gains or [0])), np.array(gains or [0])),
        "replications": replications,
        "snr": np.percentile(table.snrs, [5, 50, 95]).round(2).tolist(),
    }
    return {"curve": asdict(curves[chosen]), "fit": facts}


def _limits(difference: float, drawn: np.ndarray) -> dict[str, float]:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return {"difference": round(difference, 3), "low": round(float(low), 3), "high": round(float(high), 3)}


def _curves(table: Errors) -> list[Curve]:
    first, last = np.percentile(table.snrs, PERCENTILES) / STEP_DB
    corners = [STEP_DB * k for k in range(int(np.floor(first)), int(np.ceil(last)) + 1)]
    values = [pair for pair in product(table.ratios.tolist(), repeat=2) if pair[0] != pair[1]]
    return [Curve(*pair, *value) for pair in combinations(corners, 2) for value in values]
