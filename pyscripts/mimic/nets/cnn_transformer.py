"""CNN-Transformer mask estimator of the 2021 mimic-loss recipe (Bagchi and Fosler-Lussier; SpeechBrain)."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mimic.nets.attention import attend
from mimic.nets.dropout import dropout
from mimic.nets.masking import reflect_edges, valid_frames
from mimic.nets.products import Linear, adopt, linear
from mimic.settings import BelowOne, Count


@dataclass
class CnnTransformerConfig:
    """Sizes of the network.

    Attributes:
        channels: convolutions over time, width 3; the last one gives the size of the transformer.
        layers: transformer encoder layers, normalised after each residual as published.
        heads: attention heads.
        feedforward: hidden units of a layer's feed-forward part.
        dropout: inside the transformer layers.
    """

    channels: list[Count] = field(default_factory=lambda: [1024, 512, 256, 256])
    layers: Count = 8
    heads: Count = 8
    feedforward: Count = 512
    dropout: BelowOne = 0.1

    def check(self) -> str:
        """What does not fit, see `mimic.settings.build`."""
        if not self.channels:
            return "channels: expected at least one convolution"
        odd = self.channels[-1] % self.heads
        return f"heads {self.heads} does not divide the last of channels, {self.channels[-1]}" if odd else ""


class Layer(nn.TransformerEncoderLayer):
    """PyTorch's encoder layer, its parameters and equations, normalised after each residual, with quicker dropout."""

    def forward(self, src: Tensor, src_mask: Tensor | None = None, *_: Any, **__: Any) -> Tensor:
        """(batch, frames, size), what is added to attention scores (batch, 1, 1 or frames, frames) -> the same."""
        assert src_mask is not None  # optional, with more after it, only in PyTorch's layer
        x, bias = src, src_mask
        x = self.norm1(x + self._drop(self._attend(x, bias)))
        hidden = self._drop(F.leaky_relu(self.linear1(x), inplace=True))
        return self.norm2(x + self._drop(self.linear2(hidden)))

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.dropout.p, self.training)

    def _attend(self, x: Tensor, bias: Tensor) -> Tensor:
        net = self.self_attn
        batch, frames, size = x.shape
        projected = linear(x, net.in_proj_weight, net.in_proj_bias)
        projected = projected.view(batch, frames, 3, net.num_heads, -1)
        attended = attend(projected, bias, self.dropout.p if self.training else 0.0)
        return net.out_proj(attended.flatten(2))  # (batch, frames, size)


class CnnTransformer(nn.Module):
    """Features (batch, frames, bins) -> mask (batch, frames, bins), zero or more, not bounded above.

    reach: frames to either side that attention sees; 0: the whole utterance, as published.
    """

    reach = 0

    def __init__(self, bins: int, config: CnnTransformerConfig):
        super().__init__()
        sizes = [bins, *config.channels]
        self.conv = nn.ModuleList(nn.Conv1d(a, b, 3) for a, b in zip(sizes[:-1], sizes[1:], strict=True))
        self.norm = nn.ModuleList(nn.LayerNorm(size) for size in config.channels)
        size = config.channels[-1]
        layer = Layer(
            size, config.heads, config.feedforward, config.dropout, F.leaky_relu, layer_norm_eps=1e-6, batch_first=True
        )
        self.transformer = nn.TransformerEncoder(
            layer, config.layers, nn.LayerNorm(size, eps=1e-6), enable_nested_tensor=False
        )
        adopt(self.transformer)
        self.output = Linear(size, bins, bias=False)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        for conv, norm in zip(self.conv, self.norm, strict=True):
            assert isinstance(conv, nn.Conv1d)
            x = F.leaky_relu(norm(_convolve(conv, x, lengths)), inplace=True)  # (batch, frames, channels)
        bias = torch.zeros(len(x), 1, 1, x.shape[1], dtype=x.dtype, device=x.device)
        bias.masked_fill_(~valid_frames(lengths, x.shape[1])[:, None, None], -torch.inf)
        if 0 < self.reach < x.shape[1] - 1:
            time = torch.arange(x.shape[1], device=x.device)
            bias = bias.masked_fill((time[:, None] - time).abs() > self.reach, -torch.inf)  # (batch, 1, frames, frames)
        for layer in self.transformer.layers:
            x = layer(x, bias)
        assert self.transformer.norm is not None
        return self.output(self.transformer.norm(x)).relu()


def _convolve(conv: nn.Conv1d, x: Tensor, lengths: Tensor) -> Tensor:
    """(batch, frames, inputs) -> (batch, frames, outputs), mirrored at an utterance's ends: one matrix product."""
    bordered = reflect_edges(x, lengths)
    windows = torch.cat([bordered[:, :-2], bordered[:, 1:-1], bordered[:, 2:]], dim=2)  # (batch, frames, 3 * inputs)
    return linear(windows, conv.weight.transpose(1, 2).flatten(1), conv.bias)
