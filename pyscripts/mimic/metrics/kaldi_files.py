"""The files that score one decoding, named and laid out as Kaldi's score scripts leave them, to the byte.

People and Kaldi's own tools read these; later steps read the JSON of mimic.metrics.scores.
"""

import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from mimic.errors import UserError
from mimic.io.atomic import new_dir, replace
from mimic.metrics.conditions import grouped
from mimic.metrics.figures import Condition, Mean, Pairs
from mimic.metrics.wer import EPS, Alignment, Totals, added, bootci_line, compute_wer, interval, interval_of, wer_lines

# Kaldi names a file after the language model weight and word insertion penalty of the decoding. Where a decoding has
# none, and in scoring directories, whose files have the same names for every system, the pair is this.
LMWT, WIP = "1", "0.0"
INNER = "scoring_kaldi"
FIXED = re.compile(r"^(wer|cer)_\d.*$")
OPS_WIDTH = 16  # ops pads words up to this many characters


def score_files(
    alignments: Collection[Alignment],
    utt2spk: Mapping[str, str],
    unit: str,
    decode_dir: str,
    info: Mapping[str, str],
    lmwt: str = LMWT,
    wip: str = WIP,
    total: Totals | None = None,
    limits: Mapping[str, float] | None = None,
) -> dict[str, Iterable[str]]:
    """{path below a decode directory: its lines} for one unit, "wer" or "cer"; `info` says how texts became tokens.

    The file <unit>_info stands beside the one with the numbers, so that `grep WER dir/wer_*` names the file it found
    them in, as Kaldi's users know it. No line of it looks like a score. `total` and `limits` are what `compute_wer` and
    `interval` return, if known.
    """
    lines = wer_lines(total or compute_wer((a.ref, a.hyp, a.present) for a in alignments))
    name = f"{unit}_{lmwt}_{wip}"
    tokens = "" if unit == "wer" else ".chars"
    inside: dict[str, Iterable[str]] = {
        f"best_{unit}": [f"{lines.splitlines()[0]} {decode_dir}/{name}\n"],
        f"test_filt{tokens}.txt": _text((a.utt, a.ref) for a in alignments),
        f"penalty_{wip}/{lmwt}{tokens}.txt": _text((a.utt, a.hyp) for a in alignments if a.present),
        f"{unit}_details/lmwt": [f"{lmwt}\n"],
        f"{unit}_details/wip": [f"{wip}\n"],
        f"{unit}_details/per_utt": per_utt(alignments),
        f"{unit}_details/per_spk": per_spk(alignments, utt2spk),
        f"{unit}_details/ops": ops(alignments),
        f"{unit}_details/{unit}_bootci": [bootci_line(alignments, limits)],
        f"{unit}_details/missing": _text((a.utt, []) for a in alignments if not a.present),
    }
    about = [f"{key} {value}\n" for key, value in info.items()]
    return {name: [lines], f"{unit}_info": about} | {f"{INNER}/{path}": text for path, text in inside.items()}


def write_files(files: Mapping[str, Iterable[str]], decode_dir: str | Path, scoring_dir: str | Path) -> None:
    """Write `files` into the decode directory, and the same without the folder scoring_kaldi into the scoring one."""
    decode, scoring = Path(decode_dir), Path(scoring_dir)
    with new_dir(decode / INNER) as inner:
        for name, lines in files.items():
            if name.startswith(INNER):
                _write(inner / name.removeprefix(f"{INNER}/"), lines)
    for name, lines in files.items():
        if not name.startswith(INNER):
            _write(decode / name, lines)
        copy = scoring / FIXED.sub(rf"\1_{LMWT}_{WIP}", name.removeprefix(f"{INNER}/"))
        copy.parent.mkdir(parents=True, exist_ok=True)
        with replace(copy, "wb") as f, open(decode / name, "rb") as written:
            shutil.copyfileobj(written, f)


def rate(
    alignments: Collection[Alignment], total: Totals | None = None, limits: Mapping[str, float] | None = None
) -> Mean:
    """The error rate of a set as a figure: errors per 100 tokens, its interval, its counts split as in Kaldi's file."""
    return _mean(total or compute_wer((a.ref, a.hyp, a.present) for a in alignments), limits or interval(alignments))


def by_condition(units: Mapping[str, Collection[Alignment]], data_dirs: Sequence[str | Path]) -> list[Condition]:
    """Error rates for each condition, of the units that `units` has ("wer", "cer")."""
    found: dict[tuple[str, str], dict[str, Mean]] = {}
    for unit, alignments in units.items():
        for condition, value, some in grouped(alignments, lambda a: a.utt, data_dirs, lambda a: a.total):
            total = added(some)
            limits = interval_of(some) if total.words else None
            found.setdefault((condition, value), {})[unit] = _mean(total, limits)
    return [Condition(*key, figures) for key, figures in found.items()]


def breakdown(conditions: Sequence[Condition], unit: str) -> list[list[str]]:
    """Error rates of a unit for each condition: reference tokens, errors, errors per 100 of them, 95 % interval."""
    lines = [["condition", "value", "sentences", "words", "ins", "del", "sub", "rate", "ci95min", "ci95max"]]
    for c in conditions:
        mean = c.figures[unit]
        rates = [f"{v:.2f}" if mean.n else "NA" for v in (mean.mean, mean.low, mean.high)]
        counts = (mean.counts["sentences"], mean.n, *(mean.counts[name] for name in ("ins", "del", "sub")))
        lines.append([c.condition, c.value, *map(str, counts), *rates])
    return lines


def aligned_pairs(alignment: Alignment) -> Pairs:
    """(reference, hypothesis, C S I or D) of an utterance."""
    return [(ref, hyp, op) for (ref, hyp), op in zip(alignment.pairs, alignment.ops, strict=True)]


def per_utt(alignments: Iterable[Alignment]) -> Iterator[str]:
    """Four lines an utterance: ref, hyp and op in columns, and the counts of C, S, I, D."""
    for alignment in alignments:
        pairs, ops = alignment.pairs, alignment.ops
        widths = [max(len(ref), len(hyp)) for ref, hyp in pairs]
        for name, row in (("ref ", [ref for ref, _ in pairs]), ("hyp ", [hyp for _, hyp in pairs]), ("op  ", ops)):
            cells = (c if len(c) == w else _centred(c, w) for c, w in zip(row, widths, strict=True))
            yield f"{alignment.utt} {name} {'  '.join(cells)}\n"
        yield f"{alignment.utt} #csid {' '.join(str(ops.count(op)) for op in 'CSID')}\n"


def per_spk(alignments: Iterable[Alignment], utt2spk: Mapping[str, str]) -> list[str]:
    """A raw and a percent row for each speaker and for the sum; UserError for an utterance without a speaker."""
    speakers: dict[str, Totals] = defaultdict(lambda: added([]))
    for alignment in alignments:
        speaker = utt2spk.get(alignment.utt)
        if speaker is None:
            raise UserError(f"{alignment.utt}: not in utt2spk: run steps/validate_data.sh")
        speakers[speaker] = added([speakers[speaker], alignment.total])
    width = max(15, max(map(len, utt2spk.values())))
    names = ("#SENT", "#WORD", "Corr", "Sub", "Ins", "Del", "Err", "S.Err")
    rows = [f"{'SPEAKER':<{width}} id " + "".join(f" {name:>10}" for name in names)]
    for speaker, total in [*sorted(speakers.items()), ("SUM", added(speakers.values()))]:
        rows.append(f"{speaker:<{width}} raw" + "".join(f" {n:>10}" for n in _row(total)))
        if total.words:
            sentences, tokens, *counts, wrong = _row(total)
            percents = [100 * n / total.words for n in counts] + [100.0 * wrong / sentences]
            cells = f" {sentences:>10} {tokens:>10}" + "".join(f" {p:>10.2f}" for p in percents)
            rows.append(f"{speaker:<{width}} sys{cells}")
    return [f"{row}\n" for row in rows]


def ops(alignments: Iterable[Alignment]) -> list[str]:
    """How often each word was right, inserted, deleted or taken for another, most frequent first."""
    counts = Counter(pair for alignment in alignments for pair in alignment.pairs)
    width = min(OPS_WIDTH, max((len(word) for pair in counts for word in pair), default=0))
    digits = max((len(str(n)) for n in counts.values()), default=0)
    lines = []
    for (ref, hyp), n in counts.items():
        error = "correct" if ref == hyp else "insertion" if ref == EPS else "deletion" if hyp == EPS else "substitution"
        line = f"{error:<14}{ref:>{width}}    {hyp:>{width}}    {n:>{digits}}\n"
        lines.append(((error, -n, _printable(ref), _printable(hyp), line.encode()), line))
    return [line for _, line in sorted(lines)]


def _row(total: Totals) -> tuple[int, ...]:
    return (
        total.sentences,
        total.words,
        total.correct,
        total.sub,
        total.ins,
        total.dele,
        total.errors,
        total.wrong_sentences,
    )


def _centred(text: str, width: int) -> str:
    right = (width - len(text)) // 2
    return " " * (width - len(text) - right) + text + " " * right


def _printable(word: str) -> bytes:
    # Kaldi sorts with `sort -i` in the C locale, which passes over every byte that is not printable ASCII.
    return bytes(b for b in word.encode() if 32 <= b < 127)


def _mean(total: Totals, limits: Mapping[str, float] | None) -> Mean:
    low, high = (100 * limits[name] if limits else float("nan") for name in ("ci95min", "ci95max"))
    counts = {"errors": total.errors, "ins": total.ins, "del": total.dele, "sub": total.sub}
    counts |= {"sentences": total.sentences, "wrong_sentences": total.wrong_sentences}
    return Mean(total.rate, low, high, total.words, total.missing, counts)


def _write(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace(path) as f:
        f.writelines(lines)


def _text(lines: Iterable[tuple[str, list[str]]]) -> Iterator[str]:
    return (f"{' '.join([utt, *tokens])}\n" for utt, tokens in lines)
