"""Pronunciations: reading lexicons, words to phones, and what to do about words that are in none."""

import re
import string
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from mimic.errors import UserError

Lexicon = dict[str, list[str]]
_STRESS_AND_POSITION = re.compile(r"^([A-Z]+)[0-2]?(?:_[BIES])?$")
_ALTERNATIVE = re.compile(r"^(.+)\(\d+\)$")
_NUMBER = re.compile(r"^\d*\.?\d+(?:[eE]-?\d+)?$")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def read_lexicon(path: str | Path) -> Lexicon:
    """Read `WORD PH PH` lines into {WORD in upper case: phones}; the first pronunciation of a word counts.

    Understands what is around: CMUdict (comments with `;;;`, alternatives `WORD(2)`), a probability in the second
    column (lexiconp.txt), stress digits and Kaldi's word positions (`AH0_B` -> `AH`). A word with punctuation is also
    found without it (`DONT` for `DON'T`) where no other word has that spelling.
    """
    lexicon: Lexicon = {}
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise UserError(f"{path}: no such lexicon") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}: convert it: iconv -f latin1 -t utf-8") from None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith(";;;"):
            continue
        word, *phones = line.split()
        if phones and _NUMBER.match(phones[0]):
            phones.pop(0)
        if not phones:
            raise UserError(f"{path}:{number}: {word} has no phones: add them or remove the line")
        match = _ALTERNATIVE.match(word)
        lexicon.setdefault((match[1] if match else word).upper(), [bare_phone(p) for p in phones])
    for word in list(lexicon):
        bare = word.translate(_PUNCTUATION)
        if bare:
            lexicon.setdefault(bare, lexicon[word])
    if not lexicon:
        raise UserError(f"{path}: no words in it: expected lines `WORD PH PH`")
    return lexicon


def bare_phone(phone: str) -> str:
    """Strip stress and word position: `AH0_B` -> `AH`; anything that is no ARPABET phone stays as it is."""
    match = _STRESS_AND_POSITION.match(phone)
    return match[1] if match else phone


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
