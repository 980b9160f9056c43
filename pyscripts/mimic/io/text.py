"""Text normalisers by name: what happens to a transcript before words are looked up, trained on and scored."""

import re
import string
import unicodedata
from collections.abc import Callable

from mimic.errors import UserError
from mimic.io.english import english

_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u02bc": "'", "`": "'", "\u201c": '"', "\u201d": '"'})
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def composed(text: str) -> str:
    """Letters and their marks as one character where there is one (NFC): macOS writes them as two, which look alike."""
    return unicodedata.normalize("NFC", text)


def none(text: str) -> str:
    """Only composed letters, and one space for every run of spaces (also of the invisible kinds)."""
    return " ".join(composed(text).split())


def upper(text: str) -> str:
    """Upper case, composed letters, single spaces."""
    return none(composed(text).upper())


def plain(text: str) -> str:
    """Upper-case words of letters, digits and inner apostrophes; hyphens and slashes part words, other marks go.

    Curly quotes become straight ones, compatibility characters (ligatures, full-width letters) their plain form.
    """
    text = unicodedata.normalize("NFKC", text).translate(_QUOTES).upper()
    text = re.sub(r"[-/\u2010-\u2015\u2212_]", " ", text)
    words = (re.sub(r"[^\w']", "", word).strip("'") for word in text.split())
    return " ".join(word for word in words if word)


def voicebank(text: str) -> str:
    """As the VoiceBank-DEMAND systems do (SPECS 0.2): ASCII punctuation goes without replacement, then upper case.

    Words with a hyphen are glued (`two-day` -> `TWODAY`), apostrophes vanish (`don't` -> `DONT`).
    """
    return upper(text.translate(_PUNCTUATION))


NORMALISERS: dict[str, Callable[[str], str]] = {
    "none": none,
    "upper": upper,
    "plain": plain,
    "voicebank": voicebank,
    "english": english,
}
FORMER = {"upper-nopunct": "voicebank"}  # names that work for one more release


def normaliser(name: str) -> Callable[[str], str]:
    """Look up a normaliser; UserError lists the names there are."""
    name = FORMER.get(name, name)
    if name not in NORMALISERS:
        raise UserError(f"--normaliser {name}: not known, there are {', '.join(NORMALISERS)}")
    return NORMALISERS[name]
