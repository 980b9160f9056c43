"""CRDNN: convolution over time and frequency, recurrence, dense layers.

The network of SpeechBrain's recipes (Ravanelli et al., 2021) in its three roles here: perceptual model,
mask estimator, recogniser's encoder. Its convolutional part alone gives the mimic embedding.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mimic.errors import UserError
from mimic.nets.dropout import Dropout
from mimic.nets.masking import mirrored_border, pack, tracing, unpack
from mimic.nets.products import Linear
from mimic.nets.rnn import Rnn
from mimic.settings import BelowOne, Count, CountOrZero


@dataclass
class CrdnnConfig:
    """Sizes of a CRDNN.

    Attributes:
        channels: convolution channels, one block of two layers each; every block halves the frequencies.
        time_pooling: frames merged into one (maximum) between convolution and recurrence; 1 keeps them all.
        rnn: ligru (shared directions, as published), ligru_clipped (the same with bounded states, for high
            learning rates), lstm or gru (cuDNN / oneDNN).
        rnn_layers: recurrent layers, bidirectional.
        rnn_units: units per direction.
        dnn_layers: dense layers; 0: the recurrent layers' output is that of the network.
        dnn_units: units of a dense layer, and the size of the output.
        dropout: of channels, recurrent candidates and dense units.
    """

    channels: list[Count] = field(default_factory=lambda: [128, 256])
    time_pooling: Count = 1
    rnn: Literal["ligru", "ligru_clipped", "lstm", "gru"] = "ligru"
    rnn_layers: Count = 4
    rnn_units: Count = 512
    dnn_layers: CountOrZero = 2
    dnn_units: Count = 512
    dropout: BelowOne = 0.15


def _halve_bins(x: Tensor) -> Tensor:
    """Larger one of two neighbouring bins: (batch, frames, bins, channels) -> (batch, frames, bins // 2, channels)."""
    if tracing():
        return torch.maximum(x[:, :, : x.shape[2] // 2 * 2 : 2], x[:, :, 1::2])
    return _HalveBins.apply(x)


class _HalveBins(torch.autograd.Function):
    """With channels last PyTorch's pooling takes 1.3 to 6 times as long."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        """(batch, frames, bins, channels) -> (batch, frames, bins // 2, channels)."""
        ctx.bins = x.shape[2]
        even, odd = x[:, :, : ctx.bins // 2 * 2 : 2], x[:, :, 1::2]
        ctx.save_for_backward(odd > even)
        return torch.maximum(even, odd)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor) -> Tensor:
        (take_odd,) = ctx.saved_tensors
        # A product: masked_fill of a mask without a pattern takes eight times as long.
        odd = grad * take_odd
        x = grad.new_empty(*grad.shape[:2], ctx.bins, grad.shape[3])
        x[:, :, 1::2] = odd
        torch.sub(grad, odd, out=x[:, :, : ctx.bins // 2 * 2 : 2])
        if ctx.bins % 2:
            x[:, :, -1] = 0
        return x


class ConvBlock(nn.Module):
    """Two 3 x 3 convolutions, each with layer normalisation over frequency and channel; then pooling by 2."""

    def __init__(self, bins: int, inputs: int, outputs: int, dropout: float):
        super().__init__()
        self.conv = nn.ModuleList([nn.Conv2d(inputs, outputs, 3), nn.Conv2d(outputs, outputs, 3)])
        self.norm = nn.ModuleList(nn.LayerNorm([bins, outputs]) for _ in self.conv)
        self.dropout = dropout

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(batch, frames, bins, inputs) -> (batch, frames, bins // 2, outputs)."""
        for conv, norm in zip(self.conv, self.norm, strict=True):
            x = mirrored_border(x, lengths).permute(0, 3, 1, 2)  # channels last in memory: no copy
            x = F.leaky_relu(norm(conv(x).permute(0, 2, 3, 1)), inplace=True)  # (batch, frames, bins, outputs)
        x = _halve_bins(x)
        if self.training:
            x = x.mul_(F.dropout(x.new_ones(len(x), 1, 1, x.shape[3]), self.dropout))  # whole channels
        return x


class Cnn(nn.Module):
    """The convolutional part. Its output is the embedding of the published mimic loss."""

    def __init__(self, bins: int, channels: list[int], dropout: float):
        super().__init__()
        self.blocks = nn.ModuleList()
        inputs = 1
        if not bins >> len(channels):
            raise UserError(f"model.channels {channels}: {bins} bins cannot be halved {len(channels)} times")
        for outputs in channels:
            self.blocks.append(ConvBlock(bins, inputs, outputs, dropout))
            bins, inputs = bins // 2, outputs
        self.output_size = bins * inputs

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(batch, frames, bins) -> (batch, frames, bins >> blocks, channels)."""
        x = x.unsqueeze(3)
        for block in self.blocks:
            x = block(x, lengths)
        return x


class Dnn(nn.Module):
    """Dense layers with batch normalisation over real frames."""

    def __init__(self, inputs: int, units: int, layers: int, dropout: float):
        super().__init__()
        sizes = [inputs] + [units] * layers
        self.net = nn.Sequential()
        for a, b in zip(sizes[:-1], sizes[1:], strict=True):
            self.net.extend([Linear(a, b), nn.BatchNorm1d(b), nn.LeakyReLU(), Dropout(dropout)])

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(batch, frames, inputs) -> (batch, frames, units)."""
        return unpack(self.net(pack(x, lengths)), lengths, x.shape[1])


class Crdnn(nn.Module):
    """Features (batch, frames, bins) and lengths -> (batch, frames // time_pooling, dnn_units) and lengths."""

    def __init__(self, bins: int, config: CrdnnConfig):
        super().__init__()
        self.cnn = Cnn(bins, config.channels, config.dropout)
        self.rnn = Rnn(config.rnn, self.cnn.output_size, config.rnn_units, config.rnn_layers, config.dropout)
        self.dnn = Dnn(2 * config.rnn_units, config.dnn_units, config.dnn_layers, config.dropout)
        self.time_pooling = config.time_pooling
        self.output_size = config.dnn_units if config.dnn_layers else 2 * config.rnn_units

    def output_lengths(self, lengths: Tensor) -> Tensor:
        return lengths // self.time_pooling

    def layers(self, x: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """The output of each part: `cnn` (batch, frames, bins, channels), `rnn` and `dnn` (batch, frames', units)."""
        cnn = self.cnn(x, lengths)
        pooled = cnn
        if self.time_pooling > 1:
            pooled = F.max_pool2d(cnn.flatten(2).unsqueeze(1), (self.time_pooling, 1)).squeeze(1)
            lengths = self.output_lengths(lengths)
        rnn = self.rnn(pooled.flatten(2), lengths)
        return {"cnn": cnn, "rnn": rnn, "dnn": self.dnn(rnn, lengths)}

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self.layers(x, lengths)["dnn"], self.output_lengths(lengths)


class CrdnnMask(nn.Module):
    """Features (batch, frames, bins) -> mask (batch, frames, bins), zero or more, not bounded above.

    The second network of the 2021 mimic-loss recipe (SpeechBrain, Voicebank/MTL).
    """

    def __init__(self, bins: int, config: CrdnnConfig):
        super().__init__()
        if config.time_pooling != 1:
            raise UserError(f"--model.time_pooling {config.time_pooling}: a mask needs every frame: set it to 1")
        self.crdnn = Crdnn(bins, config)
        self.output = Linear(self.crdnn.output_size, bins)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        units, _ = self.crdnn(x, lengths)  # (batch, frames, crdnn.output_size)
        return self.output(units).relu()
