"""MetricGAN+ (Fu et al., 2021): a mask estimator, and a discriminator that learns what a score says of two spectra."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from mimic.nets.masking import normalise_channels, valid_frames
from mimic.nets.products import Linear
from mimic.nets.rnn import Rnn
from mimic.settings import Count, Share

STEEPEST = 1.2  # of the learnable sigmoid: its largest value
KERNEL, LAYERS = 5, 4  # of the discriminator's convolutions


@dataclass
class MetricganMaskConfig:
    """Sizes of the mask estimator.

    Attributes:
        units: of a recurrent layer, per direction.
        layers: recurrent layers.
        dense: units of the dense layer between recurrence and mask.
        least: smallest value of the mask: complete silence sounds worse than a little noise.
    """

    units: Count = 200
    layers: Count = 2
    dense: Count = 300
    least: Share = 0.05


class MetricganMask(nn.Module):
    """Features (batch, frames, bins) -> mask (batch, frames, bins) from `least` to 1.2.

    How steep the sigmoid of a bin is, it learns itself.
    """

    def __init__(self, bins: int, config: MetricganMaskConfig):
        super().__init__()
        self.rnn = Rnn("lstm", bins, config.units, config.layers, 0.0)
        self.dense = Linear(2 * config.units, config.dense)
        self.output = Linear(config.dense, bins)
        self.slope = nn.Parameter(torch.ones(bins))
        self.least = config.least

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        x = F.leaky_relu(self.dense(self.rnn(x, lengths)), 0.3)  # (batch, frames, dense)
        return (STEEPEST * torch.sigmoid(self.slope * self.output(x))).clamp(min=self.least)


class MetricDiscriminator(nn.Module):
    """log1p magnitudes of degraded and clean speech (batch, frames, bins), lengths (batch,) -> a score (batch,)."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.BatchNorm1d(2, momentum=0.01)
        inputs = [2] + [channels] * (LAYERS - 1)
        self.conv = nn.ModuleList(spectral_norm(nn.Conv2d(n, channels, KERNEL)) for n in inputs)
        sizes = [channels, 50, 10, 1]
        self.dense = nn.ModuleList(spectral_norm(Linear(a, b)) for a, b in zip(sizes[:-1], sizes[1:], strict=True))

    def forward(self, degraded: Tensor, clean: Tensor, lengths: Tensor) -> Tensor:
        lost = LAYERS * (KERNEL - 1)  # convolutions without a border take so many frames
        pair = torch.stack([degraded, clean], 3)  # (batch, frames, bins, 2)
        pair = F.pad(pair, (0, 0, 0, 0, 0, max(0, lost + 1 - pair.shape[1])))
        x = normalise_channels(self.norm, pair, lengths).permute(0, 3, 1, 2)
        for conv in self.conv:
            x = F.leaky_relu(conv(x), 0.3)  # (batch, channels, frames, bins)
        frames = (lengths - lost).clamp(min=1)
        x = (x.mean(3) * valid_frames(frames, x.shape[2]).unsqueeze(1)).sum(2) / frames.unsqueeze(1)
        for dense in self.dense[:-1]:
            x = F.leaky_relu(dense(x), 0.3)
        return self.dense[-1](x).squeeze(1)
