"""Beam search over a batch of utterances at once: attention decoder, CTC, language models, coverage."""

from collections.abc import Sequence
from dataclasses import replace
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


class Hypothesis(NamedTuple):
    """A finished transcript: token ids without sentence ends, and the score that it is ranked by."""

    tokens: list[int]
    score: float


@torch.inference_mode()
def search(
    decoder: AttentionDecoder,
    encoded: Tensor,
    lengths: Tensor,
    ctc_log_probs: Tensor | None,
    config: DecodeConfig,
    models: Sequence[Fused] = (),
) -> list[list[Hypothesis]]:
    """Decode a batch; the result of an utterance is the same in any batch.

    Args:
        encoded: (batch, frames, features) and lengths (batch,) of the encoder.
        ctc_log_probs: (batch, frames, tokens); may be None where ctc_weight is 0.
        models: language models. The paths in `config` are not read here (see fusion.load).

    Returns: for each utterance up to `nbest` hypotheses, best first.

    Every token lowers the score (but for the length bonus), so a hypothesis that is already worse than the nbest-th
    finished one cannot win and is dropped: exact, not a heuristic. To have something finished early, a narrow beam
    goes over the batch first; what it finds counts like what the full beam finds.
    """
    finished: list[list[Hypothesis]] = [[] for _ in range(len(lengths))]
    memory = decoder.remember(encoded, lengths)
    scorer = PrefixScorer(ctc_log_probs, lengths) if ctc_log_probs is not None and config.ctc_weight > 0 else None
    narrow = narrow_beam(config)
    for width in (narrow, config.beam) if narrow else (config.beam,):
        _Pass(decoder, memory, lengths, scorer, replace(config, beam=width), models, finished).run()
    (lost,) = torch.tensor([not hypotheses for hypotheses in finished]).nonzero(as_tuple=True)
    if len(lost) and config.max_attn_shift:  # all their hypotheses looked too far away
        ctc = None if scorer is None else ctc_log_probs[lost]
        again = search(decoder, encoded[lost], lengths[lost], ctc, replace(config, max_attn_shift=0), models)
        for utt, hypotheses in zip(lost.tolist(), again, strict=True):
            finished[utt] = hypotheses
    return finished


def narrow_beam(config: DecodeConfig) -> int:
    """Width of the first pass; 0 for none. Scores per token have no useful bound, so that it would not help them."""
    width = max(config.beam // 8, config.nbest)
    return 0 if config.length_norm or width > config.beam // 4 else width


class _Rows(NamedTuple):
    """The running hypotheses, one per row: by utterance, best first."""

    owner: Tensor  # (rows,): utterance, as a row of the memory
    rank: Tensor  # (rows,): place among the utterance's hypotheses
    tokens: Tensor  # (rows, length + 1), <bos> in front
    score: Tensor  # (rows,): everything but CTC
    prefix: PrefixState | None
    coverage: Tensor  # (rows, frames): attention so far
    peak: Tensor  # (rows,): frame that the last token looked at most
    decoder: State
    models: list[Any]


class _Step(NamedTuple):
    """What the next token adds to the hypotheses, and the states behind it."""

    total: Tensor  # (rows, tokens): scores of the hypotheses followed by each token, CTC included
    base: Tensor  # (rows, tokens): without CTC
    end: Tensor  # (rows,): followed by the sentence end
    coverage: Tensor
    peak: Tensor
    decoder: State
    models: list[Any]


class _Pass:
    """One pass over a batch with one beam; adds what it finds to `finished`."""

    def __init__(
        self,
        decoder: AttentionDecoder,
        memory: Memory,
        lengths: Tensor,
        scorer: PrefixScorer | None,
        config: DecodeConfig,
        models: Sequence[Fused],
        finished: list[list[Hypothesis]],
    ):
        self.decoder, self.memory, self.scorer = decoder, memory, scorer
        self.config, self.models, self.finished = config, models, finished
        self.active = list(range(len(lengths)))  # the utterances that rows of the memory belong to
        self.most = (lengths * config.max_ratio).long().clamp(min=1)  # (batch,): tokens
        self.fewest = torch.minimum((lengths * config.min_ratio).long(), self.most)
        self.worst = lengths.new_full((len(lengths),), -torch.inf, dtype=torch.float64)  # nbest-th finished score
        self.ended = torch.zeros_like(lengths)  # hypotheses that have ended inside the beam
        for utt in self.active:
            self._rank(utt, utt, [])

    def run(self) -> None:
        rows = self._start()
        for length in range(int(self.most.max()) + 1):
            step = self._step(rows, length)
            table = self._pad(rows, step.total).flatten(1)
            score, flat = table.topk(min(self.config.beam, table.shape[1]), dim=1)  # (batch, beam)
            self._finish(rows, step.end, score, length)
            kept = self._select(rows, step, score, flat, length)
            if kept is None:
                return
            rows = kept
            alive = rows.owner.unique()
            if len(alive) <= len(self.active) // 2:
                rows = self._shrink(rows, alive)

    def _start(self) -> _Rows:
        batch, frames, _ = self.memory.keys.shape
        owner = torch.arange(batch, device=self.worst.device)
        zeros = torch.zeros_like(owner)
        return _Rows(
            owner,
            zeros,
            torch.full_like(owner, BOS).unsqueeze(1),
            torch.zeros_like(self.worst),
            self.scorer.start() if self.scorer else None,
            self.memory.keys.new_zeros(batch, frames),
            zeros,
            self.decoder.start(self.memory),
            [fused.model.start(batch) for fused in self.models],
        )

    def _step(self, rows: _Rows, length: int) -> _Step:
        """Ask every model for the next token of every hypothesis."""
        config, last = self.config, rows.tokens[:, -1]
        full = len(rows.owner) == len(self.active) * (int(rows.rank.max()) + 1)  # the decoder shares memory itself
        memory = self.memory if full else Memory(*(part[rows.owner] for part in self.memory))
        log_probs, decoder = self.decoder.step(last, memory, rows.decoder)
        log_probs = _soften(log_probs, config.temperature)
        allowed = self._may_end(rows, log_probs, length)
        base, states = log_probs.double().mul_(1 - config.ctc_weight), []
        for fused, before in zip(self.models, rows.models, strict=True):
            log_probs, state = fused.model.step(last, before)
            base.add_(_soften(log_probs, fused.temperature), alpha=fused.weight)
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
        if self.scorer:
            end = end + config.ctc_weight * self.scorer.end(rows.prefix)
            total = base.add(self.scorer.scores(rows.prefix, rows.owner, rows.rank), alpha=config.ctc_weight)
        return _Step(total, base, end, coverage, peak, decoder, states)

    def _may_end(self, rows: _Rows, log_probs: Tensor, length: int) -> Tensor:
        """(rows,): what has reached the most tokens may always end, so that every utterance gets a transcript."""
        allowed = length >= self.fewest[rows.owner]
        if self.config.eos_threshold:
            likely = log_probs[:, EOS] > self.config.eos_threshold * log_probs.amax(1)
            allowed &= likely | (length == self.most[rows.owner])
        return allowed

    def _pad(self, rows: _Rows, values: Tensor) -> Tensor:
        """(rows, ...) -> (batch, hypotheses, ...), with -inf where there is no hypothesis."""
        width = int(rows.rank.max()) + 1
        if len(values) == len(self.active) * width:
            return values.view(-1, width, *values.shape[1:])
        padded = values.new_full((len(self.active), width, *values.shape[1:]), -torch.inf)
        padded[rows.owner, rows.rank] = values
        return padded

    def _finish(self, rows: _Rows, end: Tensor, extended: Tensor, length: int) -> None:
        """Add the hypotheses that end here to the nbest of their utterances.

        A hypothesis ends where its end is among the best `beam` of all ends and extensions (batch, beam) of the step.
        """
        ends = self._pad(rows, end)
        both = torch.cat([extended, ends], dim=1)
        last = both.topk(min(self.config.beam, both.shape[1]), dim=1).values[:, -1:]
        inside = (ends > -torch.inf) & ((ends >= last) | (length == self.most).unsqueeze(1))
        self.ended += inside.sum(1)
        final = end.masked_fill(~inside[rows.owner, rows.rank], -torch.inf)
        if self.config.length_norm:
            final = final / (length + 1)
        (good,) = (final > self.worst[rows.owner]).nonzero(as_tuple=True)
        found: dict[int, list[Hypothesis]] = {}
        for owner, tokens, score in zip(
            rows.owner[good].tolist(), rows.tokens[good, 1:].tolist(), final[good].tolist(), strict=True
        ):
            found.setdefault(owner, []).append(Hypothesis(tokens, score))
        for owner, hypotheses in found.items():
            self._rank(self.active[owner], owner, hypotheses)

    def _rank(self, utt: int, owner: int, found: list[Hypothesis]) -> None:
        """Merge new hypotheses into the nbest of an utterance; passes may find the same ones."""
        known = {tuple(h.tokens) for h in self.finished[utt]}
        both = self.finished[utt] + [h for h in found if tuple(h.tokens) not in known]
        self.finished[utt] = sorted(both, key=lambda h: -h.score)[: self.config.nbest]
        if len(self.finished[utt]) == self.config.nbest:
            self.worst[owner] = self.finished[utt][-1].score

    def _select(self, rows: _Rows, step: _Step, score: Tensor, flat: Tensor, length: int) -> _Rows | None:
        """The best extensions (batch, beam), without those that cannot win; None when there are none.

        flat (batch, beam): which they are, as an index into (hypotheses, tokens).
        """
        config, tokens = self.config, step.total.shape[1]
        alive = (score > -torch.inf) & (length < self.most).unsqueeze(1)
        wins = self._best_end(score, length + 1) > self.worst.unsqueeze(1)
        if config.length_norm:  # either an utterance goes on with all of its beam, or it is done
            wins = wins[:, :1] & (self.ended < config.beam).unsqueeze(1)
        alive &= wins
        owner, rank = alive.nonzero(as_tuple=True)
        if not len(owner):
            return None
        flat = flat[owner, rank]
        first = torch.searchsorted(rows.owner, owner)  # row of an utterance's best hypothesis
        parent, token = first + flat // tokens, flat % tokens
        prefix = self.scorer.extend(_take(rows.prefix, parent), owner, token) if self.scorer else None
        return _Rows(
            owner,
            rank,
            torch.cat([rows.tokens[parent], token.unsqueeze(1)], dim=1),
            step.base[parent, token],
            prefix,
            step.coverage[parent],
            step.peak[parent],
            _take(step.decoder, parent),
            [_take(state, parent) for state in step.models],
        )

    def _best_end(self, score: Tensor, length: int) -> Tensor:
        """The most that hypotheses of this length, (batch, beam), can be ranked by when they end."""
        to_come = (self.most - length).clamp(min=0).unsqueeze(1)
        latest = score + self.config.length_bonus * to_come
        if not self.config.length_norm:
            return torch.maximum(score, latest)
        # Per token, this is monotonic in the tokens to come: one of the two ends is the best.
        return torch.maximum(score / (length + 1), latest / (length + 1 + to_come))

    def _shrink(self, rows: _Rows, alive: Tensor) -> _Rows:
        """Forget the utterances that are done."""
        self.active = [self.active[i] for i in alive.tolist()]
        self.memory = Memory(*(part[alive] for part in self.memory))
        self.most, self.fewest, self.worst = self.most[alive], self.fewest[alive], self.worst[alive]
        self.ended = self.ended[alive]
        self.scorer = self.scorer.keep(alive) if self.scorer else None
        return rows._replace(owner=torch.searchsorted(alive, rows.owner))


def _soften(log_probs: Tensor, temperature: float) -> Tensor:
    """Log-probabilities at another temperature: the shift between logits and log-probabilities cancels."""
    return log_probs if temperature == 1 else (log_probs / temperature).log_softmax(1)


def _take(state: Any, rows: Tensor) -> Any:
    return type(state)(*(part[rows] for part in state))
