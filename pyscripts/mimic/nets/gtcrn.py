"""A complex mask by grouped convolutions and grouped dual-path recurrences: GTCRN.

Rong et al., "GTCRN: A Speech Enhancement Model Requiring Ultralow Computational Resources", ICASSP 2024: 23,669 learnt
parameters and 24,576 of its fixed ERB matrices. What the network knows of the past: the last frames of six
convolutions, and the states of its recurrences.
"""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mimic.nets import gru
from mimic.nets.fast import triangles
from mimic.nets.masking import pack, unpack
from mimic.nets.products import Linear
from mimic.settings import Count

DILATIONS = (1, 2, 5)  # frames, of the convolutions over time
State = tuple[Tensor, ...]


@dataclass
class GtcrnConfig:
    """Sizes of the network; the defaults are the published ones.

    Attributes:
        channels: of all layers; a multiple of 4.
        low: bins that stay as they are, from 0 Hz on.
        bands: that the bins above them are gathered into, evenly on the ERB scale.
        blocks: dual-path recurrences.
    """

    channels: Count = 16
    low: Count = 65
    bands: Count = 64
    blocks: Count = 2

    def check(self) -> str:
        """What does not fit, see `mimic.settings.build`."""
        return f"channels {self.channels} is not a multiple of 4" if self.channels % 4 else ""


class Erb(nn.Module):
    """Bins to bands, and back: (..., bins) <-> (..., low + bands), by fixed triangles on the ERB scale."""

    gather: Tensor
    spread: Tensor

    def __init__(self, bins: int, low: int, bands: int, rate: float = 16000.0):
        super().__init__()
        if bins - low < bands:
            raise ValueError(f"{bins} bins are too few for {low} and {bands} bands")
        hz = torch.arange(low, bins) * rate / 2 / (bins - 1)
        scale = torch.log10(1 + 0.00437 * hz)  # Glasberg and Moore, 1990, up to a factor
        where = (scale - scale[0]) / (scale[-1] - scale[0]) * (bands - 1)
        hats = triangles(where, bands)  # (bins - low, bands)
        self.low = low
        self.register_buffer("gather", hats / hats.sum(0).clamp(min=1e-6), persistent=False)
        self.register_buffer("spread", hats.T.contiguous(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x[..., : self.low], x[..., self.low :] @ self.gather], dim=-1)

    def inverse(self, x: Tensor) -> Tensor:
        return torch.cat([x[..., : self.low], x[..., self.low :] @ self.spread], dim=-1)


class Layer(nn.Sequential):
    """A convolution over (frames, channels, bands), batch normalisation and an activation."""

    def __init__(self, conv: nn.Conv1d | nn.ConvTranspose1d, act: nn.Module):
        super().__init__(conv, nn.BatchNorm1d(conv.out_channels), act)


class TemporalAttention(nn.Module):
    """Weights of each channel by a recurrence over the energies of the frames."""

    def __init__(self, channels: int):
        super().__init__()
        self.rnn = nn.GRU(channels, 2 * channels, batch_first=True)
        self.output = Linear(2 * channels, channels)

    def forward(self, x: Tensor, lengths: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        energy = x.square().mean(2)  # (real frames, channels)
        if state is None and gru.pays(self.rnn, energy):
            y = gru.recur(self.rnn, energy, gru.Sequences.over_frames(lengths, 1))
            return x * self.output(y).sigmoid().unsqueeze(2), y[lengths.cumsum(0) - 1].unsqueeze(1)
        energy = unpack(energy, lengths, int(lengths.max()))  # (batch, frames, channels)
        y, state = self.rnn(energy, None if state is None else state.transpose(0, 1).contiguous())
        return x * pack(self.output(y).sigmoid(), lengths).unsqueeze(2), state.transpose(0, 1)


class GroupedTemporal(nn.Module):
    """Half of the channels through a dilated convolution over time and attention; then both halves are interleaved."""

    norm: nn.Module  # none, once it is folded

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        half = channels // 2
        self.enter = Layer(nn.Conv1d(3 * half, channels, 1), nn.PReLU())
        self.depth = nn.Conv2d(channels, channels, 3, padding=(0, 1), dilation=(dilation, 1), groups=channels)
        self.norm, self.act = nn.BatchNorm2d(channels), nn.PReLU()
        self.leave = Layer(nn.Conv1d(channels, half, 1), nn.Identity())
        self.attention = TemporalAttention(half)
        self.reach = 2 * dilation

    def forward(self, x: Tensor, lengths: Tensor, state: State) -> tuple[Tensor, list[Tensor]]:
        """x (real frames, channels, bands); the state: the last inputs of the convolution, that of the attention."""
        worked, kept = x.chunk(2, dim=1)
        y = unpack(self.enter(subbands(worked)), lengths, int(lengths.max())).transpose(1, 2)
        past = state[0] if state else y.new_zeros(len(y), y.shape[1], self.reach, y.shape[3])
        y = torch.cat([past, y], dim=2)  # (batch, channels, reach + frames, bands)
        last = y[:, :, -self.reach :]
        y = pack(self.depth(y).transpose(1, 2), lengths)
        y = self.act(self.norm(y.unsqueeze(2)).squeeze(2))
        y, attention = self.attention(self.leave(y), lengths, state[1] if state else None)
        return torch.stack([y, kept], dim=2).flatten(1, 2), [last, attention]


class DualPath(nn.Module):
    """Grouped recurrences over the bands of a frame, both ways, and over the frames of a band."""

    def __init__(self, channels: int, bands: int):
        super().__init__()
        half, quarter = channels // 2, channels // 4
        self.over_bands = nn.ModuleList(nn.GRU(half, quarter, batch_first=True, bidirectional=True) for _ in range(2))
        self.over_time = nn.ModuleList(nn.GRU(half, half) for _ in range(2))
        self.outputs = nn.ModuleList(Linear(channels, channels) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm([bands, channels], eps=1e-8) for _ in range(2))

    def forward(self, x: Tensor, lengths: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """x (real frames, bands, channels); the state (batch, bands, channels)."""
        halves = [_both_ways(rnn, half) for rnn, half in zip(self.over_bands, x.chunk(2, dim=2), strict=True)]
        x = x + self.norms[0](self.outputs[0](torch.cat(halves, dim=2)))
        if state is None and gru.pays(self.over_time[0], x):
            sequences = gru.Sequences.over_frames(lengths, x.shape[1])
            parts = [gru.recur(rnn, part, sequences) for rnn, part in zip(self.over_time, x.chunk(2, 2), strict=True)]
            y = torch.cat(parts, dim=2)
            return x + self.norms[1](self.outputs[1](y)), y[lengths.cumsum(0) - 1]
        batch, frames, (_, bands, channels) = len(lengths), int(lengths.max()), x.shape
        y = unpack(x, lengths, frames).transpose(0, 1).reshape(frames, batch * bands, channels)
        before = (None, None) if state is None else state.reshape(1, batch * bands, channels).chunk(2, dim=2)
        outputs, after = [], []
        for rnn, half, h in zip(self.over_time, y.chunk(2, dim=2), before, strict=True):
            out, h = rnn(half, None if h is None else h.contiguous())
            outputs.append(out)
            after.append(h)
        y = torch.cat(outputs, dim=2).view(frames, batch, bands, channels).transpose(0, 1)
        x = x + self.norms[1](self.outputs[1](pack(y, lengths)))
        return x, torch.cat(after, dim=2).view(batch, bands, channels)


def _both_ways(rnn: nn.Module, x: Tensor) -> Tensor:
    """A bidirectional recurrence over the bands of x (frames, bands, channels)."""
    if not gru.pays(rnn, x):
        return rnn(x)[0]
    sequences = gru.Sequences.over_positions(len(x), x.shape[1])
    return torch.cat([gru.recur(rnn, x, sequences, way > 0, way) for way in range(2)], dim=2)


class Gtcrn(nn.Module):
    """Compressed spectra (batch, frames, 2, bins), real and imaginary part -> a complex mask of the same shape."""

    def __init__(self, bins: int, config: GtcrnConfig):
        super().__init__()
        self.config, channels = config, config.channels
        self.erb = Erb(bins, config.low, config.bands)
        first = nn.Conv1d(9, channels, 5, stride=2, padding=2)
        second = nn.Conv1d(channels, channels, 5, stride=2, padding=2, groups=2)
        self.enter = nn.ModuleList([Layer(first, nn.PReLU()), Layer(second, nn.PReLU())])
        self.encoder = nn.ModuleList(GroupedTemporal(channels, d) for d in DILATIONS)
        bands = config.low + config.bands
        sizes = [(bands + 1) // 2, ((bands + 1) // 2 + 1) // 2]  # after the strides
        self.blocks = nn.ModuleList(DualPath(channels, sizes[1]) for _ in range(config.blocks))
        self.decoder = nn.ModuleList(GroupedTemporal(channels, d) for d in reversed(DILATIONS))
        odd = [1 - size % 2 for size in (sizes[0], bands)]
        third = nn.ConvTranspose1d(channels, channels, 5, 2, 2, odd[0], groups=2)
        fourth = nn.ConvTranspose1d(channels, 2, 5, 2, 2, odd[1])
        self.leave = nn.ModuleList([Layer(third, nn.PReLU()), Layer(fourth, nn.Tanh())])

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        return self._masks(x, lengths, None)[0]

    def step(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The mask of further frames (batch, frames, 2, bins); the state of the frames before, and the one after."""
        return self._masks(x, torch.full((len(x),), x.shape[1], device=x.device), state)

    def initial(self) -> State:
        """The state before the first frame of one signal."""
        with torch.inference_mode():
            bins = self.erb.low + len(self.erb.gather)
            state = self.step(torch.zeros(1, 1, 2, bins))[1]
        return tuple(torch.zeros(value.shape) for value in state)

    def _masks(self, x: Tensor, lengths: Tensor, state: State | None) -> tuple[Tensor, State]:
        before: list[Any] = list(state) if state else [None] * (4 * len(DILATIONS) + len(self.blocks))
        after: list[Tensor] = []
        y = pack(x, lengths)  # (real frames, 2, bins)
        y = torch.cat([(y.square().sum(1, keepdim=True) + 1e-12).sqrt(), y], dim=1)
        y = subbands(self.erb(y))  # (real frames, 9, bands)
        skips = []
        for layer in self.enter:
            y = layer(y)
            skips.append(y)
        for block in self.encoder:
            y, new = block(y, lengths, _next_two(before, after))
            after += new
            skips.append(y)
        y = y.transpose(1, 2)
        for block in self.blocks:
            y, new = block(y, lengths, before[len(after)])
            after.append(new)
        y = y.transpose(1, 2)
        for block in self.decoder:
            y, new = block(y + skips.pop(), lengths, _next_two(before, after))
            after += new
        for layer in self.leave:
            y = layer(y + skips.pop())
        return unpack(self.erb.inverse(y), lengths, x.shape[1]), tuple(after)


def _next_two(before: list[Any], after: list[Tensor]) -> State:
    """The two values that follow those which are known."""
    found = before[len(after) : len(after) + 2]
    return () if found[0] is None else tuple(found)


def subbands(x: Tensor) -> Tensor:
    """Each band and its neighbours as channels: (frames, channels, bands) -> (frames, 3 channels, bands)."""
    padded = F.pad(x, (1, 1))
    return torch.stack([padded[:, :, :-2], x, padded[:, :, 2:]], dim=2).flatten(1, 2)


def folded(net: Gtcrn) -> Gtcrn:
    """The inference form of a trained network: a copy whose batch normalisations are in the convolutions' weights."""
    net = copy.deepcopy(net).eval()
    for module in list(net.modules()):
        if isinstance(module, Layer):
            _fold(module[0], module[1])
            module[1] = nn.Identity()
        if isinstance(module, GroupedTemporal):
            _fold(module.depth, module.norm)
            module.norm = nn.Identity()
    return net


@torch.no_grad()
def _fold(conv: nn.Module, norm: nn.Module) -> None:
    """Put a batch normalisation into the weights of the convolution before it."""
    assert isinstance(conv, nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d) and conv.bias is not None
    assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    conv.bias.copy_((conv.bias - norm.running_mean) * scale + norm.bias)
    if isinstance(conv, nn.ConvTranspose1d):  # weights (inputs, outputs of a group, width)
        groups = conv.weight.view(conv.groups, -1, *conv.weight.shape[1:])
        groups *= scale.view(conv.groups, 1, -1, 1)
    else:
        conv.weight *= scale.view(-1, *[1] * (conv.weight.dim() - 1))
