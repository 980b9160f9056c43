"""Words as a recogniser's tokens, for the search over a lexicon."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from mimic.errors import UserError
from mimic.io.lines import fields, read_lines
from mimic.io.text import composed
from mimic.io.tokens import UNK, Tokens

SPACE = "▁"


class Spelling(NamedTuple):
    """Words and their token ids. A word may be spelt in several ways.

    space: the token that every word ends with (characters have a space of their own), or None. Without one, a word's
    last token may last for several frames only because it is spelt once more in a second spelling.
    """

    words: list[str]
    spellings: list[list[list[int]]]
    space: int | None

    @classmethod
    def of(cls, words: Iterable[str], tokens: Tokens) -> "Spelling":
        """Spell words with the tokens of a recogniser of characters or sentencepiece.

        Raises UserError where most of them cannot be spelt: they are written in another way than the transcripts.
        """
        if tokens.token_type == "phn":
            raise UserError("--decode.search lexicon: phones need --decode.lexicon, lines of `word phone phone...`")
        space = tokens.symbols.index(SPACE) if tokens.token_type == "char" and SPACE in tokens.symbols else None
        spelt, foreign = {}, []
        for word in words:
            ids = tokens.encode(word)
            if UNK in ids or not ids:
                foreign.append(word)
            else:
                spelt[word] = [_ended(ids, space)]
        _refuse(foreign, len(spelt), "the n-gram model")
        return cls.made(spelt, space)

    @classmethod
    def read(cls, path: Path, tokens: Tokens) -> "Spelling":
        """A file of `word token token...` lines. Raises UserError, with the line, for what is not a token."""
        ids = {symbol: i for i, symbol in enumerate(tokens.symbols)}
        space = ids.get(SPACE) if tokens.token_type == "char" else None
        spelt: dict[str, list[list[int]]] = {}
        for number, line in read_lines(path, "lexicon (--decode.lexicon)"):
            word, *symbols = fields(composed(line)) or [""]
            if not symbols:
                raise UserError(f"{path}:{number}: expected `word token token...`, got {line!r}")
            if strange := [symbol for symbol in symbols if ids.get(symbol, UNK) <= UNK]:
                raise UserError(
                    f"{path}:{number}: {strange[0]!r} is not a token of the recogniser: spell words as its tokens.txt"
                )
            spelt.setdefault(word, []).append(_ended([ids[symbol] for symbol in symbols], space))
        if not spelt:
            raise UserError(f"--decode.lexicon {path}: no words")
        return cls.made(spelt, space)

    @classmethod
    def made(cls, spelt: dict[str, list[list[int]]], space: int | None) -> "Spelling":
        """Without a space, add the spellings in which the last token is held."""
        every = [[*ways, *([*way, way[-1]] for way in ways if space is None)] for ways in spelt.values()]
        return cls(list(spelt), every, space)


def _ended(ids: Sequence[int], space: int | None) -> list[int]:
    """With a space after a word in place of the one before it."""
    return list(ids) if space is None else [*(i for i in ids if i != space), space]


def _refuse(foreign: Sequence[str], spelt: int, where: str) -> None:
    if len(foreign) > spelt:
        raise UserError(
            f"{len(foreign)} of {len(foreign) + spelt} words of {where} cannot be spelt with the recogniser's tokens "
            f"(such as {foreign[0]!r}): write its words as the transcripts are, upper case or lower"
        )
