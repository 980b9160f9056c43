"""Kaldi's wer_details files: per_utt, per_spk and ops, to the byte."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from mimic.errors import UserError
from mimic.metrics.wer import EPS, Alignment, Totals, totals

Pairs = list[tuple[str, str, str]]  # reference word, hypothesis word (either may be ***), one of C S I D
OPS_WIDTH = 16  # ops pads words up to this many characters


def per_utt(alignments: Sequence[Alignment]) -> str:
    """Four lines an utterance: ref, hyp and op in columns, and the counts of C, S, I, D."""
    lines = []
    for alignment in alignments:
        ops = alignment.ops
        columns = [(ref, hyp, op) for (ref, hyp), op in zip(alignment.pairs, ops, strict=True)]
        widths = [max(map(len, column)) for column in columns]
        for row, name in enumerate(("ref ", "hyp ", "op  ")):
            cells = [_centred(column[row], width) for column, width in zip(columns, widths, strict=True)]
            lines.append(f"{alignment.utt} {name} {'  '.join(cells)}\n")
        lines.append(f"{alignment.utt} #csid {' '.join(str(ops.count(op)) for op in 'CSID')}\n")
    return "".join(lines)


def read_per_utt(path: Path) -> dict[str, Pairs]:
    """Read per_utt: {utterance: [(reference, hypothesis, C S I or D), ...]}, with *** where a side has no word.

    Raises UserError where it has not four lines an utterance.
    """
    rows: dict[str, dict[str, list[str]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        utt, kind, *cells = line.split()
        rows.setdefault(utt, {})[kind] = cells
    for utt, row in rows.items():
        if row.keys() != {"ref", "hyp", "op", "#csid"} or not len(row["ref"]) == len(row["hyp"]) == len(row["op"]):
            raise UserError(f"{path}: {utt}: not the four lines ref, hyp, op, #csid: score again with --force true")
    return {utt: list(zip(row["ref"], row["hyp"], row["op"], strict=True)) for utt, row in rows.items()}


def per_spk(alignments: Sequence[Alignment], utt2spk: Mapping[str, str]) -> str:
    """A raw and a percent row for each speaker and for the sum; UserError for an utterance without a speaker."""
    speakers: dict[str, list[Alignment]] = defaultdict(list)
    for alignment in alignments:
        if alignment.utt not in utt2spk:
            raise UserError(f"{alignment.utt}: not in utt2spk: run steps/validate_data.sh")
        speakers[utt2spk[alignment.utt]].append(alignment)
    width = max(15, *map(len, utt2spk.values()))
    names = ("#SENT", "#WORD", "Corr", "Sub", "Ins", "Del", "Err", "S.Err")
    rows = [f"{'SPEAKER':<{width}} id " + "".join(f" {name:>10}" for name in names)]
    for speaker, those in [*sorted(speakers.items()), ("SUM", list(alignments))]:
        total = totals(those)
        rows.append(f"{speaker:<{width}} raw" + "".join(f" {n:>10}" for n in _row(total)))
        if total.words:
            sentences, tokens, *counts, wrong = _row(total)
            percents = [100 * n / total.words for n in counts] + [100.0 * wrong / sentences]
            cells = f" {sentences:>10} {tokens:>10}" + "".join(f" {p:>10.2f}" for p in percents)
            rows.append(f"{speaker:<{width}} sys{cells}")
    return "\n".join(rows) + "\n"


def ops(alignments: Sequence[Alignment]) -> str:
    """How often each word was right, inserted, deleted or taken for another, most frequent first."""
    counts = Counter(pair for alignment in alignments for pair in alignment.pairs)
    width = min(OPS_WIDTH, max((len(word) for pair in counts for word in pair), default=0))
    digits = max((len(str(n)) for n in counts.values()), default=0)
    lines = []
    for (ref, hyp), n in counts.items():
        kind = "correct" if ref == hyp else "insertion" if ref == EPS else "deletion" if hyp == EPS else "substitution"
        line = f"{kind:<14}{ref:>{width}}    {hyp:>{width}}    {n:>{digits}}\n"
        lines.append(((kind, -n, _printable(ref), _printable(hyp), line.encode()), line))
    return "".join(line for _, line in sorted(lines))


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
