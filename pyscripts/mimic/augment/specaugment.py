"""SpecAugment: masks over frequency and time (Park et al., "SpecAugment", 2019)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mimic.settings import CountOrZero, Share


@dataclass
class SpecAugmentConfig:
    """Masks per utterance, in training only.

    Attributes:
        frequency_masks: number of frequency bands that are masked; 0 turns them off.
        frequency_width: most bins of a band.
        time_masks: number of time masks; 0 turns them off.
        time_width: most frames of a mask.
        time_share: a mask is never longer than this share of its utterance.
    """

    frequency_masks: CountOrZero = 0
    frequency_width: CountOrZero = 27
    time_masks: CountOrZero = 0
    time_width: CountOrZero = 40
    time_share: Share = 0.2


def spec_augment(features: Tensor, lengths: Tensor, fill: Tensor, config: SpecAugmentConfig) -> Tensor:
    """Replace masked parts of (batch, frames, bins) by `fill` (bins,), the mean of the features.

    Every utterance draws its own masks; lengths (batch,) keep time masks inside it.
    """
    batch, frames, bins = features.shape
    masked = torch.zeros(batch, frames, bins, dtype=torch.bool, device=features.device)
    for _ in range(config.frequency_masks):
        limit = torch.full((batch,), config.frequency_width, device=features.device)
        masked |= _span(bins, torch.full_like(limit, bins), limit).unsqueeze(1)
    for _ in range(config.time_masks):
        limit = (lengths * config.time_share).long().clamp(max=config.time_width)
        masked |= _span(frames, lengths, limit).unsqueeze(2)
    return torch.where(masked, fill.to(features.dtype), features)


def _span(size: int, lengths: Tensor, limit: Tensor) -> Tensor:
    """One random span of 0 to `limit` (batch,) positions within `lengths` (batch,): (batch, size), boolean."""
    draw = torch.rand(2, len(lengths), device=lengths.device)
    width = (draw[0] * (limit + 1)).long()
    start = (draw[1] * (lengths - width + 1)).long().unsqueeze(1)
    position = torch.arange(size, device=lengths.device)
    return (position >= start) & (position < start + width.unsqueeze(1))
