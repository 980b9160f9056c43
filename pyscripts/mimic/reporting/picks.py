"""Scores by signal-to-noise ratio with bootstrap intervals, and the utterances worth a page of their own."""

import random
from collections.abc import Mapping, Sequence

import numpy as np

from mimic.metrics.summary import REPLICATIONS, Mean, mean
from mimic.reporting.collect import Scored

MOST_LEVELS = 12  # of SNR; more are put together
BIN_DB = 5.0
PICKS = ("best", "worst", "median", "most harmed", "random")


def snr_levels(utt2snr: Mapping[str, str]) -> dict[str, list[str]]:
    """{SNR in dB: utterances}, rising; where a set has many different ones, in classes of 5 dB."""
    values: dict[str, float] = {}
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
    return levels


def quality(system: Scored, utts: Sequence[str], measure: str) -> Mean:
    """Mean of a measure of enhanced speech over some utterances."""
    return mean(system.quality(utt, measure) for utt in utts if utt in system.scores)


def word_errors(system: Scored, utts: Sequence[str]) -> Mean:
    """Errors per 100 reference words over some utterances; the bootstrap draws utterances, with a fixed seed."""
    counts = np.array([system.errors(utt) for utt in utts if utt in system.words]).reshape(-1, 2)
    words = int(counts[:, 1].sum())
    if not words:
        return Mean(*[float("nan")] * 3, 0, 0)
    rng = np.random.default_rng(0)
    sums = counts[rng.integers(len(counts), size=(REPLICATIONS, len(counts)))].sum(1)  # (replications, 2)
    rates = 100 * sums[:, 0] / np.maximum(sums[:, 1], 1)
    low, high = np.percentile(rates, [2.5, 97.5])
    return Mean(100 * counts[:, 0].sum() / words, float(low), float(high), words, 0)


def picks(
    noisy: Scored | None, system: Scored | None, utts: Sequence[str], measure: str | None, count: int
) -> dict[str, list[str]]:
    """{why: utterances}: best, worst, median, most harmed by `system`, random. An utterance has one reason, the first.

    Without scores of enhanced speech, word errors rank the utterances.
    """
    chosen: dict[str, list[str]] = {}
    taken: set[str] = set()

    def take(why: str, ranked: Sequence[str]) -> None:
        chosen[why] = [utt for utt in ranked if utt not in taken][:count]
        taken.update(chosen[why])

    ranked, harm = _ranking(noisy, system, utts, measure)
    if harm:
        take("most harmed", sorted((u for u in harm if harm[u] < 0), key=lambda u: (harm[u], u)))
    if ranked:
        take("best", ranked[::-1])
        take("worst", ranked)
        middle = len(ranked) / 2 - 0.5
        take("median", [ranked[k] for k in sorted(range(len(ranked)), key=lambda k: abs(k - middle))])
    rest = sorted(set(utts) - taken)
    take("random", random.Random("report").sample(rest, min(count, len(rest))))
    return {why: chosen[why] for why in PICKS if chosen.get(why)}


def _ranking(
    noisy: Scored | None, system: Scored | None, utts: Sequence[str], measure: str | None
) -> tuple[list[str], dict[str, float]]:
    """Utterances from worst to best, and what the system gained on each against noisy speech."""
    if system is None:
        return [], {}
    after: dict[str, float] = {}
    before: dict[str, float] = {}
    for side, into in ((system, after), (noisy, before)):
        for utt in utts if side else ():
            value = side.quality(utt, measure) if measure else None
            errors = side.errors(utt)
            if measure is None and errors and errors[1]:
                value = -errors[0] / errors[1]
            if value is not None:
                into[utt] = value
    ranked = sorted(after, key=lambda utt: (after[utt], utt))
    return ranked, {utt: after[utt] - before[utt] for utt in ranked if utt in before}
