"""CTC: greedy decoding, and prefix scores for joint decoding with an attention decoder."""

from collections.abc import Sequence
from copy import copy
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mimic.io.tokens import BLANK
from mimic.nets.masking import valid_frames

IMPOSSIBLE = -1e4  # log-probability of a token on a padded frame; finite, so that differences stay numbers


def greedy(log_probs: Tensor, lengths: Tensor) -> list[list[int]]:
    """Most likely token per frame, repeats merged, blanks dropped. (batch, frames, tokens) -> token ids."""
    best = log_probs.argmax(2).cpu()
    results = []
    for row, length in zip(best, lengths.tolist(), strict=True):
        merged = torch.unique_consecutive(row[:length])
        results.append(merged[merged != BLANK].tolist())
    return results


def frames_needed(ids: Sequence[int]) -> int:
    """Fewest frames that can be aligned with these tokens: one for each, and a blank between two that are equal."""
    return len(ids) + sum(a == b for a, b in pairwise(ids))


class PrefixState(NamedTuple):
    """Log-probabilities of having emitted exactly the prefix by frame t, with t = -1 in front. One prefix per row."""

    blank: Tensor  # (rows, frames + 1): by an alignment that ends in blank
    either: Tensor  # (rows, frames + 1): by any alignment
    last: Tensor  # (rows,): last token of the prefix, -1 for the empty prefix


class PrefixScorer:
    """Probability, summed over all alignments, that the transcript starts with a prefix.

    Watanabe et al., "Hybrid CTC/Attention Architecture for End-to-End Speech Recognition", 2017, algorithm 2, without
    its loop over frames. A prefix g followed by token c has the probability sum_t p(g by t-1) y_t(c), for all c at
    once a matrix product of (prefixes, frames) and (frames, tokens). The forward variables of the prefixes that a
    search keeps follow x_t = y_t (x_{t-1} + b_{t-1}): with Y_t = y_1 ... y_t, x_t = Y_t sum_s b_{s-1} / Y_{s-1}, a
    cumulative sum. All in double precision.
    """

    def __init__(self, log_probs: Tensor, lengths: Tensor):
        """log_probs (batch, frames, tokens) of the CTC output, lengths (batch,)."""
        scores = log_probs.double()
        padding = ~valid_frames(lengths, log_probs.shape[1])
        scores = scores.masked_fill(padding.unsqueeze(2), IMPOSSIBLE)
        scores[..., BLANK].masked_fill_(padding, 0.0)  # blanks after the end change nothing
        self.probs = scores.exp()  # (batch, frames, tokens)
        self.sums = F.pad(scores.cumsum(1).transpose(1, 2), (1, 0))  # (batch, tokens, frames + 1)

    def start(self) -> PrefixState:
        """The empty prefix, once per utterance."""
        blank = self.sums[:, BLANK]
        return PrefixState(blank, blank, torch.full_like(blank[:, 0], -1, dtype=torch.long))

    def scores(self, state: PrefixState, owner: Tensor, rank: Tensor) -> Tensor:
        """Log-probabilities (rows, tokens) of every prefix followed by every token.

        owner, rank (rows,): the utterance of a prefix, and its place among the utterance's prefixes.
        """
        before = state.either[:, :-1]
        peak = before.amax(1, keepdim=True).clamp(min=-1e30)  # a prefix longer than the frames: only -inf
        weights = before.new_zeros(len(self.probs), int(rank.max()) + 1, before.shape[1])
        weights[owner, rank] = (before - peak).exp()
        total = torch.bmm(weights, self.probs)[owner, rank].log_().add_(peak)
        (rows,) = (state.last >= 0).nonzero(as_tuple=True)
        last = state.last[rows]
        sums = self.sums[owner[rows], last]  # (rows, frames + 1)
        repeated = state.blank[rows, :-1] + sums[:, 1:] - sums[:, :-1]  # a repeat needs a blank between
        total[rows, last] = repeated.logsumexp(1)
        return total

    def extend(self, state: PrefixState, owner: Tensor, tokens: Tensor) -> PrefixState:
        """Append a token (rows,) to every prefix."""
        sums, blanks = self.sums[owner, tokens], self.sums[owner, BLANK]  # (rows, frames + 1)
        before = torch.where((tokens == state.last).unsqueeze(1), state.blank, state.either)[:, :-1]
        never = torch.full_like(before[:, :1], -torch.inf)
        token = torch.cat([never, sums[:, 1:] + torch.logcumsumexp(before - sums[:, :-1], dim=1)], dim=1)
        blank = blanks[:, 1:] + torch.logcumsumexp(token[:, :-1] - blanks[:, :-1], dim=1)
        blank = torch.cat([never, blank], dim=1)
        return PrefixState(blank, torch.logaddexp(token, blank), tokens)

    @staticmethod
    def end(state: PrefixState) -> Tensor:
        """Log-probability that the transcript is the prefix and nothing more: (rows,)."""
        return state.either[:, -1]

    def keep(self, utterances: Tensor) -> "PrefixScorer":
        """The scorer of these rows of the batch only."""
        kept = copy(self)
        kept.probs, kept.sums = self.probs[utterances], self.sums[utterances]
        return kept
