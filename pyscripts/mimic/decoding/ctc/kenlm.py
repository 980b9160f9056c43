"""N-gram models for the searches over CTC outputs: KenLM, loaded through flashlight-text, with its symbols checked."""

import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mimic.decoding.ngram import arpa
from mimic.errors import UserError
from mimic.io.lines import fields, read_lines
from mimic.io.text import composed

try:
    from flashlight.lib.text.decoder.kenlm import KenLM
    from flashlight.lib.text.dictionary import Dictionary
except ImportError:
    KenLM = None

BINARY = b"mmap lm http://kheafield.com/code"
LOCATION = re.compile(r"^\S+:\d+ in .*? threw \w+( because `.*?')?\. ")  # in the sources of KenLM
SPECIAL = ("<s>", "</s>", "<unk>", "<UNK>")


class KenLm:
    """An n-gram model file: ARPA, gzipped ARPA or KenLM's binary format."""

    def __init__(self, path: str):
        """Raises UserError for a file that is none of these."""
        self.path = path
        try:
            with open(path, "rb") as f:
                self.binary = f.read(len(BINARY)) == BINARY
        except OSError as error:
            raise UserError(f"--decode.ngram {path}: {error.strerror}") from None

    def __iter__(self) -> Iterator[str]:
        """The words of the model, but for sentence ends and <unk>."""
        if self.binary:
            raise UserError(
                f"--decode.ngram {self.path}: KenLM's binary format does not list its words: give --decode.lexicon"
            )
        for _, words, _, _ in arpa.ngrams(Path(self.path)):
            if len(words) > 1:
                break
            if words[0] not in SPECIAL:
                yield words[0]

    def with_words(self, words: Sequence[str]) -> "KenLM":
        """The model, asked for these words by their numbers."""
        try:
            with tempfile.NamedTemporaryFile("w", suffix=".arpa", encoding="utf-8") as copy:
                if self.binary or (arpa.read_alike(Path(self.path)) and self._unigram_end() is None):
                    return KenLM(self.path, Dictionary(list(words)))
                copy.writelines(self._lines())
                copy.flush()
                return KenLM(copy.name, Dictionary(list(words)))
        except RuntimeError as error:
            what = LOCATION.sub("", " ".join(str(error).split()))
            raise UserError(f"--decode.ngram {self.path}: not a complete n-gram model: {what[:200]}") from None

    def _unigram_end(self) -> float | None:
        """Of a model of order 1, which KenLM refuses: log10 probability of </s>; else None."""
        end = 0.0
        for _, words, prob, _ in arpa.ngrams(Path(self.path)):
            if len(words) > 1:
                return None
            end = prob if words[0] == "</s>" else end
        return end

    def _lines(self) -> Iterator[str]:
        """The file as KenLM reads it. A model of order 1 gets a bigram that changes nothing."""
        end = self._unigram_end()
        for _, line in read_lines(self.path):
            if end is None:
                yield f"{composed(line)}\n"
            elif line.startswith("\\end\\"):
                yield f"\\2-grams:\n{end!r}\t<s> </s>\n\n\\end\\\n"
            else:
                yield "\t".join(fields(composed(line))[:2]).replace("ngram\t", "ngram ") + "\n"
                if line.startswith("ngram 1"):
                    yield "ngram 2=1\n"

    def check(self, names: Sequence[str], what: str, allowed: Iterable[str] | None = None) -> None:
        """Refuse a model that does not know most of these names, or that has others than are allowed."""
        known = None if self.binary else set(self)
        if known is not None and allowed is not None:
            for word in known:
                if word not in allowed:
                    raise UserError(
                        f"--decode.ngram {self.path}: has {word!r}, which is not a token of the recogniser: a model of "
                        f"words is for --decode.search lexicon; for one of tokens: steps/train_lm.sh --tokens"
                    )
        missing = self._unknown(names) if known is None else [name for name in names if name not in known]
        if len(missing) > len(names) // 2:
            raise UserError(
                f"--decode.ngram {self.path}: does not know {len(missing)} of {len(names)} {what} (such as "
                f"{missing[0]!r}): write both in the same way, upper case or lower"
            )

    def _unknown(self, names: Sequence[str]) -> list[str]:
        """Names to which the model gives exactly what it gives to an unknown word."""
        model = self.with_words(["<unk>", *names])
        empty = model.start(True)
        unknown = model.score(empty, 0)[1]
        return [name for i, name in enumerate(names, 1) if model.score(empty, i)[1] == unknown]
