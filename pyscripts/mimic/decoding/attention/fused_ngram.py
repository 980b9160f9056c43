"""N-gram language models for many hypotheses of a search at once, over a recogniser's tokens or its words."""

import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mimic.decoding.ngram.ngram import END, START, UNKNOWN, Ngram
from mimic.errors import UserError
from mimic.io.tokens import BOS, EOS, UNK

log = logging.getLogger(__name__)
CACHED = 1 << 25  # entries of the table of rows, 12 bytes each


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
