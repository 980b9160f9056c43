"""Log-mel spectra as torchaudio's MelSpectrogram has them, which many Deep Speech 2 recipes use; or log spectra."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mimic.frontend.configs import LogMelConfig
from mimic.frontend.front_end import FrontEnd, Lengths, blocks
from mimic.frontend.onnx import LogFilters, fourier_basis


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
        filters = torch.from_numpy(config.filters()).float()
        self.register_buffer("filters", filters, persistent=False)  # (n_fft / 2 + 1, dim)
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
        return LogFilters(basis, self.filters, config.hop_length, config.floor, (config.n_fft // 2,) * 2)
