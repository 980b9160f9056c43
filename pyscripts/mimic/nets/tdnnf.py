"""Factorised time-delay network (Povey et al., "Semi-orthogonal low-rank matrix factorization for deep neural
networks", 2018).

Each layer is a product of two matrices with a narrow middle, whose first one is kept close to semi-orthogonal, a ReLU,
batch normalisation and dropout, beside a bypass around the layer. The first half sees the frame and one before it, the
second the frame and one after it.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mimic.nets.dropout import Dropout
from mimic.nets.masking import pack, unpack, valid_frames
from mimic.nets.products import Linear
from mimic.settings import BelowOne, Count, CountOrZero, Share


@dataclass
class TdnnfConfig:
    """Factorised layers.

    Attributes:
        units: outputs of a layer.
        bottleneck: width of its middle.
        strides: of each layer, how far its context reaches to either side, in frames; 0: no context.
        subsampling: one of so many frames is kept, from the first layer on whose stride is a multiple of it.
        bypass: share of a layer's input that is added to its output.
        dropout: of each layer.
    """

    units: Count = 768
    bottleneck: Count = 96
    strides: list[CountOrZero] = field(default_factory=lambda: [1, 1, 1, 0, 3, 3, 3, 3, 3, 3, 3, 3])
    subsampling: Count = 3
    bypass: Share = 0.66
    dropout: BelowOne = 0.1


class Factorised(nn.Module):
    """One layer, of frames that lie `stride` of them apart."""

    def __init__(self, inputs: int, config: TdnnfConfig, stride: int):
        super().__init__()
        self.stride, self.bypass = stride, config.bypass if inputs == config.units else 0.0
        taps = 2 if stride else 1
        self.narrow = Linear(taps * inputs, config.bottleneck, bias=False)
        self.wide = Linear(taps * config.bottleneck, config.units)
        self.norm = nn.BatchNorm1d(config.units, momentum=0.05)
        self.dropout = Dropout(config.dropout)
        nn.init.orthogonal_(self.narrow.weight)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(batch, frames, inputs), zero in padding -> (batch, frames, units), the same."""
        frames, s = x.shape[1], self.stride
        y = self.narrow(torch.cat([F.pad(x, (0, 0, s, 0))[:, :frames], x], dim=2) if s else x)
        if s:  # padding saw the last frames, and is not seen
            y = y * valid_frames(lengths, frames).unsqueeze(2)
            y = torch.cat([y, F.pad(y, (0, 0, 0, s))[:, s:]], dim=2)
        y = self.dropout(self.norm(pack(self.wide(y).relu_(), lengths)))
        return (
            torch.add(unpack(y, lengths, frames), x, alpha=self.bypass) if self.bypass else unpack(y, lengths, frames)
        )

    @torch.no_grad()
    def constrain(self) -> None:
        """Move the first matrix M towards a multiple of a semi-orthogonal one (equation 3 of the paper, its floating
        case: the scale is that which M itself has)."""
        m = self.narrow.weight
        if m.shape[0] > m.shape[1]:
            m = m.T
        p = m @ m.T
        trace, of_square = p.trace(), (p * p).sum()
        scale = of_square / trace
        ratio = of_square * len(p) / (trace * trace)
        speed = 0.125 if ratio <= 1.02 else 0.125 / (2 if ratio <= 1.1 else 4)
        p.diagonal().sub_(scale)
        m.sub_((4 * speed / scale) * (p @ m))


class Tdnnf(nn.Module):
    """The layers; frames after `subsampling` of them are one."""

    def __init__(self, inputs: int, config: TdnnfConfig):
        super().__init__()
        self.outputs, self.subsampling = config.units, config.subsampling
        coarse = [bool(s) and s % config.subsampling == 0 for s in config.strides]
        self.fine = coarse.index(True) if True in coarse else len(coarse)  # layers at the full rate
        if config.subsampling > 1 and any(s % config.subsampling for s in config.strides[self.fine :]):
            raise ValueError
        sizes = [inputs] + [config.units] * (len(config.strides) - 1)
        steps = [s if n < self.fine else s // config.subsampling for n, s in enumerate(config.strides)]
        self.layers = nn.ModuleList(Factorised(size, config, s) for size, s in zip(sizes, steps, strict=True))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(batch, frames, inputs) -> (batch, frames / subsampling, outputs), rounded up."""
        x = x * valid_frames(lengths, x.shape[1]).unsqueeze(2)
        for number, layer in enumerate(self.layers):
            if number == self.fine:
                x, lengths = x[:, :: self.subsampling].contiguous(), self.frames(lengths)
            x = layer(x, lengths)
        return x if self.fine < len(self.layers) else x[:, :: self.subsampling]

    def frames(self, lengths: Tensor) -> Tensor:
        """Lengths of the outputs."""
        return -(-lengths // self.subsampling)

    def constrain(self) -> None:
        """Keep the narrow matrices close to semi-orthogonal; after some optimiser steps each time."""
        for layer in self.layers:
            assert isinstance(layer, Factorised)
            layer.constrain()
