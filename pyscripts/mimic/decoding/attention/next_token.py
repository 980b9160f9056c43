"""Scores of the next token of all running hypotheses: attention decoder, language models, coverage and CTC."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from mimic.decoding.config import DecodeConfig
from mimic.decoding.ctc.prefix import PrefixScorer, PrefixState
from mimic.io.tokens import BLANK, BOS, EOS
from mimic.nets.attention_decoder import AttentionDecoder, Memory, State


class LanguageModel(Protocol):
    """What a search asks of a language model. States are named tuples of tensors whose first axis is the rows."""

    def start(self, rows: int) -> Any: ...

    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]: ...


class Fused(NamedTuple):
    """A language model over the recogniser's tokens, and how it takes part."""

    model: LanguageModel
    weight: float
    temperature: float = 1.0


class Rows(NamedTuple):
    """The running hypotheses, one per row: by utterance, best first."""

    owner: Tensor  # (rows,): utterance, as a row of the memory
    rank: Tensor  # (rows,): place among the utterance's hypotheses
    tokens: Tensor  # (rows, length + 1), <bos> in front
    score: Tensor  # (rows,): everything but CTC
    prefix: PrefixState | None
    coverage: Tensor  # (rows, frames): attention so far
    peak: Tensor  # (rows,): frame with the most attention at the last token
    decoder: State
    models: list[Any]

    def extended(self, parent: Tensor, owner: Tensor, rank: Tensor, token: Tensor, scores: "Scores") -> "Rows":
        """Each row `parent` followed by `token`, all (rows,), without CTC's state of it."""
        return Rows(
            owner,
            rank,
            torch.cat([self.tokens[parent], token.unsqueeze(1)], dim=1),
            scores.base[parent, token],
            None if self.prefix is None else select_rows(self.prefix, parent),
            scores.coverage[parent],
            scores.peak[parent],
            select_rows(scores.decoder, parent),
            [select_rows(state, parent) for state in scores.models],
        )


class Scores(NamedTuple):
    """Scores of the hypotheses followed by each token, and the states after the present one."""

    total: Tensor  # (rows, tokens): CTC included
    base: Tensor  # (rows, tokens): without CTC
    end: Tensor  # (rows,): followed by the sentence end
    coverage: Tensor
    peak: Tensor
    decoder: State
    models: list[Any]


class NextToken:
    """The models of a search, and the utterances that are searched.

    Attributes:
        memory: what the decoder attends to, a row for each utterance that is not done.
        most, fewest: (batch,) tokens that a transcript of these utterances has.
    """

    def __init__(
        self,
        decoder: AttentionDecoder,
        memory: Memory,
        lengths: Tensor,
        prefixes: PrefixScorer | None,
        config: DecodeConfig,
        models: Sequence[Fused],
    ):
        self.decoder, self.memory, self.prefixes, self.config, self.models = decoder, memory, prefixes, config, models
        self.most = (lengths * config.max_ratio).long().clamp(min=1)
        self.fewest = torch.minimum((lengths * config.min_ratio).long(), self.most)

    def start(self) -> Rows:
        """The empty hypothesis of each utterance."""
        batch, frames, _ = self.memory.keys.shape
        owner = torch.arange(batch, device=self.most.device)
        zeros = torch.zeros_like(owner)
        return Rows(
            owner,
            zeros,
            torch.full_like(owner, BOS).unsqueeze(1),
            torch.zeros(batch, dtype=torch.float64, device=owner.device),
            self.prefixes.start() if self.prefixes else None,
            self.memory.keys.new_zeros(batch, frames),
            zeros,
            self.decoder.start(self.memory),
            [fused.model.start(batch) for fused in self.models],
        )

    def __call__(self, rows: Rows, length: int) -> Scores:
        """The scores after `length` tokens."""
        config, last = self.config, rows.tokens[:, -1]
        full = len(rows.owner) == len(self.most) * (int(rows.rank.max()) + 1)  # the decoder shares memory itself
        memory = self.memory if full else Memory(*(part[rows.owner] for part in self.memory))
        log_probs, decoder = self.decoder.step(last, memory, rows.decoder)
        log_probs = _at_temperature(log_probs, config.temperature)
        allowed = self._may_end(rows, log_probs, length)
        base, states = log_probs.double().mul_(1 - config.ctc_weight), []
        for fused, before in zip(self.models, rows.models, strict=True):
            log_probs, state = fused.model.step(last, before)
            base.add_(_at_temperature(log_probs, fused.temperature), alpha=fused.weight)
            states.append(state)
        score, coverage, peak = rows.score, rows.coverage, rows.peak
        if config.coverage_weight:
            coverage = coverage + decoder.weights
            excess = (coverage - config.coverage_threshold).clamp(min=0).sum(1)
            score = score - config.coverage_weight * excess / (length + 1)
        if config.max_attn_shift:
            peak = decoder.weights.argmax(1)
            score = score.masked_fill((peak - rows.peak).abs() > config.max_attn_shift, -torch.inf)
        base.add_(score.unsqueeze(1))
        end = base[:, EOS].masked_fill(~allowed, -torch.inf)
        if config.length_bonus:
            base.add_(config.length_bonus)
        base[:, [BLANK, BOS, EOS]] = -torch.inf
        total = base
        if self.prefixes:
            assert rows.prefix is not None  # as `start` made it
            end = end + config.ctc_weight * self.prefixes.end(rows.prefix)
            total = base.add(self.prefixes.scores(rows.prefix, rows.owner, rows.rank), alpha=config.ctc_weight)
        return Scores(total, base, end, coverage, peak, decoder, states)

    def _may_end(self, rows: Rows, log_probs: Tensor, length: int) -> Tensor:
        """(rows,): what has reached the most tokens may always end, so that every utterance gets a transcript."""
        allowed = length >= self.fewest[rows.owner]
        if self.config.eos_threshold:
            likely = log_probs[:, EOS] > self.config.eos_threshold * log_probs.amax(1)
            allowed &= likely | (length == self.most[rows.owner])
        return allowed

    def keep(self, alive: Tensor) -> None:
        """Drop all utterances but these, (utterances,) rows of the memory."""
        self.memory = Memory(*(part[alive] for part in self.memory))
        self.most, self.fewest = self.most[alive], self.fewest[alive]
        self.prefixes = self.prefixes.keep(alive) if self.prefixes else None


def _at_temperature(log_probs: Tensor, temperature: float) -> Tensor:
    """Log-probabilities at another temperature: the shift between logits and log-probabilities cancels."""
    return log_probs if temperature == 1 else (log_probs / temperature).log_softmax(1)


def select_rows(state: Any, rows: Tensor) -> Any:
    """These rows of a state, a named tuple of tensors."""
    return type(state)(*(part[rows] for part in state))
