"""Log-mel spectra as torchaudio's MelSpectrogram has them, which many Deep Speech 2 recipes use; or log spectra."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from mimic.errors import UserError
from mimic.frontend.front_end import FrontEnd, Lengths, blocks
from mimic.frontend.onnx import LogFilters, fourier_basis
from mimic.frontend.options import read_options
from mimic.settings import Count, CountOrZero, Positive, Range


@dataclass(frozen=True)
class LogMelConfig:
    """Options of the features, in samples; the defaults are those of the published compact Deep Speech 2.

    Attributes:
        sample_frequency: Hz; audio of another rate is resampled before.
        n_fft: points of the Fourier transform and samples of the periodic Hann window.
        hop_length: samples from frame to frame.
        num_mel_bins: triangular filters, equally spaced on the mel scale 2595 lg(1 + f / 700), straight in Hz; 0: no
            filters but the n_fft / 2 bins of the power spectrum below the Nyquist frequency.
        floor: smallest energy under the logarithm.
    """

    sample_frequency: Annotated[float, Range(above=0, most=1000000)] = 16000.0
    n_fft: Count = 320
    hop_length: Count = 160
    num_mel_bins: CountOrZero = 128
    floor: Positive = 1e-5

    def __post_init__(self) -> None:
        if self.n_fft % 2 or not 1 <= self.hop_length <= self.n_fft:
            raise UserError("need an even --n-fft and 1 <= --hop-length <= --n-fft")

    @classmethod
    def read(cls, path: str | Path) -> "LogMelConfig":
        """Read an option file; raises UserError naming file, line and the nearest option."""
        return read_options(path, cls, {"type": "logmel"})


class LogMel(FrontEnd):
    """Natural logarithms of energies: samples in [-1, 1), (samples,) -> (frames, dim), or both with a batch.

    Frame i is centred at sample i * hop; at both ends the signal is mirrored, so that the last frames depend on where
    it ends.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, config: LogMelConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or LogMelConfig()
        self.rate = round(config.sample_frequency)
        self.frame_shift_s = config.hop_length / config.sample_frequency
        self.register_buffer("window", torch.hann_window(config.n_fft), persistent=False)
        self.register_buffer("filters", filters(config), persistent=False)  # (n_fft / 2 + 1, dim)
        self.dim = self.filters.shape[1]

    def num_frames(self, samples: Lengths) -> Lengths:
        """Number of frames of `samples` samples: an int or a tensor of lengths; none where nothing can be mirrored."""
        enough = samples > self.config.n_fft // 2
        return (1 + samples // self.config.hop_length) * enough

    def forward(self, waveform: Tensor) -> Tensor:
        x = waveform[None] if waveform.dim() == 1 else waveform  # (batch, samples)
        count, n_fft, hop = self.num_frames(x.shape[1]), self.config.n_fft, self.config.hop_length
        if not count:
            return waveform.new_zeros(*waveform.shape[:-1], 0, self.dim)
        x = F.pad(x.float()[:, None], (n_fft // 2, n_fft // 2), mode="reflect")[:, 0]
        parts = []
        for first, last in blocks(count, x):
            frames = x.unfold(1, n_fft, hop)[:, first:last]  # (batch, block, n_fft)
            spectrum = torch.fft.rfft(frames * self.window)
            power = spectrum.real.square() + spectrum.imag.square()
            parts.append((power @ self.filters).clamp(min=self.config.floor).log())
        out = torch.cat(parts, dim=1)  # (batch, frames, dim)
        return out[0] if waveform.dim() == 1 else out

    def onnx(self) -> LogFilters:
        """The same of one signal in operators that ONNX has."""
        basis = fourier_basis(torch.diag(self.window.double()), len(self.filters))
        config = self.config
        return LogFilters(basis, self.filters, config.hop_length, config.floor, config.n_fft // 2)


def filters(config: LogMelConfig) -> Tensor:
    """(n_fft / 2 + 1, dim)."""
    bins = config.n_fft // 2 + 1
    if not config.num_mel_bins:
        return torch.eye(bins)[:, :-1]
    nyquist = config.sample_frequency / 2
    highest = 2595 * torch.log10(torch.tensor(1 + nyquist / 700, dtype=torch.float64))
    mels = torch.linspace(0, float(highest), config.num_mel_bins + 2, dtype=torch.float64)
    points = 700 * (10 ** (mels / 2595) - 1)  # Hz
    hertz = torch.linspace(0, nyquist, bins, dtype=torch.float64)[:, None]
    rising = (hertz - points[:-2]) / (points[1:-1] - points[:-2])
    falling = (points[2:] - hertz) / (points[2:] - points[1:-1])
    return torch.minimum(rising, falling).clamp(min=0).float()
