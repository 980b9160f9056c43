"""CTC: greedy decoding, and prefix scores for joint decoding with an attention decoder."""

from typing import NamedTuple

import torch
from torch import Tensor

from mimic.data.tokens import BLANK
from mimic.models.masking import valid_frames

IMPOSSIBLE = -1e4  # log-probability of a token on a padded frame; finite, so that differences stay numbers


def greedy(log_probs: Tensor, lengths: Tensor) -> list[list[int]]:
    """Most likely token per frame, repeats merged, blanks dropped. (batch, frames, tokens) -> token ids."""
    best = log_probs.argmax(2).cpu()
    results = []
    for row, length in zip(best, lengths.tolist(), strict=True):
        merged = torch.unique_consecutive(row[:length])
        results.append(merged[merged != BLANK].tolist())
    return results


class PrefixState(NamedTuple):
    """Log-probabilities of having emitted exactly the prefix by frame t, with t = -1 in front.

    Both (batch, hypotheses, frames + 1): the last frame's symbol is the prefix's last token, or blank.
    """

    token: Tensor
    blank: Tensor
    last: Tensor  # (batch, hypotheses): last token of the prefix, -1 for the empty prefix


class PrefixScorer:
    """Probability, summed over all alignments, that the transcript starts with a prefix.

    Watanabe et al., "Hybrid CTC/Attention Architecture for End-to-End Speech Recognition", 2017, algorithm 2.
    Its recursions over frames are linear, x_t = y_t (x_{t-1} + b_{t-1}), so with Y_t = y_1 ... y_t they have the
    closed form x_t = Y_t sum_s b_{s-1} / Y_{s-1}: two cumulative sums for all hypotheses and candidates at once,
    in double precision, instead of a loop over frames.
    """

    def __init__(self, log_probs: Tensor, lengths: Tensor):
        """log_probs (batch, frames, tokens) of the CTC output, lengths (batch,)."""
        scores = log_probs.double().transpose(1, 2).clone()  # (batch, tokens, frames)
        padding = ~valid_frames(lengths, log_probs.shape[1])
        scores.masked_fill_(padding.unsqueeze(1), IMPOSSIBLE)
        scores[:, BLANK].masked_fill_(padding, 0.0)  # blanks behind the end change nothing
        self.scores = scores
        start = scores.new_zeros(*scores.shape[:2], 1)
        self.sums = torch.cat([start, scores.cumsum(2)], dim=2)  # (batch, tokens, frames + 1)

    def start(self, hypotheses: int) -> PrefixState:
        """The empty prefix, `hypotheses` times per utterance."""
        blank = self.sums[:, BLANK].unsqueeze(1).expand(-1, hypotheses, -1)
        last = torch.full(blank.shape[:2], -1, device=blank.device)
        return PrefixState(torch.full_like(blank, -torch.inf), blank, last)

    def extend(self, state: PrefixState, tokens: Tensor) -> tuple[Tensor, PrefixState]:
        """Append each candidate (batch, hypotheses, candidates) to its hypothesis.

        Returns prefix log-probabilities (batch, hypotheses, candidates) and the states, whose arrays have the
        candidates as an additional axis before the frames.
        """
        rows = torch.arange(len(tokens), device=tokens.device).view(-1, 1, 1)
        sums, scores = self.sums[rows, tokens], self.scores[rows, tokens]  # (batch, hypotheses, candidates, frames)
        either = torch.logaddexp(state.token, state.blank).unsqueeze(2)
        repeated = (tokens == state.last.unsqueeze(2)).unsqueeze(3)
        before = torch.where(repeated, state.blank.unsqueeze(2), either)[..., :-1]  # a repeat needs a blank between
        total = (before + scores).logsumexp(3)
        token = sums[..., 1:] + torch.logcumsumexp(before - sums[..., :-1], dim=3)
        never = torch.full_like(token[..., :1], -torch.inf)
        token = torch.cat([never, token], dim=3)
        blanks = self.sums[:, None, None, BLANK]
        blank = blanks[..., 1:] + torch.logcumsumexp(token[..., :-1] - blanks[..., :-1], dim=3)
        return total, PrefixState(token, torch.cat([never, blank], dim=3), tokens)

    @staticmethod
    def end(state: PrefixState) -> Tensor:
        """Log-probability that the transcript is the prefix and nothing more: (batch, hypotheses)."""
        return torch.logaddexp(state.token[..., -1], state.blank[..., -1])

    def keep(self, utterances: Tensor) -> None:
        """Go on with these rows of the batch only."""
        self.scores, self.sums = self.scores[utterances], self.sums[utterances]


def select(state: PrefixState, parent: Tensor, candidate: Tensor) -> PrefixState:
    """From the states of `extend`, those of the survivors: parent and candidate are (batch, hypotheses)."""
    rows = torch.arange(len(parent), device=parent.device).unsqueeze(1)
    return PrefixState(*(part[rows, parent, candidate] for part in state))
