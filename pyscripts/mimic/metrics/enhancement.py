"""All measures of enhanced speech in one pass over the audio, and the table per_utt.tsv for people."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
import soxr

from mimic.errors import NotScored, UserError
from mimic.io.atomic import replace
from mimic.metrics import mos
from mimic.metrics.composite import composite, segmental_snr, si_sdr
from mimic.metrics.figures import Row
from mimic.metrics.pairs import NARROW, RATE, Pairs, Single
from mimic.metrics.pesq import describe as describe_pesq
from mimic.metrics.pesq import pesq
from mimic.metrics.spectral import lsd, mcd
from mimic.metrics.stoi import stoi_estoi
from mimic.settings import comma_separated

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
    "lsd": "LSD",
    "mcd": "MCD",
    "visqol": "ViSQOL",
    "dnsmos-sig": "SIG",
    "dnsmos-bak": "BAK",
    "dnsmos-ovrl": "OVRL",
    "dnsmos-p808": "P.808",
    "distill-mos": "Distill-MOS",
    "srmr": "SRMR",
}
WITHOUT = tuple(name for names in mos.ALONE for name in names)  # that need no clean speech
DNSMOS = tuple(name for name in WITHOUT if name.startswith("dnsmos"))
STANDARD = tuple(MEASURES)[:9]  # "all" of them: computed without any optional package but pesq
ERROR = "error: "  # before what is wrong with a pair; other reasons are properties of a measure
Compare = Callable[[np.ndarray, np.ndarray], Sequence[float]]  # clean and enhanced (samples,) at 16 kHz -> a score
DIGITS = 6  # after the point, of an utterance's scores in files and in all that is computed from them


def describe(measures: Sequence[str] = STANDARD) -> str:
    """What the columns mean, for the header of a score file."""
    standard = (
        f"wb-pesq: MOS-LQO of ITU-T P.862.2 {describe_pesq()}, nb-pesq: of P.862.1 (of audio below {RATE} Hz, "
        f"at {NARROW} Hz); csig, cbak, covl: with wb-pesq; "
        "stoi, estoi: 0 to 1; segsnr, si-sdr: dB"
    )
    more = {
        "lsd": "lsd: of natural logarithms of power, levels matched, less is better",
        "mcd": "mcd: dB, less is better",
        "srmr": "srmr: ratio of energies",
    }
    parts = [standard] if set(measures) & set(STANDARD) else []
    parts += [text for name, text in more.items() if name in measures]
    return "; ".join([f"at {RATE} Hz", *parts]) + mos.packages(measures)


def parse_measures(names: str, reference: bool = True) -> tuple[str, ...]:
    """Split a comma-separated list into measures, in the order of MEASURES; "all", also within the list: STANDARD,
    without reference DNSMOS; "none": none of them, where a model of the user's gives others.

    UserError for an unknown one, one that needs a reference, or one whose package is not installed.
    """
    if names == "none":
        return ()
    known = tuple(MEASURES) if reference else WITHOUT
    wanted = comma_separated(names)
    if "all" in wanted:
        wanted = [*(STANDARD if reference else DNSMOS), *(name for name in wanted if name != "all")]
    for name in wanted:
        if name not in known:
            what = f"'{name}' needs clean speech" if name in MEASURES else f"no measure '{name}'"
            raise UserError(f"--measures {names}: {what}, there are {','.join(known)}")
    mos.require(wanted)
    return tuple(name for name in MEASURES if name in wanted)


def score_pair(
    clean: np.ndarray,
    enhanced: np.ndarray,
    measures: Sequence[str],
    rate: int = RATE,
    more: Mapping[str, Compare] | None = None,
) -> tuple[dict[str, float], dict]:
    """Scores by measure, and reasons by measure for those that could not be computed.

    Both signals are (samples,) of equal length at `rate`: 16 kHz, or 8 kHz, for which there is no wide-band PESQ. Where
    the measures need no reference, `clean` may be the enhanced signal itself. `more`: measures that are computed by
    others.
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
    take(["lsd"], lambda: [lsd(x, y)])
    take(["mcd"], lambda: [mcd(x, y)])
    take(["visqol"], lambda: mos.visqol(x, y))
    for names, (compute, _, _) in mos.ALONE.items():
        take(names, partial(compute, y))
    for name, compare in (more or {}).items():
        take([name], partial(compare, x, y))
    return scores, reasons


def score(
    pairs: Pairs | Single, utts: Iterable[str], measures: Sequence[str], more: Mapping[str, Compare] | None = None
) -> Iterator[Row]:
    """Score utterances one by one; memory holds one pair of signals. An error costs the scores of its utterance: its
    reason begins with ERROR.
    """
    for utt in utts:
        try:
            clean, enhanced, rate = pairs.load(utt)
            scores, reasons = score_pair(clean, enhanced, measures, rate, more)
        except NotScored as reason:
            scores, reasons = {}, dict.fromkeys(measures, str(reason))
        except UserError as error:
            scores, reasons = {}, dict.fromkeys(measures, ERROR + str(error).removeprefix(f"{utt}: "))
        except Exception as error:  # of a program that is not part of mimic, for example
            scores, reasons = {}, dict.fromkeys(measures, f"{ERROR}{type(error).__name__}: {error}")
        values = {m: round(scores[m], DIGITS) if m in scores else None for m in measures}
        yield Row(utt, values, _reason_text(reasons, len(measures)))


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
