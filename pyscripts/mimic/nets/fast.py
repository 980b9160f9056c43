"""A complex mask by convolutions over frequency and recurrences over time: FastEnhancer.

"FastEnhancer: Speed-Optimized Streaming Neural Speech Enhancement", arXiv 2509.21867: sizes T, B and M are values of
`FastConfig`. Nothing is convolved over time, so the only state of a stream is that of the recurrences, and batch and
weight normalisation become plain weights at inference (`mimic.nets.fast_step`).
"""

from dataclasses import dataclass, field
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from mimic.nets import gru
from mimic.nets.masking import pack, reverse, unpack
from mimic.nets.norm_silu import norm_silu
from mimic.nets.products import Linear
from mimic.settings import Count, Range

State = tuple[Tensor, ...]  # of each block (batch, positions, units)


@dataclass
class FastConfig:
    """Sizes of the network; the defaults are those of T (22,090 parameters).

    Attributes:
        channels: of the convolutions. T 24, B 48, M 96.
        kernels: widths over frequency; the first one has the stride, the others are odd. M has one more.
        stride: bins from one position to the next.
        units: channels of the core. T 20, B 36, M 72; a multiple of heads.
        positions: over frequency in the core. T 16, B 24, M 48.
        blocks: of the core, each a recurrence over time and attention over positions. T 2, B 3, M 4.
        heads: of the attention.
        bidirectional: recurrences in both directions: not causal, for recordings only.
        weight_norm: whether the recurrences and the last convolution are trained with weight normalisation.
    """

    channels: Count = 24
    kernels: list[Count] = field(default_factory=lambda: [8, 3, 3])
    stride: Annotated[int, Range(1, 16)] = 4
    units: Count = 20
    positions: Count = 16
    blocks: Count = 2
    heads: Count = 4
    bidirectional: bool = False
    weight_norm: bool = True

    def check(self) -> str:
        """What does not fit, see `mimic.settings.build`."""
        if self.units % self.heads:
            return f"units {self.units} is not a multiple of heads {self.heads}"
        if len(self.kernels) < 2 or any(kernel % 2 == 0 for kernel in self.kernels[1:]):
            return f"kernels {self.kernels}: expected two or more, odd but for the first"
        if self.kernels[0] < self.stride or (self.kernels[0] - self.stride) % 2:
            return f"kernels {self.kernels}: the first one is stride {self.stride} or an even number more"
        return ""


class Normalised(nn.Sequential):
    """A convolution over frequency and batch normalisation, of (frames, channels, 1, positions); with SiLU or not."""

    def __init__(self, inputs: int, outputs: int, width: int, stride: int = 1, act: bool = True):
        padding = (0, (width - stride) // 2)
        conv = nn.Conv2d(inputs, outputs, (1, width), (1, stride), padding, bias=False)
        super().__init__(conv, nn.BatchNorm2d(outputs), *([nn.SiLU()] if act else []))

    def forward(self, x: Tensor) -> Tensor:
        conv, norm, *act = self
        return norm_silu(norm, conv(x)) if act else norm(conv(x))


class Joining(nn.ModuleList):
    """A `Normalised` of width 1 over the channels of two images together, without a copy that holds both."""

    def __init__(self, channels: int):
        super().__init__(Normalised(2 * channels, channels, 1).children())

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        conv, norm, _ = self
        weight: Tensor = conv.weight  # type: ignore[assignment]
        of_a, of_b = weight.split([a.shape[1], b.shape[1]], dim=1)
        return norm_silu(norm, nn.functional.conv2d(a, of_a).add_(nn.functional.conv2d(b, of_b)))


class Stage(nn.ModuleList):
    """A stage of the decoder: two images are joined, then convolved."""

    def __init__(self, channels: int, width: int):
        super().__init__([Joining(channels), Normalised(channels, channels, width)])

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        join, convolve = self
        return convolve(join(a, b))


class Block(nn.Module):
    """A recurrence over time, shared by all positions, and attention over the positions of each frame."""

    def __init__(self, config: FastConfig):
        super().__init__()
        units, self.heads = config.units, config.heads
        directions = 2 if config.bidirectional else 1
        self.rnns = nn.ModuleList(nn.GRU(units, units) for _ in range(directions))
        if config.weight_norm:
            for rnn in self.rnns:
                weight_norm(rnn, "weight_ih_l0")
                weight_norm(rnn, "weight_hh_l0")
        self.rnn_output = Normalised(directions * units, units, 1, act=False)
        self.attention = Linear(units, 3 * units, bias=False)  # queries, keys, values, each by heads
        self.attention_output = Normalised(units, units, 1, act=False)

    def forward(self, x: Tensor, lengths: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """x (real frames, positions, units) of utterances of these lengths, and the state before and after it."""
        # In mixed precision these two stay in 32 bits: conversions of matrices this small take longer than they save.
        dtype = self.attention.weight.dtype
        with torch.autocast(x.device.type, enabled=False):
            rows, state = self._recur(x.to(dtype), lengths, state)
        x = x + _along_rows(self.rnn_output, rows)
        qkv = self.attention(x)
        with torch.autocast(x.device.type, enabled=False):
            attended = self._attend(qkv.to(dtype))
        return x + _along_rows(self.attention_output, attended), state

    def _recur(self, x: Tensor, lengths: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        if state is None and gru.pays(self.rnns[0], x):
            sequences = gru.Sequences.over_frames(lengths, x.shape[1])
            both = [gru.recur(rnn, x, sequences, back > 0) for back, rnn in enumerate(self.rnns)]
            return torch.cat(both, dim=2), both[0][lengths.cumsum(0) - 1]
        batch, frames = len(lengths), int(lengths.max())
        positions, units = x.shape[1:]
        padded = unpack(x, lengths, frames)  # (batch, frames, positions, units)
        by_time = padded.transpose(0, 1).reshape(frames, batch * positions, units)
        if state is not None:
            state = state.reshape(1, batch * positions, units)
        y, state = self.rnns[0](by_time, state)
        outputs = y.view(frames, batch, positions, units).transpose(0, 1)
        if len(self.rnns) == 2:
            turned = reverse(padded.flatten(2), lengths).view_as(padded)
            y, _ = self.rnns[1](turned.transpose(0, 1).reshape(frames, batch * positions, units))
            back = y.view(frames, batch, positions, units).transpose(0, 1)
            back = reverse(back.flatten(2), lengths).view(batch, frames, positions, units)
            outputs = torch.cat([outputs, back], dim=3)
        return pack(outputs, lengths), state.view(batch, positions, units)

    def _attend(self, qkv: Tensor) -> Tensor:
        frames, positions, units = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
        qkv = qkv.view(frames, positions, 3, self.heads, units // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each (frames, heads, positions, units of a head)
        weights = (query @ key.transpose(2, 3) * (units // self.heads) ** -0.5).softmax(3)
        return (weights @ value).transpose(1, 2).reshape(frames, positions, units)


class FastMask(nn.Module):
    """Compressed spectra (batch, frames, 2, bins), real and imaginary part -> a complex mask of the same shape.

    The mask of the first bin, 0 Hz, is zero. bins: n_fft / 2 + 1, with n_fft / 2 a multiple of the stride.
    """

    gather: Tensor
    spread: Tensor

    def __init__(self, bins: int, config: FastConfig):
        super().__init__()
        self.config, places = config, (bins - 1) // config.stride
        if (bins - 1) % config.stride or not 2 <= config.positions <= places:
            raise ValueError(f"{bins - 1} bins by {config.stride} are no {config.positions} positions or more")
        channels, units, (first, *others) = config.channels, config.units, config.kernels
        self.enter = Normalised(2, channels, first, config.stride)
        self.encoder = nn.ModuleList(Normalised(channels, channels, width) for width in others)
        hats = filterbank(places, config.positions)
        self.register_buffer("gather", hats / hats.sum(0), persistent=False)  # (places, positions)
        self.register_buffer("spread", hats.T.contiguous(), persistent=False)  # (positions, places)
        self.reduce = Normalised(channels, units, 1, act=False)
        self.position = nn.Parameter(torch.randn(config.positions, units) * 0.02)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.expand = Normalised(units, channels, 1, act=False)
        self.decoder = nn.ModuleList(Stage(channels, width) for width in reversed(others))
        self.leave = Joining(channels)
        self.output = nn.ConvTranspose2d(channels, 2, (1, first), (1, config.stride), (0, (first - config.stride) // 2))
        if config.weight_norm:
            weight_norm(self.output, "weight", dim=1)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        return self._masks(x, lengths, (None,) * len(self.blocks))[0]

    def step(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The mask of further frames (batch, frames, 2, bins); the state of the frames before, and the one after."""
        if self.config.bidirectional:
            raise ValueError("a bidirectional network has no step")
        lengths = torch.full((len(x),), x.shape[1], device=x.device)
        return self._masks(x, lengths, state or (None,) * len(self.blocks))

    def _masks(self, x: Tensor, lengths: Tensor, before: tuple[Tensor | None, ...]) -> tuple[Tensor, State]:
        y = pack(x, lengths)[:, :, None, 1:].contiguous(memory_format=torch.channels_last)  # (real frames, 2, 1, bins)
        skips = [self.enter(y)]
        for layer in self.encoder:
            skips.append(layer(skips[-1]))
        core = self.gather.T @ _rows(skips[-1])  # (real frames, positions, channels)
        core = _along_rows(self.reduce, core) + self.position
        after = []
        for block, state in zip(self.blocks, before, strict=True):
            core, state = block(core, lengths, state)
            after.append(state)
        y = self.expand(_images(self.spread.T @ core))
        for stage in self.decoder:
            y = stage(y, skips.pop())
        mask = self.output(self.leave(y, skips.pop()))  # (real frames, 2, 1, bins)
        mask = nn.functional.pad(mask.squeeze(2), (1, 0))
        return unpack(mask, lengths, x.shape[1]), tuple(after)


def filterbank(places: int, positions: int) -> Tensor:
    """Triangles at even distances, (places, positions)."""
    return triangles(torch.linspace(0, positions - 1, places), positions)


def triangles(where: Tensor, positions: int) -> Tensor:
    """Weights of linear interpolation at `where` (places,), 0 to positions - 1: (places, positions), rows sum to 1."""
    return (1 - (where[:, None] - torch.arange(positions)).abs()).clamp(min=0)


def _rows(images: Tensor) -> Tensor:
    """(frames, channels, 1, positions) in channels-last order -> (frames, positions, channels), without a copy."""
    return images.squeeze(2).transpose(1, 2)


def _images(rows: Tensor) -> Tensor:
    """(frames, positions, channels) -> (frames, channels, 1, positions) in channels-last order, without a copy."""
    return rows.transpose(1, 2).unsqueeze(2)


def _along_rows(layer: nn.Module, rows: Tensor) -> Tensor:
    """A layer of (frames, channels, 1, positions) on (frames, positions, channels)."""
    return _rows(layer(_images(rows)))
