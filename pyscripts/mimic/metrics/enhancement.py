"""All measures of enhanced speech in one pass over the audio, and the table per_utt.tsv for people."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import soxr

from mimic.errors import NotScored, UserError
from mimic.io.atomic import replace
from mimic.metrics.composite import composite, segmental_snr, si_sdr
from mimic.metrics.figures import Row
from mimic.metrics.pairs import NARROW, RATE, Pairs
from mimic.metrics.pesq import pesq, version
from mimic.metrics.stoi import stoi_estoi

# Name in files and options -> heading of tables.
MEASURES = {
    "wb-pesq": "PESQ",
    "nb-pesq": "PESQ-nb",
    "stoi": "STOI",
    "estoi": "eSTOI",
    "csig": "CSIG",
    "cbak": "CBAK",
    "covl": "COVL",
    "segsnr": "segSNR",
    "si-sdr": "SI-SDR",
}
DIGITS = 6  # after the point, of an utterance's scores in files and in all that is computed from them


def describe() -> str:
    """What the columns mean, for the header of a score file."""
    return (
        f"at {RATE} Hz; wb-pesq: MOS-LQO of ITU-T P.862.2, nb-pesq: of P.862.1 (of audio below it, "
        f"at {NARROW} Hz), Python package pesq {version()}; csig, cbak, covl: with wb-pesq; "
        "stoi, estoi: 0 to 1; segsnr, si-sdr: dB"
    )


def parse_measures(names: str) -> tuple[str, ...]:
    """Split a comma-separated list (or "all") into measures, in the order of MEASURES; UserError for an unknown one."""
    wanted = MEASURES if names == "all" else names.split(",")
    for name in wanted:
        if name not in MEASURES:
            raise UserError(f"--measures {names}: no measure '{name}', there are {','.join(MEASURES)}")
    return tuple(name for name in MEASURES if name in wanted)


def score_pair(
    clean: np.ndarray, enhanced: np.ndarray, measures: Sequence[str], rate: int = RATE
) -> tuple[dict[str, float], dict]:
    """Scores by measure, and reasons by measure for those that could not be computed.

    Both signals are (samples,) of equal length at `rate`: 16 kHz, or 8 kHz, for which there is no wide-band PESQ.
    """
    for signal, name in ((clean, "clean"), (enhanced, "enhanced")):
        if np.ptp(signal) == 0:
            return {}, dict.fromkeys(measures, f"the {name} audio is silent")
    scores: dict[str, float] = {}
    reasons: dict[str, str] = {}
    x, y = clean.astype(np.float64), enhanced.astype(np.float64)
    if rate != RATE:
        x, y = (soxr.resample(signal, rate, RATE, quality="HQ") for signal in (x, y))
    wide = cache(lambda: pesq(clean, enhanced, "wb", rate))  # both are part of composite measures too
    segsnr = cache(lambda: segmental_snr(x, y))

    def take(names: Sequence[str], compute: Callable[[], Iterable[float]]) -> None:
        if set(names) & set(measures):
            try:
                found = dict(zip(names, compute(), strict=True))
                scores.update({name: value for name, value in found.items() if name in measures})
            except NotScored as reason:
                reasons.update({name: str(reason) for name in names if name in measures})

    take(["wb-pesq"], lambda: [wide()])
    take(["nb-pesq"], lambda: [pesq(clean, enhanced, "nb", rate)])
    take(["stoi", "estoi"], lambda: stoi_estoi(x, y))
    take(["csig", "cbak", "covl"], lambda: composite(x, y, wide(), segsnr()))
    take(["segsnr"], lambda: [segsnr()])
    take(["si-sdr"], lambda: [si_sdr(x, y)])
    return scores, reasons


def score(pairs: Pairs, utts: Iterable[str], measures: Sequence[str]) -> Iterator[Row]:
    """Score utterances one by one; memory holds one pair of signals."""
    for utt in utts:
        try:
            scores, reasons = _score(pairs, utt, measures)
        except NotScored as reason:
            scores, reasons = {}, dict.fromkeys(measures, str(reason))
        values = {m: round(scores[m], DIGITS) if m in scores else None for m in measures}
        yield Row(utt, values, _reason_text(reasons, len(measures)))


def _score(pairs: Pairs, utt: str, measures: Sequence[str]) -> tuple[dict[str, float], dict]:
    clean, enhanced, rate = pairs.load(utt)
    return score_pair(clean, enhanced, measures, rate)


def _reason_text(reasons: dict[str, str], count: int) -> str:
    """Name the measures that share a reason; all of them need no names."""
    by_text: dict[str, list[str]] = {}
    for measure, text in reasons.items():
        by_text.setdefault(text, []).append(measure)
    parts = [text if len(names) == count else f"{','.join(names)}: {text}" for text, names in by_text.items()]
    return "; ".join(parts) or "-"


def write_rows(path: str | Path, rows: Iterable[Row], measures: Sequence[str]) -> None:
    """Write `utt <measures> reason`, tab-separated with a header, atomically."""
    with replace(path) as f:
        print("utt", *measures, "reason", sep="\t", file=f)
        for row in rows:
            values = (row.scores[m] for m in measures)
            print(row.utt, *("NA" if v is None else f"{v:.{DIGITS}f}" for v in values), row.reason, sep="\t", file=f)
