"""Encoders that learn from speech alone: masked prediction of units (Hsu et al., "HuBERT: Self-Supervised Speech
Representation Learning by Masked Prediction of Hidden Units", 2021).
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mimic.nets.products import Linear
from mimic.nets.ssl import EncoderConfig, SslEncoder, base_network
from mimic.nets.student import scale_gradient
from mimic.settings import Count, NotNegative, Positive, Range


@dataclass
class HubertConfig(EncoderConfig):
    """Sizes and masks; the defaults are HuBERT Base's.

    Attributes:
        clusters: units that are predicted.
        projection: values of a frame that are compared with those of the units.
        temperature: cosine similarities are divided by it.
        mask_starts: share of frames at which a masked span begins.
        mask_length: frames of a span.
        conv_gradient: factor of the gradient of the convolutions.
    """

    layers: Count = 12
    clusters: Count = 100
    projection: Count = 256
    temperature: Positive = 0.1
    mask_starts: Annotated[float, Range(above=0, most=1)] = 0.08
    mask_length: Count = 10
    conv_gradient: NotNegative = 0.1


class Hubert(nn.Module):
    """Waveforms, and which of their frames are masked -> scores of the units of every frame."""

    def __init__(self, config: HubertConfig):
        super().__init__()
        self.config = config
        self.encoder = SslEncoder(base_network(config, True), False)
        self.hidden = nn.Parameter(torch.rand(config.units))
        self.project = Linear(config.units, config.projection)
        self.codes = nn.Parameter(torch.randn(config.clusters, config.projection))

    def forward(self, waveforms: list[Tensor], masks: Tensor) -> tuple[Tensor, Tensor]:
        """Masks (batch, frames or more), true where a frame is hidden -> scores (batch, frames, clusters), lengths."""
        features, lengths = self.encoder.convolve(waveforms)
        features = scale_gradient(features, self.config.conv_gradient)
        hidden = (masks[:, : features.shape[1]], self.hidden)
        (last,) = self.encoder.transform(features, lengths, [self.config.layers], hidden)
        scores = F.normalize(self.project(last), dim=2) @ F.normalize(self.codes, dim=1).T
        return scores / self.config.temperature, lengths

    def draw_masks(self, lengths: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Masked frames (batch, frames), on CPU, of utterances of these lengths (batch,): a span or more in each."""
        lengths = lengths.cpu()
        frames, span = int(lengths.max()), self.config.mask_length
        starts = torch.rand(len(lengths), frames, generator=generator) < self.config.mask_starts
        one = (torch.rand(len(lengths), generator=generator) * (lengths - span + 1).clamp(min=1)).long()
        starts[torch.arange(len(lengths)), one] = True
        spread = F.max_pool1d(F.pad(starts.float(), (span - 1, 0)), span, 1) > 0
        return spread & (torch.arange(frames) < lengths[:, None])
