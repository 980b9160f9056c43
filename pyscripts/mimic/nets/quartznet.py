"""QuartzNet: separable convolutions over time alone (Kriman et al., "QuartzNet: Deep Automatic Speech Recognition with
1D Time-Channel Separable Convolutions", 2020).
"""

from dataclasses import dataclass, field

from torch import Tensor, nn

from mimic.nets.dropout import dropout
from mimic.nets.masking import pack, unpack
from mimic.nets.products import Linear
from mimic.settings import BelowOne, Count


@dataclass
class QuartznetConfig:
    """Sizes of a QuartzNet; the defaults are 5x5: five blocks of five modules.

    Attributes:
        repeats: how often each block is repeated: 1 for 5x5, 3 for 15x5.
        modules: convolutions of a block.
        channels: of the first convolution, of each block, of the wide convolution after them, and of the output.
        kernels: frames that these span, odd; the output layer spans one frame.
        dilation: of the wide convolution.
        dropout: after every module.
    """

    repeats: Count = 1
    modules: Count = 5
    channels: list[Count] = field(default_factory=lambda: [256, 256, 256, 512, 512, 512, 512, 1024])
    kernels: list[Count] = field(default_factory=lambda: [33, 33, 39, 51, 63, 75, 87])
    dilation: Count = 2
    dropout: BelowOne = 0.0

    def check(self) -> str:
        """What does not fit, see `mimic.settings.build`."""
        if len(self.channels) != len(self.kernels) + 1 or len(self.kernels) < 3:
            return "channels: one more than kernels, of which there are at least three"
        return "" if all(kernel % 2 for kernel in self.kernels) else f"kernels {self.kernels}: must be odd numbers"


class Separable(nn.Module):
    """Convolution over time of each channel by itself, then a mixture of channels, normalised over real frames.

    The second part works on real frames alone, (real frames, channels).
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1):
        super().__init__()
        padding = kernel // 2 * dilation
        self.depth = nn.Conv1d(inputs, inputs, kernel, stride, padding, dilation, groups=inputs, bias=False)
        self.mix = Linear(inputs, outputs, bias=False)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(batch, frames, inputs), zero on padding, lengths of the output -> (real frames', outputs)."""
        x = self.depth(x.transpose(1, 2)).transpose(1, 2)  # (batch, frames', inputs)
        return self.norm(self.mix(pack(x, lengths)))


class Block(nn.Module):
    """Separable convolutions with a shortcut past all of them."""

    def __init__(self, inputs: int, outputs: int, kernel: int, modules: int, p: float):
        super().__init__()
        self.parts = nn.ModuleList(Separable(inputs if i == 0 else outputs, outputs, kernel) for i in range(modules))
        self.shortcut = nn.Sequential(Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs))
        self.p = p

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(batch, frames, inputs) -> (batch, frames, outputs), zero on padding."""
        frames, shortcut = x.shape[1], self.shortcut(pack(x, lengths))
        for part in self.parts:
            y = part(x, lengths)
            if part is self.parts[-1]:
                y = y + shortcut
            x = unpack(dropout(y.relu(), self.p, self.training), lengths, frames)
        return x


class Quartznet(nn.Module):
    """Features (batch, frames, bins) and lengths -> (batch, (frames + 1) // 2, channels) and lengths."""

    def __init__(self, bins: int, config: QuartznetConfig):
        super().__init__()
        channels, kernels = config.channels, config.kernels
        self.first = Separable(bins, channels[0], kernels[0], stride=2)
        self.blocks = nn.ModuleList()
        inputs = channels[0]
        for outputs, kernel in zip(channels[1:-2], kernels[1:-1], strict=True):
            for _ in range(config.repeats):
                self.blocks.append(Block(inputs, outputs, kernel, config.modules, config.dropout))
                inputs = outputs
        self.wide = Separable(inputs, channels[-2], kernels[-1], dilation=config.dilation)
        self.last = nn.Sequential(Linear(channels[-2], channels[-1], bias=False), nn.BatchNorm1d(channels[-1]))
        self.dropout, self.output_size = config.dropout, channels[-1]

    def output_lengths(self, lengths):
        return (lengths + 1) // 2

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        frames = self.output_lengths(x.shape[1])
        x = unpack(pack(x, lengths), lengths, x.shape[1])  # zero on padding
        lengths = self.output_lengths(lengths)
        x = unpack(self._respond(self.first(x, lengths)), lengths, frames)
        for block in self.blocks:
            x = block(x, lengths)
        x = self._respond(self.wide(x, lengths))
        return unpack(self._respond(self.last(x)), lengths, frames), lengths

    def _respond(self, x: Tensor) -> Tensor:
        return dropout(x.relu(), self.dropout, self.training)
