"""Token tables: what a recogniser predicts, and how text becomes tokens and back."""

import io
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mimic.errors import UserError
from mimic.io import atomic
from mimic.io.lines import read_lines

# Three separate symbols: a blank shared with the sentence ends makes joint CTC and attention decoding impossible.
BLANK, BOS, EOS, UNK = range(4)
SENTENCEPIECE = ("unigram", "bpe")
MODEL = "tokens.model"
TABLE = "tokens.txt"
SPECIAL = ["<blank>", "<bos>", "<eos>", "<unk>"]


class Tokens:
    """Tokens of one type: `phn` (space separated), `char`, or sentencepiece's `unigram` or `bpe`.

    A directory holds tokens.txt (`token id` lines, Kaldi's symbol table) and, for sentencepiece, tokens.model.
    """

    def __init__(self, token_type: str, symbols: list[str], model: bytes | None = None):
        self.token_type, self.symbols, self._model = token_type, symbols, model
        self._ids = {symbol: i for i, symbol in enumerate(symbols)}
        self._pieces = _processor(model) if model else None

    def __len__(self) -> int:
        return len(self.symbols)

    @classmethod
    def build(cls, token_type: str, texts: Iterable[str], size: int = 0) -> "Tokens":
        """Collect the tokens of training texts; `size` is the target number of sentencepiece tokens."""
        texts = list(texts)
        if token_type in SENTENCEPIECE:
            model = _train_sentencepiece(texts, token_type, size)
            pieces = _processor(model)
            # Ids 0 to 2 of a sentencepiece model are <unk>, <s>, </s>: SPECIAL come first and replace them.
            return cls(token_type, SPECIAL + [pieces.id_to_piece(i) for i in range(3, len(pieces))], model)
        found = {token for text in texts for token in (text.split() if token_type == "phn" else _characters(text))}
        return cls(token_type, SPECIAL + sorted(found))

    def encode(self, text: str) -> list[int]:
        """Text -> token ids; what the table does not know becomes <unk>."""
        if self._pieces:
            tokens = self._pieces.encode(text, out_type=str)
        else:
            tokens = text.split() if self.token_type == "phn" else _characters(text)
        return [self._ids.get(token, UNK) for token in tokens]

    def decode(self, ids: Iterable[int]) -> str:
        """Token ids -> text with single spaces; blank and sentence ends leave nothing, <unk> stays visible."""
        tokens = [self.symbols[i] for i in ids if i not in (BLANK, BOS, EOS)]
        if self.token_type == "phn":
            return " ".join(tokens)
        return " ".join("".join(tokens).replace("▁", " ").replace("<unk>", " <unk> ").split())

    def words(self, ids: Iterable[int]) -> list[tuple[str, list[int]]]:
        """The words of `decode`, each with the places of its tokens in `ids`."""
        found: list[tuple[str, list[int]]] = []
        fresh = True  # the next token begins a word
        for place, i in enumerate(ids):
            if i in (BLANK, BOS, EOS):
                continue
            symbol = self.symbols[i]
            if self.token_type == "phn" or i == UNK or symbol.startswith("▁") or fresh:
                found.append(("", []))
            found[-1][1].append(place)
            found[-1] = (found[-1][0] + symbol.replace("▁", ""), found[-1][1])
            fresh = self.token_type == "phn" or i == UNK
        return [(word, places) for word, places in found if word]

    def save(self, directory: Path) -> None:
        if self._model:
            with atomic.replace(directory / MODEL, "wb") as f:
                f.write(self._model)
        with atomic.replace(directory / TABLE) as f:
            f.writelines(f"{symbol} {i}\n" for i, symbol in enumerate(self.symbols))

    @classmethod
    def load(cls, directory: Path, token_type: str) -> "Tokens":
        """Read what `save` wrote. Raises UserError when it is not there."""
        symbols: list[str] = []
        for number, line in read_lines(directory / TABLE, "file, which every trained recogniser has"):
            symbol, _, place = line.rpartition(" ")
            if not symbol or place != str(len(symbols)):
                raise UserError(f"{directory}/tokens.txt:{number}: expected `token {len(symbols)}`, got {line!r}")
            symbols.append(symbol)
        if symbols[: len(SPECIAL)] != SPECIAL:
            raise UserError(f"{directory}/tokens.txt: does not begin with {' '.join(SPECIAL)}: copy the model again")
        try:
            model = (directory / MODEL).read_bytes() if token_type in SENTENCEPIECE else None
            if model == b"":
                raise RuntimeError
            tokens = cls(token_type, symbols, model)
        except FileNotFoundError as error:
            raise UserError(f"{error.filename}: no such file: {directory} is not a trained recogniser") from None
        except RuntimeError:
            raise UserError(f"{directory / MODEL}: not a model of sentencepiece: copy the model again") from None
        if tokens._pieces and len(tokens._pieces) + 1 != len(tokens):  # SPECIAL has one symbol more
            sizes = f"{len(tokens._pieces) + 1} tokens, tokens.txt has {len(tokens)}"
            raise UserError(f"{directory / MODEL}: has {sizes}: take both from the same model")
        return tokens


def _characters(text: str) -> list[str]:
    return list("▁" + "▁".join(text.split()))


def _processor(model: bytes) -> Any:
    """Of a model of sentencepiece. Raises RuntimeError where it is none."""
    import sentencepiece  # here, as below: tables of phones and characters do not need it

    return sentencepiece.SentencePieceProcessor(model_proto=model)


def _train_sentencepiece(texts: list[str], token_type: str, size: int) -> bytes:
    import sentencepiece

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            vocab_size=size,
            model_type=token_type,
            character_coverage=1.0,
            hard_vocab_limit=False,
            num_threads=1,
            minloglevel=2,
            # Longer sentences are left out, which sentencepiece logs at a level that hides them: 4192 bytes by default.
            max_sentence_length=max([4192, *(len(text.encode()) for text in texts)]),
        )
    except RuntimeError as error:
        reason = str(error).splitlines()[0].rpartition("] ")[2]
        if least := re.search(r"\d+ vs (\d+)", reason):
            reason = f"these transcripts need at least {least[1]}, one for each of their characters"
        reason = reason or "sentencepiece makes no model of these texts: are there any?"
        raise UserError(f"data.vocabulary {size}: {reason}") from None
    return model.getvalue()
