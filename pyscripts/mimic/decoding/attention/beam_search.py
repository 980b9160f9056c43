"""Beam search over a batch of utterances at once: attention decoder, CTC, language models, coverage.

For one utterance and one hypothesis at a time it is

    running, finished = {(): 0.0}, {}
    for length in range(most + 1):
        for tokens, score in running:
            scores = score + what the models give to each next token         # next_token.py
            ends[tokens] = scores[EOS], extensions[(*tokens, token)] = scores[token] of all others
        finished |= those of `ends` among the `beam` best of ends and extensions together
        running = the `beam` best of extensions
    return the nbest of finished

as class Reference in tests/unit/test_beam_search.py, with which the search below is compared. Here all hypotheses of a
batch are rows of the same tensors, and an utterance leaves them when nothing that still runs can win.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from mimic.decoding.attention.next_token import Fused, NextToken, Rows, Scores
from mimic.decoding.config import DecodeConfig
from mimic.decoding.ctc.prefix import PrefixScorer
from mimic.nets.attention_decoder import AttentionDecoder


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
        models: language models. The paths in `config` are not read here (see decoder.py).

    Returns: for each utterance up to `nbest` hypotheses, best first.

    Every token lowers the score (but for the length bonus), so a hypothesis that is already worse than the nbest-th
    finished one cannot win and is dropped: exact, not a heuristic. To have something finished early, a narrow beam
    goes over the batch first; what it finds counts like what the full beam finds.
    """
    finished: list[list[Hypothesis]] = [[] for _ in range(len(lengths))]
    memory = decoder.precompute(encoded, lengths)
    prefixes = PrefixScorer(ctc_log_probs, lengths) if ctc_log_probs is not None and config.ctc_weight > 0 else None
    narrow = narrow_beam(config)
    for width in (narrow, config.beam) if narrow else (config.beam,):
        settings = replace(config, beam=width)
        _Pass(NextToken(decoder, memory, lengths, prefixes, settings, models), settings, finished).run()
    (lost,) = torch.tensor([not hypotheses for hypotheses in finished]).nonzero(as_tuple=True)
    if len(lost) and config.max_attn_shift:  # the attention of all their hypotheses moved too far
        ctc = None if prefixes is None or ctc_log_probs is None else ctc_log_probs[lost]
        again = search(decoder, encoded[lost], lengths[lost], ctc, replace(config, max_attn_shift=0), models)
        for utt, hypotheses in zip(lost.tolist(), again, strict=True):
            finished[utt] = hypotheses
    return finished


def narrow_beam(config: DecodeConfig) -> int:
    """Width of the first pass; 0 for none. Scores per token have no useful bound, so that it would not help them."""
    width = max(config.beam // 8, config.nbest)
    return 0 if config.length_norm or width > config.beam // 4 else width


class _Pass:
    """One pass over a batch with one beam; adds what it finds to `finished`."""

    def __init__(self, models: NextToken, config: DecodeConfig, finished: list[list[Hypothesis]]):
        self.models, self.config, self.finished = models, config, finished
        self.active = list(range(len(finished)))  # the utterances that rows of the memory belong to
        self.worst = models.most.new_full((len(finished),), -torch.inf, dtype=torch.float64)  # nbest-th finished score
        self.ended = torch.zeros_like(models.most)  # hypotheses that have ended inside the beam
        for utt in self.active:
            self._rank(utt, utt, [])

    def run(self) -> None:
        rows = self.models.start()
        for length in range(int(self.models.most.max()) + 1):
            scores = self.models(rows, length)
            table = self._pad(rows, scores.total).flatten(1)
            best, flat = table.topk(min(self.config.beam, table.shape[1]), dim=1)  # (batch, beam)
            self._finish(rows, scores.end, best, length)
            extended = self._extend(rows, scores, best, flat, length)
            if extended is None:
                return
            rows = self._drop_done(extended)

    def _pad(self, rows: Rows, values: Tensor) -> Tensor:
        """(rows, ...) -> (batch, hypotheses, ...), with -inf where a hypothesis is missing."""
        width = int(rows.rank.max()) + 1
        if len(values) == len(self.active) * width:
            return values.view(-1, width, *values.shape[1:])
        padded = values.new_full((len(self.active), width, *values.shape[1:]), -torch.inf)
        padded[rows.owner, rows.rank] = values
        return padded

    def _finish(self, rows: Rows, end: Tensor, extended: Tensor, length: int) -> None:
        """Add the hypotheses that end here to the nbest of their utterances.

        A hypothesis ends where its end is among the best `beam` of all ends and extensions (batch, beam) of the step.
        """
        ends = self._pad(rows, end)
        both = torch.cat([extended, ends], dim=1)
        last = both.topk(min(self.config.beam, both.shape[1]), dim=1).values[:, -1:]
        inside = (ends > -torch.inf) & ((ends >= last) | (self.models.most == length).unsqueeze(1))
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

    def _extend(self, rows: Rows, scores: Scores, best: Tensor, flat: Tensor, length: int) -> Rows | None:
        """The best extensions, scores (batch, beam), without those that cannot win; None when there are none.

        flat (batch, beam): which they are, as an index into (hypotheses, tokens).
        """
        tokens, prefixes = scores.total.shape[1], self.models.prefixes
        alive = (best > -torch.inf) & (length < self.models.most).unsqueeze(1)
        wins = self._best_end(best, length + 1) > self.worst.unsqueeze(1)
        if self.config.length_norm:  # either an utterance keeps all of its beam, or it is done
            wins = wins[:, :1] & (self.ended < self.config.beam).unsqueeze(1)
        alive &= wins
        owner, rank = alive.nonzero(as_tuple=True)
        if not len(owner):
            return None
        flat = flat[owner, rank]
        first = torch.searchsorted(rows.owner, owner)  # row of an utterance's best hypothesis
        parent, token = first + flat // tokens, flat % tokens
        extended = rows.extended(parent, owner, rank, token, scores)
        if prefixes is None or extended.prefix is None:  # both or neither
            return extended
        return extended._replace(prefix=prefixes.extend(extended.prefix, owner, token))

    def _best_end(self, score: Tensor, length: int) -> Tensor:
        """The most that hypotheses of this length, (batch, beam), can be ranked by when they end."""
        to_come = (self.models.most - length).clamp(min=0).unsqueeze(1)
        latest = score + self.config.length_bonus * to_come
        if not self.config.length_norm:
            return torch.maximum(score, latest)
        # Per token, this is monotonic in the tokens to come: one of the two ends is the best.
        return torch.maximum(score / (length + 1), latest / (length + 1 + to_come))

    def _drop_done(self, rows: Rows) -> Rows:
        """Take the utterances that are done out of the batch, once they are half of it."""
        alive = rows.owner.unique()
        if len(alive) > len(self.active) // 2:
            return rows
        self.active = [self.active[i] for i in alive.tolist()]
        self.worst, self.ended = self.worst[alive], self.ended[alive]
        self.models.keep(alive)
        return rows._replace(owner=torch.searchsorted(alive, rows.owner))
