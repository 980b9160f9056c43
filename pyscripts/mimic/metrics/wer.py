"""Word and character error rates: alignments, totals, and the lines in which Kaldi's compute-wer prints them.

Where several alignments have the fewest errors, the details follow Kaldi's align-text and the lines compute-wer, which
splits the same errors into other insertions, deletions and substitutions; so Kaldi's own files differ in this, too.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import add
from typing import NamedTuple

import kaldialign
import numpy as np
from _kaldialign import _get_boostrap_wer_interval  # bootstrap_wer_ci without aligning all over again

from mimic.errors import UserError
from mimic.io.compact import in_order

EPS = "***"  # what Kaldi's score scripts put where one side of an alignment is empty
SPACE = "<space>"
WHOLE = re.compile(r"\[.*\]|<.*>|!SIL")  # words that Kaldi's CER keeps in one piece: [noise], <unk>, !SIL
LONGEST = 63  # run of one operation that is held as a byte
RUNS = {64 * k + n: op * n for k, op in enumerate("CSID") for n in range(1, LONGEST + 1)}
_CODES = {run: code for code, run in RUNS.items()}
_RUN = re.compile("|".join(f"{op}{{1,{LONGEST}}}" for op in "CSID"))


def words(text: str) -> list[str]:
    """Split at white space."""
    return text.split()


def characters(text: str) -> list[str]:
    """Split into characters as Kaldi's score_kaldi_cer.sh does: spaces are dropped, tags such as <unk> stay whole."""
    if not WHOLE.search(text):  # the usual case, in a fifth of the time
        return list("".join(text.split()))
    return [c for word in text.split() for c in ([word] if WHOLE.search(word) else word)]


def characters_and_spaces(text: str) -> list[str]:
    """As `characters`, with a token <space> between words: the rate that jiwer and many papers call CER."""
    tokens: list[str] = []
    for word in text.split():
        tokens += [SPACE, *characters(word)]
    return tokens[1:]


@dataclass(frozen=True, slots=True)
class Alignment:
    """One utterance: the texts, and a letter for each pair of their tokens."""

    utt: str
    texts: tuple[str, str]  # reference and hypothesis
    tokenise: Callable[[str], Sequence[str]]
    ops: str  # C, S, I or D for each pair
    present: bool = True  # False: there was no hypothesis, and every token counts as deleted

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(reference, hypothesis) tokens, EPS on the side that is empty."""
        return in_pairs(self.ref, self.hyp, self.ops)

    @property
    def ref(self) -> list[str]:
        return list(self.tokenise(self.texts[0]))

    @property
    def hyp(self) -> list[str]:
        return list(self.tokenise(self.texts[1]))

    @property
    def total(self) -> "Totals":
        c, s, i, d = map(self.ops.count, "CSID")
        return _total(c + s + d, c, s, i, d, 1, int(c < len(self.ops)), int(not self.present))


@dataclass(frozen=True)
class AlignedSet(Collection[Alignment]):
    """The alignments of a set, in the order of `refs`: each is made when it is taken, from texts and operations."""

    refs: Mapping[str, str]
    hyps: Mapping[str, str]  # may lack some
    tokenise: Callable[[str], Sequence[str]]
    runs: bytes | bytearray  # operations: a byte of RUNS for each run of one of them, 0 at the end of an utterance

    def __len__(self) -> int:
        return len(self.refs)

    def __iter__(self) -> Iterator[Alignment]:
        begin = 0
        for utt, ref in self.refs.items():
            end, hyp = self.runs.index(0, begin), self.hyps.get(utt)
            ops = "".join(map(RUNS.__getitem__, self.runs[begin:end]))
            yield Alignment(utt, (ref, hyp or ""), self.tokenise, ops, hyp is not None)
            begin = end + 1

    def __contains__(self, alignment: object) -> bool:
        return any(a == alignment for a in self)


class Totals(NamedTuple):
    """Sums over a set; `words` counts reference tokens, `missing` the sentences without a hypothesis."""

    words: int
    correct: int
    sub: int
    ins: int
    dele: int
    sentences: int
    wrong_sentences: int
    missing: int = 0

    @property
    def errors(self) -> int:
        return self.sub + self.ins + self.dele

    @property
    def rate(self) -> float:
        """Errors per 100 reference tokens; NaN where there is none."""
        return 100 * self.errors / self.words if self.words else float("nan")


_total = lru_cache(2**12)(Totals)  # most utterances have counts that others have, too: one object for all of these


def op_of(ref: str, hyp: str) -> str:
    """C, S, I or D of a pair of tokens, of which one may be EPS."""
    return "D" if hyp == EPS else "I" if ref == EPS else "C" if ref == hyp else "S"


def align(ref: Sequence[str], hyp: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs of Kaldi's align-text, see `operations`."""
    return in_pairs(ref, hyp, operations(ref, hyp))


def in_pairs(ref: Iterable[str], hyp: Iterable[str], ops: str) -> list[tuple[str, str]]:
    """The tokens that `operations` puts beside each other, EPS where one side is empty."""
    if "I" not in ops and "D" not in ops:  # no side is empty anywhere
        return list(zip(ref, hyp, strict=True))
    ref, hyp = iter(ref), iter(hyp)
    return [(EPS if op == "I" else next(ref), EPS if op == "D" else next(hyp)) for op in ops]


def operations(ref: Sequence[str], hyp: Sequence[str]) -> str:
    """C, S, I or D for each pair of Kaldi's align-text: from the end, a pair before a deletion before an insertion.

    The table of costs is held as bits, one for each token of the hypothesis, for they differ by one at most between
    neighbours (Myers, 1999; the recursion is that of Hyyrö, 2003).
    """
    m, n = len(ref), len(hyp)
    while m and n and ref[m - 1] == hyp[n - 1]:
        m, n = m - 1, n - 1
    found = ["C"] * (len(ref) - m)
    places: dict[str, int] = {}
    for i, word in enumerate(hyp[:n]):
        places[word] = places.get(word, 0) | 1 << i
    full = (1 << n) - 1
    up, down = full, 0  # where the cost rises or falls from one token of the hypothesis to the next
    equal, rises = [], []  # for each token of the reference: where a pair costs nothing, where a deletion costs one
    for word in ref[:m]:
        same = places.get(word, 0)
        free = ((same & up) + up ^ up) | same | down
        more = (down | ~(free | up)) & full
        equal.append(free)
        rises.append(more)
        more = more << 1 | 1
        up, down = ((free & up) << 1 | ~(free | more)) & full, free & more & full
    while m or n:
        if m and n and (ref[m - 1] == hyp[n - 1] or not equal[m - 1] >> n - 1 & 1):
            m, n = m - 1, n - 1
            found.append("C" if ref[m] == hyp[n] else "S")
        elif m and (not n or rises[m - 1] >> n - 1 & 1):
            m -= 1
            found.append("D")
        else:
            n -= 1
            found.append("I")
    return "".join(reversed(found))


def align_set(
    refs: Mapping[str, str], hyps: Mapping[str, str], tokenise: Callable[[str], Sequence[str]] = words
) -> AlignedSet:
    """Align {utterance: text} of a set, in C order of the ids.

    A reference without a hypothesis is aligned with nothing. UserError: a hypothesis without a reference, no
    reference tokens at all, or the token *** in a text, which would read as an empty side.
    """
    if unknown := sorted(hyps.keys() - refs.keys()):
        raise UserError(f"{unknown[0]}: hypothesis without a reference ({len(unknown)} such): is it another set's?")
    refs, runs, scored = in_order(refs), bytearray(), False
    for utt, text in refs.items():
        ref, hyp = tokenise(text), tokenise(hyps.get(utt, ""))
        if EPS in ref or EPS in hyp:
            raise UserError(f"{utt}: the text holds {EPS}, which marks an empty place in alignments: remove it")
        runs += bytes(map(_CODES.__getitem__, _RUN.findall(operations(ref, hyp)))) + b"\0"
        scored = scored or bool(ref)
    if not scored:
        raise UserError("no reference holds a word: there is nothing to score")
    return AlignedSet(refs, hyps, tokenise, runs)


def compute_wer(texts: Iterable[tuple[Sequence[str], Sequence[str], bool]]) -> Totals:
    """The totals of (reference, hypothesis, whether there was one), its errors split as Kaldi's compute-wer does."""
    counts = dict.fromkeys(("ref_len", "sub", "ins", "del"), 0)
    sentences = wrong = missing = 0
    for ref, hyp, present in texts:
        errors = kaldialign.edit_distance(list(ref), list(hyp))
        for name in counts:
            counts[name] += errors[name]
        sentences, wrong, missing = sentences + 1, wrong + (errors["total"] > 0), missing + (not present)
    tokens, sub, ins, dele = counts.values()
    return Totals(tokens, tokens - sub - dele, sub, ins, dele, sentences, wrong, missing)


def totals(alignments: Iterable[Alignment]) -> Totals:
    """Add up the pairs of a set."""
    return added(alignment.total for alignment in alignments)


def added(parts: Iterable[Totals]) -> Totals:
    """The totals of all parts."""
    sums = [0] * len(Totals._fields)
    for part in parts:
        sums = list(map(add, sums, part))
    return Totals(*sums)


def percent(part: int, whole: int) -> str:
    """A rate as Kaldi prints it: it computes in single precision, which decides ties such as 12.345."""
    return f"{np.float32(100.0 * part / whole):.2f}" if whole else "nan"


def rate_line(words: int, missing: int, ins: int, dele: int, sub: int) -> str:
    """The line with the rate, also of characters: Kaldi calls both %WER."""
    errors, partial = ins + dele + sub, " [PARTIAL]" if missing else ""
    return f"%WER {percent(errors, words)} [ {errors} / {words}, {ins} ins, {dele} del, {sub} sub ]{partial}"


def wer_lines(total: Totals) -> str:
    """The three lines of Kaldi's wer_<lmwt>_<wip>; [PARTIAL] says that hypotheses were missing, and count."""
    return (
        f"{rate_line(total.words, total.missing, total.ins, total.dele, total.sub)}\n"
        f"%SER {percent(total.wrong_sentences, total.sentences)} [ {total.wrong_sentences} / {total.sentences} ]\n"
        f"Scored {total.sentences} sentences, {total.missing} not present in hyp.\n"
    )


def interval(alignments: Iterable[Alignment], replications: int = 10000) -> dict[str, float]:
    """Bootstrap over utterances (Bisani and Ney, 2004): wer (its mean), ci95min and ci95max, all as shares of 1."""
    return interval_of((alignment.total for alignment in alignments), replications)


def interval_of(parts: Iterable[Totals], replications: int = 10000) -> dict[str, float]:
    """`interval` from the totals of each utterance."""
    shared: dict[tuple[int, int], tuple[int, int]] = {}  # a tuple for each pair of numbers, not for each utterance
    counts = [shared.setdefault(pair, pair) for part in parts for pair in [(part.errors, part.words)]]
    mean, half = _get_boostrap_wer_interval(counts, replications=replications)
    return {"wer": mean, "ci95min": mean - half, "ci95max": mean + half}


def bootci_text(result: Mapping[str, float]) -> str:
    """What `interval` returns, in the words of Kaldi's compute-wer-bootci."""
    mean, low, high = (100 * result[key] for key in ("wer", "ci95min", "ci95max"))
    return f"%WER {mean:.2f} 95% Conf Interval [ {low:.2f}, {high:.2f} ]"


def bootci_line(alignments: Iterable[Alignment], limits: Mapping[str, float] | None = None) -> str:
    """The line of Kaldi's compute-wer-bootci for one system; `limits` is what `interval` returns, if known."""
    return f"Set1: {bootci_text(limits or interval(alignments))}\n"
