"""Pronunciations: reading lexicons, sets of phones (ARPABET, stress, word positions), words to phones."""

import re
import string
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from mimic.errors import UserError
from mimic.io.lines import fields, read_lines
from mimic.io.text import composed

Lexicon = dict[str, list[str]]
# Columns of numbers between word and phones, as Kaldi's files of these names have them.
COLUMNS = {"plain": 0, "prob": 1, "silprob": 4}
TYPES = ("auto", *COLUMNS)
FILES = {"plain": "lexicon.txt", "prob": "lexiconp.txt", "silprob": "lexiconp_silprob.txt"}
_ALTERNATIVE = re.compile(r"^(.+)\(\d+\)$")
_DECIMAL = re.compile(r"^(?:\d+\.\d*|\.\d+|\d+(?:\.\d*)?[eE][-+]?\d+)$", re.ASCII)
_NUMBER = re.compile(rf"{_DECIMAL.pattern}|^\d+$", re.ASCII)
_PUNCTUATION = str.maketrans("", "", string.punctuation)
# CMUdict's 39 phones and those that TIMIT and its relatives add.
VOWELS = frozenset("AA AE AH AO AW AX AXR AY EH ER EY IH IX IY OW OY UH UW UX".split())
CONSONANTS = frozenset("B CH D DH DX EL EM EN F G HH HV JH K L M N NG NX P Q R S SH T TH V W WH Y Z ZH".split())
SILENCES = frozenset("SIL SP SPN NSN".split())  # Kaldi's, which stand in lexicons of any phones
_STRESSED = re.compile("^([A-Z]+)([0-2])$", re.ASCII)
_POSITION = re.compile("_[BIES]$")


class Pronunciation(NamedTuple):
    """A line of a lexicon: its number, the word (less `(2)` of an alternative), phones, and probability (0, 1]."""

    line: int
    word: str
    phones: tuple[str, ...]
    probability: float = 1.0


class Pronunciations(NamedTuple):
    """The lines of a lexicon in their order, and what was taken for what, for the user."""

    entries: list[Pronunciation]
    taken_as: str


def read_pronunciations(path: str | Path, kind: str = "auto") -> Pronunciations:
    """Read a lexicon: `WORD PH PH` lines, Kaldi's lexiconp.txt or lexiconp_silprob.txt, or CMUdict.

    kind: "plain", "prob", "silprob", or "auto": found by the columns of all lines. Stress digits, word positions and
    comments after `#` are taken off where all phones say that they are such (phone_names).
    Raises UserError, with the line, for lines that do not agree on the kind, and for probabilities beyond (0, 1].
    """
    if kind not in TYPES:
        raise UserError(f"--lexicon-type {kind}: expected auto, plain, prob or silprob")
    rows = []
    for number, line in read_lines(path, "lexicon"):
        word, *columns = fields(line) or [""]
        if word and not line.startswith(";;;"):
            rows.append((number, word, columns))
    if not any(columns for _, _, columns in rows):
        raise UserError(f"{path}: no words with phones in it: expected lines `WORD PH PH`")
    found = _kind(path, rows) if kind == "auto" else kind
    entries = []
    for number, word, columns in rows:
        match = _ALTERNATIVE.match(word)
        word = composed(match[1] if match else word)
        probability = _probability(f"{path}:{number}: {word}", columns, found) if columns else 1.0
        entries.append(Pronunciation(number, word, tuple(columns[COLUMNS[found] :]), probability))
    less = [entry._replace(phones=entry.phones[: [*entry.phones, "#"].index("#")]) for entry in entries]
    comments = less != entries and not first_foreign(p for e in less if not _is_mark(e) for p in e.phones)
    entries = less if comments else entries
    names, how = phone_names(entry.phones for entry in entries if not _is_mark(entry))
    how += "; what follows # is a comment" if comments else ""
    entries = [entry._replace(phones=tuple(names.get(phone, phone) for phone in entry.phones)) for entry in entries]
    words = len({entry.word for entry in entries})
    extra = "; its probabilities of silence are not used" if found == "silprob" else ""
    return Pronunciations(
        entries, f"{path}: read as {FILES[found]}{extra}: {words} words, {len(entries)} pronunciations; {how}"
    )


def _is_mark(entry: Pronunciation) -> bool:
    """Whether this is not a word but a mark with a phone of its own, such as `<UNK> SPN` or `!SIL SIL`."""
    return len(entry.phones) == 1 and not entry.word[0].isalnum()


def _kind(path: str | Path, rows: list[tuple[int, str, list[str]]]) -> str:
    """The kind of lexicon that its columns say. One line of another kind is an error, not a phone called 0.98."""
    rows = [row for row in rows if row[2]]
    decimal = [_leading(columns, _DECIMAL) for _, _, columns in rows]
    numbers = [_leading(columns, _NUMBER) for _, _, columns in rows]
    # Phones may be whole numbers: it takes a decimal point somewhere, or a 1 on every line, to tell a probability.
    after = [column for _, _, columns in rows for column in columns[1:]]
    ones = all(columns[0] == "1" and len(columns) > 1 for _, _, columns in rows) and not any(map(_NUMBER.match, after))
    if all(n >= 4 for n in numbers) and any(_DECIMAL.match(c) for _, _, columns in rows for c in columns[1:4]):
        found = "silprob"
    elif (all(numbers) and any(decimal)) or ones:
        found = "prob"
    else:
        found = "plain"
    for number, word, columns in rows:
        for at in range(COLUMNS[found], len(columns)):
            if _DECIMAL.match(columns[at]):
                others = (n for n, _, cs in rows if not _NUMBER.match(cs[min(at, len(cs) - 1)]))
                raise UserError(
                    f"{path}:{number}: {word}: {columns[at]} stands where line {next(others, 'another')} has a phone: "
                    f"write the same columns on all lines, as {', '.join(FILES.values())} do, or say which of them it "
                    f"is (--lexicon-type plain, prob or silprob)"
                )
    return found


def _leading(columns: list[str], pattern: re.Pattern) -> int:
    """How many columns in front are numbers of this form."""
    return next((i for i, column in enumerate(columns) if not pattern.match(column)), len(columns))


def _probability(where: str, columns: list[str], kind: str) -> float:
    if kind == "plain":
        return 1.0
    numbers = columns[: COLUMNS[kind]]
    if len(numbers) < COLUMNS[kind] or not all(map(_NUMBER.match, numbers)) or not 0 < float(numbers[0]) <= 1:
        form = "a probability above 0 and up to 1" + (", then three numbers" if kind == "silprob" else "")
        raise UserError(f"{where}: expected {form} in front of the phones, got `{' '.join(numbers)}`: correct the line")
    return float(numbers[0])


def read_lexicon(path: str | Path, kind: str = "auto") -> Lexicon:
    """Read a lexicon into {WORD in upper case: phones}, as `first_pronunciations` does."""
    return first_pronunciations(path, read_pronunciations(path, kind))


def first_pronunciations(path: str | Path, found: Pronunciations) -> Lexicon:
    """{WORD in upper case: phones}; the first pronunciation of a word counts.

    A word with punctuation is also found without it (`DONT` for `DON'T`) where no other word has that spelling.
    """
    lexicon: Lexicon = {}
    for entry in found.entries:
        if not entry.phones:
            raise UserError(f"{path}:{entry.line}: {entry.word} has no phones: add them or remove the line")
        lexicon.setdefault(composed(entry.word.upper()), list(entry.phones))
    for word in list(lexicon):
        bare = word.translate(_PUNCTUATION)
        if bare:
            lexicon.setdefault(bare, lexicon[word])
    return lexicon


def to_phones(words: Iterable[str], lexicon: Mapping[str, list[str]]) -> list[str]:
    """Concatenate pronunciations; of equal neighbours one stays, also across words. KeyError for an unknown word."""
    return without_repeats(phone for word in words for phone in lexicon[word])


def without_repeats(phones: Iterable[str]) -> list[str]:
    out: list[str] = []
    for phone in phones:
        if not out or phone != out[-1]:
            out.append(phone)
    return out


def unknown_words(texts: Mapping[str, str], lexicon: Mapping[str, list[str]]) -> dict[str, tuple[int, str]]:
    """Give {word not in `lexicon`: (count, first utterance)} of {utterance: text}, sorted by word."""
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    for utt, text in texts.items():
        for word in text.split():
            if word not in lexicon:
                counts[word] += 1
                first.setdefault(word, utt)
    return {word: (counts[word], first[word]) for word in sorted(counts)}


def phone_names(spoken: Iterable[Iterable[str]]) -> tuple[dict[str, str], str]:
    """What each phone of these pronunciations is called from now on, and a line about it for the user.

    Word positions (`AH0_B`) go where every phone has one. Stress digits go where all phones are ARPABET's and only its
    vowels have them: elsewhere a digit may be a tone, or all that parts two phones.
    """
    names = {phone: phone for phones in spoken for phone in phones}
    how = []
    voiced = names.keys() - SILENCES
    if voiced and all(_POSITION.search(phone) for phone in voiced):
        how.append("word positions (_B _I _E _S) are taken off")
        phones = names.keys() | {f"{silence}_{position}" for silence in SILENCES for position in "BIES"}
        names = {phone: _POSITION.sub("", phone) for phone in phones}
    foreign = first_foreign(names.values())
    if foreign:
        how.append(f"phones are kept as they are, for {foreign} is not of ARPABET")
    else:
        stressed = any(_STRESSED.match(name) for name in names.values())
        how.append(f"phones are ARPABET{', its stress digits are taken off' if stressed else ''}")
        names = {phone: _bare(name) or name for phone, name in names.items()}
    return names, "; ".join(how)


def first_foreign(phones: Iterable[str]) -> str:
    """A phone that is neither ARPABET, with or without stress, nor silence; "" where there is none."""
    return min((phone for phone in phones if phone not in SILENCES and not _bare(phone)), default="")


def _bare(phone: str) -> str:
    """A phone of ARPABET without its stress; "" for any other."""
    match = _STRESSED.match(phone)
    if match:
        return match[1] if match[1] in VOWELS else ""
    return phone if phone in VOWELS | CONSONANTS else ""
