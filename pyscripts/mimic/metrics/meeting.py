"""cpWER and tcpWER of transcripts with speakers, by the package meeteval.

cpWER: S. Watanabe et al., "CHiME-6 Challenge", 2020: words of each speaker in one string, with the assignment of
speakers that has the fewest errors. tcpWER: T. von Neumann et al., "MeetEval", 2023: words match only where their times
do, to a collar; times of words are estimated from those of their segment.
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from mimic.errors import NotScored
from mimic.metrics.figures import BLOCK, REPLICATIONS, Mean, Pairs, Row
from mimic.metrics.speaker_transcripts import Segment
from mimic.metrics.wer import EPS, align, op_of
from mimic.registry import installed

RATES = ("cpwer", "tcpwer")
INSTALL = ".venv/bin/python3 -m pip install --no-deps meeteval==0.4.3 (it is built: needs a C++ compiler)"


def describe(collar: float) -> str:
    """What computes the rates, for the header of a score file. UserError where meeteval is not installed."""
    installed("meeteval", INSTALL)
    return f"cpwer, tcpwer (collar {collar:g} s): Python package meeteval {version('meeteval')}"


def score_session(
    reference: Sequence[Segment], hypothesis: Sequence[Segment], rate: str, collar: float
) -> tuple[Pairs, list[tuple[str | None, str | None]]]:
    """Aligned words of a session, and its speakers in pairs, None where one side has none.

    rate: cpwer or tcpwer. NotScored for tcpwer where a segment has no times.
    """
    from meeteval.wer.wer import cp, time_constrained  # optional

    sides = [[s for s in side if s["words"]] for side in (reference, hypothesis)]
    if rate == "tcpwer" and any("start_time" not in s for side in sides for s in side):
        raise NotScored("a segment has no times")
    if rate == "cpwer":
        found: Any = cp.cp_word_error_rate(*sides)
    else:
        found = time_constrained.tcp_word_error_rate(*sides, collar=collar)
    pairs: Pairs = []
    for speakers in found.assignment:
        ref, hyp = ([s for s in side if s["speaker"] == who] for side, who in zip(sides, speakers, strict=True))
        if rate == "cpwer":
            aligned = align(_in_order(ref), _in_order(hyp))
        else:
            aligned = [(_word(a), _word(b)) for a, b in time_constrained.align(ref, hyp, collar=collar, style="seglst")]
        pairs += [(a, b, op_of(a, b)) for a, b in aligned]
    return pairs, list(found.assignment)


def rate_of(rows: Sequence[Row], rate: str) -> Mean:
    """Errors per 100 reference words, with a bootstrap interval over sessions; sessions that have none are NA."""
    known = [row.alignments[rate] for row in rows if rate in row.alignments]
    ops = [[op for _, _, op in pairs] for pairs in known]
    counts = {name: sum(row.count(op) for row in ops) for name, op in (("ins", "I"), ("del", "D"), ("sub", "S"))}
    errors = np.array([sum(op != "C" for op in row) for row in ops])
    words = np.array([sum(op != "I" for op in row) for row in ops])
    counts |= {"errors": sum(counts.values()), "sentences": len(known)}
    na = len(rows) - len(known)
    if not len(known) or not words.sum():
        return Mean(float("nan"), float("nan"), float("nan"), 0, na, counts)
    rng = np.random.default_rng(0)
    size = max(1, BLOCK // len(known))
    drawn = []
    for start in range(0, REPLICATIONS, size):
        index = rng.integers(len(known), size=(min(size, REPLICATIONS - start), len(known)))
        drawn.append(100 * errors[index].sum(1) / np.maximum(words[index].sum(1), 1))
    low, high = np.percentile(np.concatenate(drawn), [2.5, 97.5])
    return Mean(float(100 * errors.sum() / words.sum()), float(low), float(high), int(words.sum()), na, counts)


def _in_order(segments: Sequence[Segment]) -> list[str]:
    timed = all("start_time" in s for s in segments)
    ordered = sorted(segments, key=lambda s: s["start_time"]) if timed else segments
    return [word for s in ordered for word in s["words"].split()]


def _word(segment: Segment | None) -> str:
    return EPS if segment is None else segment["words"]
