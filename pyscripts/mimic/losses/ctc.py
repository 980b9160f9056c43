"""The CTC loss, and transcripts that are too long for it."""

from torch import Tensor
from torch.nn import functional as F

from mimic.decoding.ctc import prefix
from mimic.io.tokens import BLANK
from mimic.nets.masking import valid_frames


def loss(log_probs: Tensor, lengths: Tensor, tokens: Tensor, token_lengths: Tensor) -> Tensor:
    """Mean over utterances of the negative log-probability per token; of one that is too long, 0 and not infinity.

    log_probs (batch, frames, tokens), tokens (batch, length), and the lengths of both (batch,).
    """
    by_frame = log_probs.float().transpose(0, 1)
    return F.ctc_loss(by_frame, tokens, lengths, token_lengths, BLANK, "mean", zero_infinity=True)


def too_long(tokens: list[int], frames: int) -> str:
    """Why so many frames cannot be aligned with these tokens; empty where they can."""
    needed = prefix.frames_needed(tokens)
    what = f"{len(tokens)} tokens and {needed - len(tokens)} repeats"
    return "" if needed <= frames else f"{what} do not fit into {frames} frames"


def frames_needed(tokens: Tensor, lengths: Tensor) -> Tensor:
    """Fewest frames for each of the token sequences (batch, length) with these lengths: (batch,)."""
    repeats = (tokens[:, 1:] == tokens[:, :-1]) & valid_frames(lengths - 1, tokens.shape[1] - 1)
    return lengths + repeats.sum(1)
