"""Conformer encoder (Gulati et al., "Conformer: Convolution-augmented Transformer for Speech Recognition", 2020).

Positions are rotary (Su et al., "RoFormer", 2021) where the paper has relative ones: attention then sees distances
just the same, and stays one call of a fused kernel.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mimic.nets.attention import attend
from mimic.nets.dropout import Dropout, dropout
from mimic.nets.masking import tracing, valid_frames
from mimic.nets.products import Linear
from mimic.settings import BelowOne, Count


@dataclass
class ConformerConfig:
    """Sizes of a Conformer; the defaults are the paper's large one, but for the channels (paper: 512).

    Attributes:
        channels: of the two convolutions that merge four frames into one.
        layers: Conformer blocks.
        units: size of a frame between blocks, and of the output.
        heads: attention heads; units is a multiple of twice their number.
        feedforward: hidden units of a block's two feed-forward parts.
        kernel: frames that the convolution of a block spans, odd.
        dropout: after every part of a block, inside its feed-forward parts and on attention weights.
    """

    channels: Count = 256
    layers: Count = 17
    units: Count = 512
    heads: Count = 8
    feedforward: Count = 2048
    kernel: Count = 31
    dropout: BelowOne = 0.1

    def check(self) -> str:
        """What does not fit, see `mimic.settings.build`."""
        if self.units % (2 * self.heads):
            return f"units {self.units} is not a multiple of twice the heads, {self.heads}"
        return "" if self.kernel % 2 else f"kernel {self.kernel}: must be odd"


class Frames:
    """The real frames of a padded batch.

    Everything that takes one frame at a time works on these alone, (real frames, units). They are looked up once:
    a boolean mask would make a GPU wait in every layer.
    """

    def __init__(self, lengths: Tensor, frames: int):
        self.valid = valid_frames(lengths, frames)  # (batch, frames)
        self.index = self.valid.flatten().nonzero().squeeze(1)
        self.bias = torch.zeros_like(self.valid, dtype=torch.float32).masked_fill(~self.valid, -torch.inf)

    def pack(self, x: Tensor) -> Tensor:
        """(batch, frames, units) -> (real frames, units)."""
        if tracing():
            return x.squeeze(0)
        return x.flatten(0, 1).index_select(0, self.index)

    def unpack(self, x: Tensor) -> Tensor:
        """(real frames, units) -> (batch, frames, units), zero on padding."""
        if tracing():
            return x.unsqueeze(0)
        padded = x.new_zeros(self.valid.numel(), x.shape[1]).index_copy(0, self.index, x)
        return padded.view(*self.valid.shape, -1)


class Subsampling(nn.Module):
    """Two 3 x 3 convolutions with stride 2 over time and frequency, then a dense layer."""

    def __init__(self, bins: int, channels: int, units: int):
        super().__init__()
        sizes = (1, channels, channels)
        self.conv = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in zip(sizes[:-1], sizes[1:], strict=True)
        )
        self.output = Linear((bins + 3) // 4 * channels, units)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(batch, frames, bins) -> (batch, (frames + 3) // 4, units)."""
        x = x.unsqueeze(1)
        for conv in self.conv:
            padding = ~valid_frames(lengths, x.shape[2])
            x = conv(x.masked_fill(padding[:, None, :, None], 0)).relu()  # (batch, channels, frames', bins')
            lengths = (lengths + 1) // 2
        return self.output(x.transpose(1, 2).flatten(2))


class FeedForward(nn.Sequential):
    """(real frames, units) -> the same."""

    def __init__(self, units: int, hidden: int, dropout: float):
        layers = [nn.LayerNorm(units), Linear(units, hidden), nn.SiLU(), Dropout(dropout)]
        super().__init__(*layers, Linear(hidden, units), Dropout(dropout))


class Attention(nn.Module):
    """Self-attention over the real frames of each utterance."""

    def __init__(self, units: int, heads: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(units)
        self.project = Linear(units, 3 * units)
        self.output = Linear(units, units)
        self.heads, self.dropout = heads, dropout

    def forward(self, x: Tensor, frames: Frames, turn: tuple[Tensor, Tensor]) -> Tensor:
        """(real frames, units) -> the same."""
        projected = frames.unpack(self.project(self.norm(x))).unflatten(2, (3, self.heads, -1))
        turned = torch.cat([_rotate(projected[:, :, :2], turn), projected[:, :, 2:]], dim=2)
        p = self.dropout if self.training else 0.0
        attended = attend(turned, frames.bias[:, None, None], p)  # (batch, frames, heads, size)
        return dropout(self.output(frames.pack(attended.flatten(2))), p, True)


def rotary(frames: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines (frames, 1, 1, size // 2) of the angles by which halves of a query or key turn at a frame."""
    speed = 10000 ** (-torch.arange(0, size, 2, device=device) / size)
    angle = torch.arange(frames, device=device)[:, None, None, None] * speed
    return angle.cos(), angle.sin()


def _rotate(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """(batch, frames, 2, heads, size): products of two rotated frames depend on their distance only."""
    cos, sin = (part.to(x.dtype) for part in turn)
    a, b = x.chunk(2, dim=4)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=4)


class Convolution(nn.Module):
    """Gate, convolution over time of each unit by itself, batch normalisation over real frames."""

    def __init__(self, units: int, kernel: int, dropout: float):
        super().__init__()
        self.enter = nn.Sequential(nn.LayerNorm(units), Linear(units, 2 * units), nn.GLU())
        self.conv = nn.Conv1d(units, units, kernel, padding=kernel // 2, groups=units, bias=False)
        self.leave = nn.Sequential(nn.BatchNorm1d(units), nn.SiLU(), Linear(units, units), Dropout(dropout))

    def forward(self, x: Tensor, frames: Frames) -> Tensor:
        """(real frames, units) -> the same."""
        padded = frames.unpack(self.enter(x))  # padding is zero, as is what lies beyond the batch's borders
        return self.leave(frames.pack(self.conv(padded.transpose(1, 2)).transpose(1, 2)))


class Block(nn.Module):
    """Half a feed-forward part, attention, convolution, the other half; then layer normalisation."""

    def __init__(self, config: ConformerConfig):
        super().__init__()
        units, dropout = config.units, config.dropout
        self.before = FeedForward(units, config.feedforward, dropout)
        self.attention = Attention(units, config.heads, dropout)
        self.convolution = Convolution(units, config.kernel, dropout)
        self.after = FeedForward(units, config.feedforward, dropout)
        self.norm = nn.LayerNorm(units)

    def forward(self, x: Tensor, frames: Frames, turn: tuple[Tensor, Tensor]) -> Tensor:
        """(real frames, units) -> the same."""
        x = x + 0.5 * self.before(x)
        x = x + self.attention(x, frames, turn)
        x = x + self.convolution(x, frames)
        return self.norm(x + 0.5 * self.after(x))


class Conformer(nn.Module):
    """Features (batch, frames, bins) and lengths -> (batch, (frames + 3) // 4, units) and lengths."""

    def __init__(self, bins: int, config: ConformerConfig):
        super().__init__()
        self.subsampling = Subsampling(bins, config.channels, config.units)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.output_size, self.head_size = config.units, config.units // config.heads

    def output_lengths(self, lengths: Tensor) -> Tensor:
        return (lengths + 3) // 4

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x = self.subsampling(x, lengths)
        lengths = self.output_lengths(lengths)
        frames = Frames(lengths, x.shape[1])
        turn = rotary(x.shape[1], self.head_size, x.device)
        x = self.dropout(frames.pack(x))  # (real frames, units)
        for block in self.blocks:
            x = block(x, frames, turn)
        return frames.unpack(x), lengths
