"""Short-time Fourier transform, its exact inverse, and what enhancers work on: log1p magnitudes, compressed spectra."""

from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from mimic.frontend.configs import TINY_POWER, StftConfig
from mimic.frontend.front_end import FrontEnd, Lengths, blocks
from mimic.frontend.onnx import StftOperators

COMPRESSION = 0.3  # exponent of magnitudes: a network sees quiet bins beside loud ones
COMPRESSION_FLOOR = 1e-8  # power of a bin, 1e-4 of magnitude: keeps the gradient of a power below one finite


class Stft(FrontEnd):
    """Frame i is centred at sample i * hop; beyond its ends the signal is zero.

    Calling it gives the log1p magnitude: (samples,) or (batch, samples) -> (frames, bins) or with batch. Rows of a
    zero-padded batch give what they give alone, in their first `num_frames(length)` frames.
    """

    window: Tensor

    def __init__(self, config: StftConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or StftConfig()
        self.rate = round(config.sample_frequency)
        self.frame_shift_s = config.hop_length / config.sample_frequency
        self.dim = config.n_fft // 2 + 1
        space = config.n_fft - config.win_length
        window = getattr(torch, f"{config.window_type}_window")(config.win_length)
        window = F.pad(window, (space // 2, space - space // 2))
        self.register_buffer("window", window, persistent=False)

    def num_frames(self, samples: Lengths) -> Lengths:
        """Number of frames of `samples` (1 or more) samples: an int or a tensor of lengths."""
        return 1 + self.config.pad_end + samples // self.config.hop_length

    def forward(self, waveform: Tensor) -> Tensor:
        x = waveform[None] if waveform.dim() == 1 else waveform  # (batch, samples)
        frames = self.num_frames(x.shape[1])
        parts = [self.log1p_magnitude(self._spectrum(x, first, last - first)) for first, last in blocks(frames, x)]
        out = torch.cat(parts, dim=1)
        return out[0] if waveform.dim() == 1 else out  # (batch, frames, bins)

    def transform(self, waveform: Tensor) -> Tensor:
        """(batch, samples) or (samples,) -> complex (batch, frames, bins) or (frames, bins)."""
        x = waveform[None] if waveform.dim() == 1 else waveform
        out = self._spectrum(x, 0, self.num_frames(x.shape[1]))
        return out[0] if waveform.dim() == 1 else out

    def inverse(self, spec: Tensor, length: int | Tensor) -> Tensor:
        """Complex (batch, frames, bins) -> (batch, length) samples; the least-squares signal, exact for a transform.

        `length`: samples, or one length per row (batch,); then the result has the largest, and rows end in zeros.
        Without the batch axis: (frames, bins) and an int -> (length,). Frames beyond a row's length are not used, so
        a row does not depend on its batch. Raises ValueError where there are fewer frames than `length` needs.
        """
        if spec.dim() == 2:
            return self.inverse(spec[None], length)[0]
        lengths = torch.as_tensor(length, device=spec.device).reshape(-1, 1)  # (1 or batch, 1)
        samples = length if isinstance(length, int) else int(lengths.max())
        frames = self.num_frames(samples)
        if spec.shape[1] < frames:
            raise ValueError(f"{samples} samples need {frames} frames, the spectrum has {spec.shape[1]}")
        used = torch.arange(frames, device=spec.device) < self.num_frames(lengths)  # (1 or batch, frames)
        window = self.window * used[..., None]  # (1 or batch, frames, n_fft)
        waveform = self._overlap_add(torch.fft.irfft(spec[:, :frames], n=self.config.n_fft) * window, samples)
        weight = self._overlap_add(window.square(), samples)
        inside = torch.arange(samples, device=spec.device) < lengths
        return waveform / torch.where(inside, weight, 1) * inside  # (batch, samples)

    def onnx(self) -> StftOperators:
        """The same of one signal in operators that ONNX has; with `transform` and `inverse` of real pairs."""
        return StftOperators(self.window, self.config.hop_length)

    def log1p_magnitude(self, spec: Tensor) -> Tensor:
        """log(1 + |spec|), real, of the same shape; the gradient is finite everywhere."""
        return torch.log1p(_magnitude(spec))

    def resynthesise(self, log1p_magnitude: Tensor, noisy_spec: Tensor, length: int | Tensor) -> Tensor:
        """Samples (batch, length) of an enhanced magnitude (batch, frames, bins) with the phase of the noisy one.

        Magnitudes below zero count as zero. `length` as in `inverse`.
        """
        return self.inverse(self.with_phase(log1p_magnitude, noisy_spec), length)

    @staticmethod
    def with_phase(log1p_magnitude: Tensor, noisy_spec: Tensor) -> Tensor:
        """Complex spectrum of an enhanced magnitude and the phase of the noisy one, all (batch, frames, bins)."""
        magnitude = torch.expm1(log1p_magnitude.float()).clamp(min=0)
        return noisy_spec * (magnitude / _magnitude(noisy_spec))

    def _spectrum(self, x: Tensor, first: int, count: int) -> Tensor:
        """Frames first, ..., first + count - 1 of `x` (batch, samples) -> complex (batch, count, bins)."""
        n_fft, hop = self.config.n_fft, self.config.hop_length
        start = first * hop - n_fft // 2
        end = start + (count - 1) * hop + n_fft
        x = F.pad(x[:, max(0, start) : end], (max(0, -start), max(0, end - x.shape[1])))
        return torch.fft.rfft(x.float().unfold(1, n_fft, hop) * self.window)

    def _overlap_add(self, frames: Tensor, samples: int) -> Tensor:
        """(batch, frames, n_fft) -> the sum of the shifted frames, cut to the signal: (batch, samples)."""
        batch, count, n_fft = frames.shape
        hop = self.config.hop_length
        parts = -(-n_fft // hop)
        frames = F.pad(frames, (0, parts * hop - n_fft)).view(batch, count, parts, hop)
        # Part p of frame i falls on block i + p of `hop` samples: as many shifted sums as a frame has parts.
        blocks = sum(F.pad(frames[:, :, p], (0, 0, p, parts - 1 - p)) for p in range(parts))
        spread = cast("Tensor", blocks).flatten(1)  # the type checker: a sum might be the int 0
        return spread[:, n_fft // 2 : n_fft // 2 + samples]


def _magnitude(spec: Tensor) -> Tensor:
    return (spec.real.square() + spec.imag.square() + TINY_POWER).sqrt()


def floored_power(spectrum: Tensor) -> Tensor:
    """|X|^2 of a complex spectrum, real, of the same shape, with a floor that keeps gradients of `compress` finite."""
    return spectrum.real.square() + spectrum.imag.square() + COMPRESSION_FLOOR


def compress(spectrum: Tensor, exponent: float = COMPRESSION) -> Tensor:
    """Complex -> complex with the magnitude to the power of `exponent` and the same phase."""
    return spectrum * floored_power(spectrum).pow((exponent - 1) / 2)


def expand(spectrum: Tensor, exponent: float = COMPRESSION) -> Tensor:
    """The inverse of `compress` but for magnitudes near its floor."""
    return spectrum * floored_power(spectrum).pow((1 / exponent - 1) / 2)
