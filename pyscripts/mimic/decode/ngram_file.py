"""N-gram models for the searches over CTC outputs: KenLM, loaded through flashlight-text, with its symbols checked."""

import gzip
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence

from mimic.data.gz import BROKEN, gzipped, open_text
from mimic.errors import UserError

try:
    from flashlight.lib.text.decoder.kenlm import KenLM
    from flashlight.lib.text.dictionary import Dictionary
except ImportError:
    KenLM = None

BINARY = b"mmap lm http://kheafield.com/code"
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
        inside = False
        try:
            with open_text(self.path) as lines:
                for line in lines:
                    if line.startswith("\\"):
                        if inside:
                            break
                        inside = line.startswith("\\1-grams:")
                    elif inside and line.strip():
                        word = line.split()[1]
                        if word not in SPECIAL:
                            yield word
        except (UnicodeDecodeError, IndexError, *BROKEN):
            inside = False
        if not inside:
            raise UserError(f"--decode.ngram {self.path}: not an ARPA file with its \\1-grams:")

    def over(self, words: Sequence[str]) -> "KenLM":
        """The model, asked for these words by their numbers."""
        descriptor, unpacked = -1, self.path
        try:
            if gzipped(self.path):
                descriptor, unpacked = tempfile.mkstemp(suffix=".arpa")
                with gzip.open(self.path) as source, open(descriptor, "wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
            return KenLM(unpacked, Dictionary(list(words)))
        except (RuntimeError, *BROKEN) as error:
            what = " ".join(str(error).split())
            raise UserError(f"--decode.ngram {self.path}: not a complete n-gram model: {what[:200]}") from None
        finally:
            if descriptor >= 0:
                os.unlink(unpacked)

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
        model = self.over(["<unk>", *names])
        empty = model.start(True)
        unknown = model.score(empty, 0)[1]
        return [name for i, name in enumerate(names, 1) if model.score(empty, i)[1] == unknown]
