"""The utterances with a page of their own: best, worst, median, most harmed, random."""

import random
from collections.abc import Sequence

from mimic.reporting.tree import Scored

PICKS = ("best", "worst", "median", "most harmed", "random")


def picks(
    noisy: Scored | None, system: Scored | None, utts: Sequence[str], measure: str | None, count: int
) -> dict[str, list[str]]:
    """{why: utterances}: best, worst, median, most harmed by `system`, random; each utterance once.

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
        if side is None:
            continue
        for utt in utts:
            value = side.quality(utt, measure) if measure else None
            errors = side.errors(utt)
            if measure is None and errors and errors[1]:
                value = -errors[0] / errors[1]
            if value is not None:
                into[utt] = value
    ranked = sorted(after, key=lambda utt: (after[utt], utt))
    return ranked, {utt: after[utt] - before[utt] for utt in ranked if utt in before}
