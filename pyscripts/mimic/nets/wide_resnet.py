"""Wide residual network with squeeze and excitation: mask estimator of the 2026 mimic-loss recipe (SpeechBrain).

Squeeze and excitation: Hu et al., "Squeeze-and-Excitation Networks", 2018. Frequencies are halved block by block,
frames are all kept. Published, means and batch statistics count padding; here they count real frames only.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mimic.nets.masking import mirrored_border, normalise_channels, valid_frames
from mimic.nets.products import Linear
from mimic.settings import BelowOne, Count, CountOrZero


@dataclass
class WideResnetConfig:
    """Sizes of the network.

    Attributes:
        channels: convolution channels, one residual block each; every block halves the frequencies.
        dnn_layers: dense layers after the blocks.
        dnn_units: units of a dense layer.
        dropout: of channels and dense units.
    """

    channels: list[Count] = field(default_factory=lambda: [128, 128, 256, 256, 512, 512])
    dnn_layers: CountOrZero = 2
    dnn_units: Count = 1024
    dropout: BelowOne = 0.1


class ResidualBlock(nn.Module):
    """A convolution with stride 2 over frequency, and two more on a branch beside it, weighted channel by channel.

    reach: frames to either side over which the weights are computed; 0: the whole utterance, as published.
    """

    reach = 0

    def __init__(self, inputs: int, outputs: int, dropout: float):
        super().__init__()
        self.down = nn.Conv2d(inputs, outputs, 3, stride=(1, 2))
        self.norm = nn.ModuleList(nn.BatchNorm1d(outputs) for _ in range(2))
        self.conv = nn.ModuleList(nn.Conv2d(outputs, outputs, 3) for _ in range(2))
        self.excite = nn.Sequential(Linear(outputs, outputs), nn.ReLU(), Linear(outputs, outputs), nn.Sigmoid())
        self.dropout = dropout

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(batch, frames, bins, inputs) -> (batch, frames, (bins + 1) // 2, outputs)."""
        x = _convolve(self.down, x, lengths)
        branch = x
        for norm, conv in zip(self.norm, self.conv, strict=True):
            branch = normalise_channels(norm, F.gelu(branch), lengths)
            keep = F.dropout(x.new_ones(len(x), 1, 1, x.shape[3]), self.dropout, self.training)  # whole channels
            branch = _convolve(conv, branch * keep, lengths)
        return x + branch * self.excite(self._means(branch, lengths)).unsqueeze(2)

    def _means(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Mean over bins and real frames of (batch, frames, bins, outputs): (batch, 1 or frames, outputs)."""
        frames = x.shape[1]
        x = x.mean(2).masked_fill(~valid_frames(lengths, frames).unsqueeze(2), 0)  # (batch, frames, outputs)
        if not 0 < self.reach < frames - 1:
            return (x.sum(1) / lengths.unsqueeze(1)).unsqueeze(1)
        time = torch.arange(frames, device=x.device)
        first, last = (time - self.reach).clamp(min=0), torch.minimum(time + self.reach + 1, lengths.unsqueeze(1))
        sums = F.pad(x.double().cumsum(1), (0, 0, 1, 0))  # (batch, frames + 1, outputs)
        total = sums.gather(1, last.unsqueeze(2).expand_as(x)) - sums[:, first]
        return (total / (last - first).clamp(min=1).unsqueeze(2)).to(x.dtype)


def _convolve(conv: nn.Module, x: Tensor, lengths: Tensor) -> Tensor:
    """(batch, frames, bins, inputs) -> (batch, frames, bins', outputs), borders mirrored."""
    return conv(mirrored_border(x, lengths).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class WideResnet(nn.Module):
    """Features (batch, frames, bins) -> mask (batch, frames, bins), zero or more; `mask.limit` bounds it above."""

    def __init__(self, bins: int, config: WideResnetConfig):
        super().__init__()
        self.blocks = nn.ModuleList()
        inputs, size = 1, bins
        for outputs in config.channels:
            self.blocks.append(ResidualBlock(inputs, outputs, config.dropout))
            inputs, size = outputs, (size + 1) // 2
        self.dnn = nn.Sequential()
        units = size * inputs
        for _ in range(config.dnn_layers):
            self.dnn.extend([Linear(units, config.dnn_units), nn.GELU(), nn.LayerNorm(config.dnn_units)])
            self.dnn.append(nn.Dropout(config.dropout))
            units = config.dnn_units
        self.output = Linear(units, bins)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        x = x.unsqueeze(3)
        for block in self.blocks:
            x = block(x, lengths)
        return self.output(self.dnn(x.flatten(2))).relu()
