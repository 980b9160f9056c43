"""Word and character error rates: alignments, totals, and the lines in which Kaldi's compute-wer prints them.

Where several alignments have the fewest errors, the details follow Kaldi's align-text and the lines compute-wer, which
splits the same errors into other insertions, deletions and substitutions; so Kaldi's own files differ in this, too.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import kaldialign
import numpy as np

from mimic.errors import UserError

EPS = "***"  # what Kaldi's score scripts put where one side of an alignment is empty
SPACE = "<space>"
WHOLE = re.compile(r"\[.*\]|<.*>|!SIL")  # words that Kaldi's CER keeps in one piece: [noise], <unk>, !SIL


def words(text: str) -> list[str]:
    """Split at white space."""
    return text.split()


def characters(text: str) -> list[str]:
    """Split into characters as Kaldi's score_kaldi_cer.sh does: spaces are dropped, tags such as <unk> stay whole."""
    return [c for word in text.split() for c in ([word] if WHOLE.search(word) else word)]


def characters_and_spaces(text: str) -> list[str]:
    """As `characters`, with a token <space> between words: the rate that jiwer and many papers call CER."""
    tokens: list[str] = []
    for word in text.split():
        tokens += [SPACE, *characters(word)]
    return tokens[1:]


@dataclass(frozen=True)
class Alignment:
    """One utterance: (reference, hypothesis) tokens in pairs, EPS on the side that is empty."""

    utt: str
    pairs: list[tuple[str, str]]
    present: bool = True  # False: there was no hypothesis, and every token counts as deleted

    @property
    def ops(self) -> list[str]:
        """C, S, I or D for each pair."""
        return [op_of(ref, hyp) for ref, hyp in self.pairs]

    @property
    def ref(self) -> list[str]:
        return [r for r, _ in self.pairs if r != EPS]

    @property
    def hyp(self) -> list[str]:
        return [h for _, h in self.pairs if h != EPS]


@dataclass(frozen=True)
class Totals:
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


def op_of(ref: str, hyp: str) -> str:
    """C, S, I or D of a pair of tokens, of which one may be EPS."""
    return "D" if hyp == EPS else "I" if ref == EPS else "C" if ref == hyp else "S"


def align(ref: Sequence[str], hyp: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs of Kaldi's align-text: from the end, a pair of words before a deletion before an insertion."""
    same = 0
    while same < min(len(ref), len(hyp)) and ref[-1 - same] == hyp[-1 - same]:
        same += 1
    m, n = len(ref) - same, len(hyp) - same
    pairs = list(zip(ref[m:], hyp[n:], strict=True))[::-1]
    number = {word: i for i, word in enumerate({*ref, *hyp})}
    columns, steps = np.array([number[word] for word in hyp[:n]]), np.arange(n + 1)
    costs = [steps]
    for word in ref[:m]:  # costs of the first words of both, a row for each of the reference
        row = np.minimum(costs[-1][:-1] + (columns != number[word]), costs[-1][1:] + 1)
        row = np.concatenate([costs[-1][:1] + 1, row])
        costs.append(np.minimum.accumulate(row - steps) + steps)
    table = [row.tolist() for row in costs]
    while m or n:
        both = table[m - 1][n - 1] + (ref[m - 1] != hyp[n - 1]) if m and n else np.inf
        deleted, inserted = table[m - 1][n] + 1 if m else np.inf, table[m][n - 1] + 1 if n else np.inf
        if both <= min(deleted, inserted):
            m, n = m - 1, n - 1
            pairs.append((ref[m], hyp[n]))
        elif deleted <= inserted:
            m -= 1
            pairs.append((ref[m], EPS))
        else:
            n -= 1
            pairs.append((EPS, hyp[n]))
    return pairs[::-1]


def align_set(
    refs: Mapping[str, str], hyps: Mapping[str, str], tokenise: Callable[[str], Sequence[str]] = words
) -> list[Alignment]:
    """Align {utterance: text} of a set, in C order of the ids.

    A reference without a hypothesis is aligned with nothing. UserError: a hypothesis without a reference, no
    reference tokens at all, or the token *** in a text, which would read as an empty side.
    """
    unknown = sorted(set(hyps) - set(refs))
    if unknown:
        raise UserError(f"{unknown[0]}: hypothesis without a reference ({len(unknown)} such): is it another set's?")
    alignments = []
    for utt, text in sorted(refs.items()):
        ref, hyp = list(tokenise(text)), list(tokenise(hyps.get(utt, "")))
        if EPS in ref or EPS in hyp:
            raise UserError(f"{utt}: the text holds {EPS}, which marks an empty place in alignments: remove it")
        alignments.append(Alignment(utt, align(ref, hyp), utt in hyps))
    if not any(a.ref for a in alignments):
        raise UserError("no reference holds a word: there is nothing to score")
    return alignments


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
    counts = dict.fromkeys("CSID", 0)
    sentences = wrong = missing = 0
    for alignment in alignments:
        ops = alignment.ops
        for op in ops:
            counts[op] += 1
        sentences += 1
        wrong += any(op != "C" for op in ops)
        missing += not alignment.present
    c, s, i, d = counts.values()
    return Totals(c + s + d, c, s, i, d, sentences, wrong, missing)


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


def interval(alignments: Sequence[Alignment], replications: int = 10000) -> dict[str, float]:
    """Bootstrap over utterances (Bisani and Ney, 2004): wer (its mean), ci95min and ci95max, all as shares of 1."""
    return kaldialign.bootstrap_wer_ci(
        [a.ref for a in alignments], [a.hyp for a in alignments], replications=replications
    )


def bootci_text(result: Mapping[str, float]) -> str:
    """What `interval` returns, in the words of Kaldi's compute-wer-bootci."""
    mean, low, high = (100 * result[key] for key in ("wer", "ci95min", "ci95max"))
    return f"%WER {mean:.2f} 95% Conf Interval [ {low:.2f}, {high:.2f} ]"


def bootci_line(alignments: Sequence[Alignment], limits: Mapping[str, float] | None = None) -> str:
    """The line of Kaldi's compute-wer-bootci for one system; `limits` is what `interval` returns, if known."""
    return f"Set1: {bootci_text(limits or interval(alignments))}\n"
