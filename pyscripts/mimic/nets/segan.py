"""SEGAN: enhancement of waveforms by a generative adversarial network (Pascual et al., 2017).

The generator's convolutions halve the time axis step by step, a random vector joins the innermost signal, transposed
convolutions double it again, each with the mirrored layer's output beside it. The discriminator tells pairs (clean,
noisy) from (enhanced, noisy). Both work on windows of pre-emphasised samples.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mimic.nets.masking import tracing
from mimic.nets.products import Linear
from mimic.settings import BelowOne, Count, CountOrZero

SLOPE = 0.3  # of the discriminator's leaky ReLU
EPSILON = 1e-5


@dataclass
class SeganConfig:
    """Sizes of both networks; the defaults are the published ones.

    Attributes:
        channels: of the convolutions, outermost first; the random vector has as many as the last one.
        kernel: samples that a convolution spans.
        stride: factor between the time axes of two layers.
        window: samples of the networks' input.
        preemphasis: coefficient, 0 for none.
        seed: of the random vector when the model is used.
    """

    channels: list[Count] = field(default_factory=lambda: [16, 32, 32, 64, 64, 128, 128, 256, 256, 512, 1024])
    kernel: Count = 31
    stride: Count = 2
    window: Count = 16384
    preemphasis: BelowOne = 0.95
    seed: CountOrZero = 1

    @property
    def code(self) -> int:
        """Length of the innermost signal."""
        return self.window // self.stride ** len(self.channels)

    def check(self) -> str:
        """What does not fit, see `mimic.settings.build`."""
        if not self.channels:
            return "channels: expected at least one convolution"
        odd = self.kernel < self.stride or self.window % self.stride ** len(self.channels)
        return "needs kernel >= stride, and a window that every layer can divide by the stride" if odd else ""


def preemphasise(x: Tensor, coefficient: float) -> Tensor:
    """y[n] = x[n] - coefficient x[n-1] over the last axis; the first sample stays."""
    return x - coefficient * F.pad(x, (1, 0))[..., :-1]


def deemphasise(y: Tensor, coefficient: float) -> Tensor:
    """The inverse: x[n] = y[n] + coefficient x[n-1]."""
    # 1 / (1 - a d), with d the delay by a sample, is the product of all 1 + (a d)^(2^k).
    factor, delay = coefficient, 1
    while factor > 1e-12 and delay < y.shape[-1]:
        y = y + factor * F.pad(y, (delay, 0))[..., :-delay]
        factor, delay = factor**2, 2 * delay
    return y


class Down(nn.Conv1d):
    """(batch, inputs, length) -> (batch, outputs, length / stride), zeros around the signal."""

    def __init__(self, inputs: int, outputs: int, config: SeganConfig):
        super().__init__(inputs, outputs, config.kernel, config.stride)
        spare = config.kernel - config.stride
        self.around = (spare // 2, spare - spare // 2)
        nn.init.trunc_normal_(self.weight, std=0.02, a=-0.04, b=0.04)
        assert self.bias is not None
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.around))


class Up(nn.ConvTranspose1d):
    """(batch, inputs, length) -> (batch, outputs, length * stride): the transpose of `Down`."""

    def __init__(self, inputs: int, outputs: int, config: SeganConfig):
        super().__init__(inputs, outputs, config.kernel, config.stride, padding=(config.kernel - config.stride) // 2)
        nn.init.trunc_normal_(self.weight, std=0.02, a=-0.04, b=0.04)
        assert self.bias is not None
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        return super().forward(x, output_size)[..., : x.shape[-1] * self.stride[0]]


def _prelu(channels: int) -> nn.PReLU:
    return nn.PReLU(channels, init=0.0)


class Generator(nn.Module):
    """Noisy windows (batch, window) and random vectors (batch, channels, code) -> enhanced windows (batch, window)."""

    def __init__(self, config: SeganConfig):
        super().__init__()
        sizes = [1, *config.channels]
        self.down = nn.ModuleList(Down(a, b, config) for a, b in zip(sizes[:-1], sizes[1:], strict=True))
        self.down_alpha = nn.ModuleList(_prelu(size) for size in config.channels)
        outputs = sizes[-2::-1]  # the mirror image
        inputs = [2 * size for size in sizes[:0:-1]]  # half of them from the layer before, half from the mirror image
        self.up = nn.ModuleList(Up(a, b, config) for a, b in zip(inputs, outputs, strict=True))
        self.up_alpha = nn.ModuleList(_prelu(size) for size in outputs[:-1])

    def forward(self, noisy: Tensor, z: Tensor) -> Tensor:
        x, skips = noisy.unsqueeze(1), []
        for conv, alpha in zip(self.down, self.down_alpha, strict=True):
            skips.append(conv(x))  # (batch, channels, length)
            x = alpha(skips[-1])
        x, mirror = torch.cat([z, x], dim=1), skips[-2::-1]
        for conv, alpha, skip in zip(self.up, self.up_alpha, mirror, strict=False):
            x = torch.cat([alpha(conv(x)), skip], dim=1)
        return self.up[-1](x).tanh().squeeze(1)


Statistics = list[tuple[Tensor, Tensor]]  # of each layer: mean and mean square of each channel, (channels, 1)


class VirtualBatchNorm(nn.Module):
    """Normalises (batch, channels, length) with statistics of a reference batch and, a little, of its own.

    Salimans et al., "Improved Techniques for Training GANs", 2016. In a batch of B the reference counts B / (B + 1).
    """

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, 1).normal_(1.0, 0.02))
        self.bias = nn.Parameter(torch.zeros(channels, 1))

    def forward(self, x: Tensor, reference: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The normalised batch, and its statistics; without a reference, normalised with these."""
        own = x.mean((0, 2)).unsqueeze(1), x.square().mean((0, 2)).unsqueeze(1)
        mean, square = own
        if reference is not None:
            share = 1 / (len(x) + 1)
            mean, square = (share * a + (1 - share) * b for a, b in zip(own, reference, strict=True))
        scale = self.weight * (EPSILON + square - mean.square()).rsqrt()
        return (x - mean) * scale + self.bias, own


class Discriminator(nn.Module):
    """Pairs of windows (batch, 2, window): clean or enhanced beside noisy -> scores (batch,), 1 for clean."""

    def __init__(self, config: SeganConfig):
        super().__init__()
        sizes = [2, *config.channels]
        self.down = nn.ModuleList(Down(a, b, config) for a, b in zip(sizes[:-1], sizes[1:], strict=True))
        self.norm = nn.ModuleList(VirtualBatchNorm(size) for size in config.channels)
        self.merge = nn.Conv1d(sizes[-1], 1, 1, bias=False)
        self.output = Linear(config.code, 1)
        nn.init.trunc_normal_(self.merge.weight, std=0.02, a=-0.04, b=0.04)

    def forward(self, x: Tensor, reference: Statistics | None = None) -> tuple[Tensor, Statistics]:
        """Scores, and the statistics of this batch, which may be the reference of another one."""
        seen = []
        for i, (conv, norm) in enumerate(zip(self.down, self.norm, strict=True)):
            x, own = norm(conv(x), reference[i] if reference else None)
            x = F.leaky_relu(x, SLOPE)
            seen.append(own)
        return self.output(self.merge(x).squeeze(1)).squeeze(1), seen


class Segan(nn.Module):
    """The generator as an enhancer of whole signals."""

    z: Tensor

    def __init__(self, config: SeganConfig):
        super().__init__()
        self.config, self.generator = config, Generator(config)
        random = torch.Generator().manual_seed(config.seed)
        self.register_buffer("z", torch.randn(1, config.channels[-1], config.code, generator=random), persistent=False)

    def draw(self, batch: int, device: torch.device) -> Tensor:
        """Random vectors (batch, channels, code)."""
        return torch.randn(batch, self.config.channels[-1], self.config.code, device=device)

    def forward(self, noisy: Tensor, z: Tensor) -> Tensor:
        return self.generator(noisy, z)

    def enhance(self, waveforms: list[Tensor], front: "SeganFront") -> list[Tensor]:
        """Noisy waveforms (samples,) of any lengths -> enhanced waveforms of the same lengths.

        Windows overlap by half and fade into each other, so that no border is audible. All have the same random vector:
        a signal gives the same result in each run, and in pieces what it gives as a whole.
        """
        size, hop = self.config.window, self.config.window // 2
        fade = torch.hann_window(size, device=waveforms[0].device)  # of two neighbours: 1 in sum
        results = []
        for waveform in waveforms:
            samples = waveform.shape[0]
            padding = (hop, hop + (hop - samples % hop) % hop)
            halves = F.pad(preemphasise(waveform, self.config.preemphasis), padding).view(-1, hop)
            windows = torch.cat([halves[:-1], halves[1:]], dim=1)  # (count, window)
            parts = [windows] if tracing() else windows.split(16)
            enhanced = torch.cat([self(part, self.z.expand(part.shape[0], -1, -1)) for part in parts]) * fade
            total = enhanced[1:, :hop] + enhanced[:-1, hop:]  # (count - 1, hop)
            results.append(deemphasise(total.flatten(), self.config.preemphasis)[:samples])
        return results


class SeganFront(nn.Module):
    """Input of a SEGAN: samples at `rate` Hz, in windows that begin `config.hop_length` samples apart."""

    rate = 16000

    @dataclass
    class Hops:
        hop_length: int

    def __init__(self, config: SeganConfig):
        super().__init__()
        self.config = self.Hops(config.window // 2)
