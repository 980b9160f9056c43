"""N-gram language models from ARPA files, for many hypotheses at once."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mimic.data.tokens import BOS, EOS, UNK
from mimic.decode.arpa import read
from mimic.errors import UserError

log = logging.getLogger(__name__)
START, END, UNKNOWN = "<s>", "</s>", "<unk>"
CACHED = 1 << 25  # entries of the table of rows, 12 bytes each


class Ngram:
    """A backoff model over the words of an ARPA file: log p(w | h) = p(h w) where it is listed, else backoff(h) + the
    same with a shorter h.

    A context is an integer: 0 is the empty one. All n-grams lie in one array, sorted by context * words + word.
    Probabilities are natural logarithms.
    """

    def __init__(self, path: str | Path):
        """Raises UserError, with the line, for what is not ARPA."""
        self.ids: dict[str, int] = {}
        orders = read(Path(path), self.ids)
        self.words = list(self.ids)
        self._keys = np.zeros(0, np.int64)
        self._log_probs, self._next = np.zeros(0), np.zeros(0, np.int64)
        self.backoff, self.shorter = np.zeros(1), np.zeros(1, np.int64)  # per context
        for n, (words, log_probs, backoff) in enumerate(orders, 1):
            ids = np.frombuffer(words, np.int32).reshape(-1, n).astype(np.int64)
            self._add(ids, np.frombuffer(log_probs), np.frombuffer(backoff), n == len(orders), str(path))
        self.start = int(self.advance(0, self.ids[START])) if START in self.ids else 0

    def _add(self, words: np.ndarray, log_probs: np.ndarray, backoff: np.ndarray, longest: bool, path: str) -> None:
        """Add the n-grams of one order, words (ngrams, order); those of shorter orders are there already."""
        context = np.zeros(len(words), np.int64)
        for column in words.T[:-1]:
            at, found = self._find(context, column)
            if not found.all():
                missing = " ".join(self.words[i] for i in words[found.argmin()])
                raise UserError(f"{path}: {words.shape[1]}-gram {missing!r}: its beginning is not listed as an n-gram")
            context = self._next[at]
        last = words[:, -1]
        shorter = self.advance(self.shorter[context], last) if words.shape[1] > 1 else context
        following = shorter
        if not longest:
            following = len(self.backoff) + np.arange(len(words))
            self.backoff, self.shorter = np.append(self.backoff, backoff), np.append(self.shorter, shorter)
        keys = np.concatenate([self._keys, context * len(self.words) + last])
        order = keys.argsort()
        self._keys = keys[order]
        self._log_probs = np.concatenate([self._log_probs, log_probs])[order]
        self._next = np.concatenate([self._next, following])[order]

    def _find(self, context: np.ndarray, word: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions of n-grams, and whether they are listed."""
        if not len(self._keys):
            return np.zeros_like(context), np.zeros(context.shape, bool)
        keys = context * len(self.words) + word
        at = np.searchsorted(self._keys, keys).clip(max=len(self._keys) - 1)
        return at, self._keys[at] == keys

    def advance(self, context: np.ndarray | int, word: np.ndarray | int) -> np.ndarray:
        """The contexts behind these words: the longest listed ones."""
        context, word = np.broadcast_arrays(np.asarray(context), np.asarray(word))
        result, context = np.zeros(context.shape, np.int64), context.copy()
        open_ = np.ones(context.shape, bool)
        while open_.any():
            at, found = self._find(context, word)
            result = np.where(open_ & found, self._next[at] if len(self._keys) else 0, result)
            open_ &= ~found & (context > 0)
            context = self.shorter[context]
        return result

    def log_prob(self, context: int, word: int) -> float:
        """log p(word | context)."""
        total = 0.0
        while True:
            at, found = self._find(np.asarray(context), np.asarray(word))
            if found:
                return total + float(self._log_probs[at])
            if not context:
                return -math.inf
            total += float(self.backoff[context])
            context = int(self.shorter[context])

    def row(self, context: int) -> tuple[np.ndarray, np.ndarray]:
        """log p(w | context) of all words, and the contexts behind them."""
        chain = [context]
        while chain[-1]:
            chain.append(int(self.shorter[chain[-1]]))
        log_probs, following = np.full(len(self.words), -np.inf), np.zeros(len(self.words), np.int64)
        for shorter in reversed(chain):
            log_probs += self.backoff[shorter]
            begin, end = np.searchsorted(self._keys, [shorter * len(self.words), (shorter + 1) * len(self.words)])
            words = self._keys[begin:end] - shorter * len(self.words)
            log_probs[words], following[words] = self._log_probs[begin:end], self._next[begin:end]
        return log_probs, following


class NgramState(NamedTuple):
    """One integer per hypothesis."""

    context: Tensor  # (rows,)


class TokenNgram:
    """An n-gram model over a recogniser's tokens, as the search asks for it.

    A context's row of probabilities is made once and kept. Tokens that the model does not list get the probability of
    its <unk>, or where it has none, that of its least likely word.
    """

    def __init__(self, ngram: Ngram, symbols: Sequence[str]):
        """Raises UserError when the model has words that are not tokens."""
        names = list(symbols)
        names[BOS], names[EOS], names[UNK] = START, END, UNKNOWN
        for word in ngram.words:
            if word not in names and word.lower() != UNKNOWN:
                raise UserError(
                    f"the n-gram model has {word!r}, which is not a token of the recogniser: for a model of words, "
                    f"give --decode.ngram_unit word; for one of tokens, train it on pyscripts/text_to_tokens.py's text"
                )
        unknown = _unknown(ngram)
        self._columns = np.array([ngram.ids.get(name, unknown) for name in names])
        self._ngram = ngram
        self._slots: dict[int, int] = {}  # context -> row of the tables
        self._log_probs = np.zeros((64, len(names)), np.float32)
        self._next = np.zeros((64, len(names)), np.int64)
        missing = sum(name not in ngram.ids for name in names[EOS:])
        if missing:
            log.info("%d of %d tokens are not in the n-gram model", missing, len(names) - EOS)

    def start(self, rows: int) -> NgramState:
        """State of `rows` hypotheses before <bos>."""
        return NgramState(torch.full((rows,), -1))

    def step(self, tokens: Tensor, state: NgramState) -> tuple[Tensor, NgramState]:
        """Previous tokens (rows,) -> log-probabilities of the next ones (rows, tokens) and the new state."""
        before, last = state.context.cpu().numpy(), tokens.cpu().numpy()
        slots = self._rows(np.maximum(before, 0))
        context = np.where(before < 0, self._ngram.start, self._next[slots, last])
        slots = self._rows(context)  # first, for the tables may be replaced by larger ones
        log_probs = torch.from_numpy(self._log_probs[slots]).to(tokens.device)
        return log_probs, NgramState(torch.from_numpy(context).to(tokens.device))

    def _rows(self, contexts: np.ndarray) -> np.ndarray:
        """Where the tables hold these contexts."""
        new = [context for context in np.unique(contexts).tolist() if context not in self._slots]
        if (len(self._slots) + len(new)) * len(self._columns) > CACHED:  # start again
            self._slots, new = {}, np.unique(contexts).tolist()
        while len(self._slots) + len(new) > len(self._next):
            self._log_probs = np.concatenate([self._log_probs, np.zeros_like(self._log_probs)])
            self._next = np.concatenate([self._next, np.zeros_like(self._next)])
        for context in new:
            slot = self._slots[context] = len(self._slots)
            log_probs, following = self._ngram.row(context)
            self._log_probs[slot], self._next[slot] = log_probs[self._columns], following[self._columns]
        return np.array([self._slots[context] for context in contexts.tolist()])


class WordNgram:
    """An n-gram model over words for a recogniser whose tokens spell them; '▁' in a token begins a word.

    A word counts when the next one begins or the sentence ends. A state is an integer too: the number of a pair of
    the context before the current word, and what is spelt of it.
    """

    def __init__(self, ngram: Ngram, symbols: Sequence[str]):
        """Raises UserError when the tokens do not say where a word begins, or cannot spell the model's words."""
        letters = set("".join(symbols[UNK + 1 :]))
        if "▁" not in letters:
            raise UserError("--decode.ngram_unit word: the recogniser's tokens do not spell words: give token")
        spelt = [word for word in ngram.words if word not in (START, END) and word.lower() != UNKNOWN]
        foreign = sum(not letters.issuperset(word) for word in spelt)
        if foreign > len(spelt) // 2:
            raise UserError(
                f"{foreign} of {len(spelt)} words of the n-gram model cannot be spelt with the recogniser's tokens "
                f"(such as {next(word for word in spelt if not letters.issuperset(word))!r}): write its words as the "
                f"transcripts are, upper case or lower"
            )
        self._ngram, self._symbols = ngram, list(symbols)
        self._unknown, self._end = _unknown(ngram), ngram.ids.get(END, -1)
        self._begins = np.array(["▁" in symbol for symbol in symbols])
        self._begins[: UNK + 1] = False
        self._pairs = [(ngram.start, "")]
        self._numbers = {self._pairs[0]: 0}
        self._costs: list[tuple[float, float] | None] = [None]  # per state: log p of its word, and of that and the end
        self._moves: dict[tuple[int, int], int] = {}

    def start(self, rows: int) -> NgramState:
        """State of `rows` hypotheses before <bos>."""
        return NgramState(torch.zeros(rows, dtype=torch.long))

    def step(self, tokens: Tensor, state: NgramState) -> tuple[Tensor, NgramState]:
        """Previous tokens (rows,) -> log-probabilities of the next ones (rows, tokens) and the new state."""
        numbers = [self._move(*pair) for pair in zip(state.context.tolist(), tokens.tolist(), strict=True)]
        costs = np.array([self._cost(number) for number in numbers])  # (rows, 2)
        log_probs = np.where(self._begins, costs[:, :1], 0.0)
        log_probs[:, EOS] = costs[:, 1]
        new = NgramState(torch.tensor(numbers, device=tokens.device))
        return torch.from_numpy(log_probs).float().to(tokens.device), new

    def _move(self, number: int, token: int) -> int:
        if token == BOS:
            return 0
        if (number, token) not in self._moves:
            context, word = self._pairs[number]
            finished, begins, rest = (word + self._symbols[token]).rpartition("▁")
            for done in finished.split("▁"):
                if done:
                    context = int(self._ngram.advance(context, self._ngram.ids.get(done, self._unknown)))
            pair = (context, rest)
            if pair not in self._numbers:
                self._numbers[pair] = len(self._pairs)
                self._pairs.append(pair)
                self._costs.append(None)
            self._moves[number, token] = self._numbers[pair]
        return self._moves[number, token]

    def _cost(self, number: int) -> tuple[float, float]:
        cost = self._costs[number]
        if cost is None:
            context, word = self._pairs[number]
            spelt = 0.0
            if word:
                id_ = self._ngram.ids.get(word, self._unknown)
                spelt = self._ngram.log_prob(context, id_)
                context = int(self._ngram.advance(context, id_))
            end = self._ngram.log_prob(context, self._end) if self._end >= 0 else 0.0
            cost = self._costs[number] = (spelt, spelt + end)
        return cost


def _unknown(ngram: Ngram) -> int:
    """The word that stands for all that are not listed."""
    for word, i in ngram.ids.items():
        if word.lower() == UNKNOWN:
            return i
    return min((i for word, i in ngram.ids.items() if word != START), key=lambda i: ngram.log_prob(0, i))
