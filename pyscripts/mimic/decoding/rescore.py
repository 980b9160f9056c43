"""Second pass: a neural language model rescores the transcripts of the first."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from mimic.io.batching import pad
from mimic.io.tokens import BLANK, BOS, EOS

BATCH = 64  # transcripts at once


@torch.inference_mode()
def log_probs(model: nn.Module, sentences: Sequence[Sequence[int]], device: str = "cpu") -> list[float]:
    """Log-probabilities of sentences of token ids, the sentence end included.

    model: (batch, length) tokens -> (batch, length, tokens) log-probabilities of the next ones (models/lm.py). A
    sentence's result does not depend on the others.
    """
    totals: dict[int, float] = {}
    order = sorted(range(len(sentences)), key=lambda i: len(sentences[i]))  # little padding
    for first in range(0, len(order), BATCH):
        group = order[first : first + BATCH]
        targets, lengths = pad([torch.tensor([*sentences[i], EOS]).numpy() for i in group])  # (batch, length)
        previous = F.pad(targets[:, :-1], (1, 0), value=BOS).to(device)
        found = model(previous).gather(2, targets.to(device).unsqueeze(2)).squeeze(2).double()
        found = found.masked_fill((targets == BLANK).to(device), 0.0).sum(1)  # padding is blank
        totals |= dict(zip(group, found.tolist(), strict=True))
    return [totals[i] for i in range(len(sentences))]
