"""Text for n-gram models: sentences of a file or a data directory as words, characters, subwords or phones."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from mimic.decoding.ngram.counts import SPECIAL
from mimic.errors import UserError
from mimic.io.lines import fields, read_lines
from mimic.io.tables import rows
from mimic.io.text import composed
from mimic.io.tokens import EOS, UNK, Tokens

UNITS = {"word": "", "char": "char", "subword": "unigram or bpe", "phone": "phn"}  # and the tokens that spell them
NO_WORD = re.compile(r"<.*>|\[.*\]|#\d+|!SIL")


def listed_words(path: Path) -> list[str]:
    """Words of a lexicon or a words.txt of a lang directory, each once: the first of each line.

    Left out are symbols that are no words of a text: <eps>, <UNK>, [NOISE], #0, !SIL and the like. UserError where no
    word is left.
    """
    found = dict.fromkeys(
        composed(parts[0]) for _, line in read_lines(path, "list of words") if (parts := fields(line))
    )
    words = [word for word in found if not NO_WORD.fullmatch(word)]
    if not words:
        raise UserError(f"{path}: no words: expected a lexicon or the words.txt of a lang directory")
    return words


class LmText:
    """Sentences as lists of units; may be read again and again.

    Args:
        path: text, one sentence per line, plain or gzipped; or a data directory (its text, or text.phn for phones).
        unit: one of UNITS.
        tokens: of a recogniser: char, subword and phone are its tokens; words have to be spelt with them.
        normalise: what is done to each line first.

    Attributes:
        unknown: tokens that were <unk> so far, of `read`.

    Raises UserError for text that is not there, is not UTF-8, or is written in another way than the tokens.
    """

    def __init__(self, path: Path, unit: str, tokens: Tokens | None, normalise: Callable[[str], str]):
        if unit not in UNITS:
            raise UserError(f"--unit {unit}: expected one of {', '.join(UNITS)}")
        if unit != "word":
            if tokens is None:
                raise UserError(
                    f"--unit {unit}: give --tokens, the directory of the recogniser that the model will help"
                )
            if tokens.token_type not in UNITS[unit].split(" or "):
                found = f"the recogniser's tokens are of type {tokens.token_type}"
                raise UserError(f"--unit {unit}: {found}, not {UNITS[unit]}")
        self.directory, self.unit, self.tokens, self.normalise = path.is_dir(), unit, tokens, normalise
        self.path = path / ("text.phn" if unit == "phone" else "text") if self.directory else path
        self.read = self.unknown = 0

    def __iter__(self) -> Iterator[list[str]]:
        self.read = self.unknown = 0
        if self.directory:
            lines = (text for _, _, text in rows(self.path))
        else:
            lines = (line for _, line in read_lines(self.path, "text file or data directory"))
        for line in lines:
            units = self._units(self.normalise(composed(line).strip()))
            if units:
                yield units

    def _units(self, line: str) -> list[str]:
        if self.unit == "word":
            units = line.split()
            if any(word in SPECIAL for word in units):
                raise UserError(f"{self.path}: {line[:60]!r}: {', '.join(SPECIAL)} have a meaning of their own")
            return units
        assert self.tokens is not None  # units other than words have them
        ids = self.tokens.encode(line)
        self.read += len(ids)
        self.unknown += ids.count(UNK)
        return [self.tokens.symbols[i] for i in ids if i not in range(EOS + 1)]

    def check(self, words: list[str], most: float) -> None:
        """Refuse a text whose tokens are <unk> too often, or whose words are not written as the recogniser spells.

        words: those of the model.
        """
        how = "write the text as the recogniser's transcripts are (case, punctuation), or give --normaliser"
        if self.unknown > most * self.read:
            raise UserError(f"{self.path}: {self.unknown} of {self.read} tokens are <unk>, more than {most:g}: {how}")
        if self.unit == "word" and self.tokens is not None and self.tokens.token_type != "phn":
            foreign = [word for word in words if UNK in self.tokens.encode(word)]
            if len(foreign) > most * len(words):
                raise UserError(
                    f"{self.path}: {len(foreign)} of {len(words)} words cannot be spelt with the recogniser's tokens "
                    f"(such as {foreign[0]!r}), more than {most:g}: {how}"
                )
