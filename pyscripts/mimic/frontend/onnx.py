"""Front ends in operators that ONNX has: Fourier transforms are convolutions with their basis. One signal at a time.

Each front end says by its method `onnx` which of these it is.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def fourier_basis(frames: Tensor, bins: int) -> Tensor:
    """Linear maps of a frame, the columns of (points, samples), -> real and imaginary parts of their transforms.

    Gives kernels (2 * bins, 1, samples) of a convolution, of the first `bins` bins.
    """
    spectrum = torch.fft.rfft(frames, dim=0)[:bins]  # (bins, samples)
    return torch.cat([spectrum.real, spectrum.imag]).float().unsqueeze(1)


class LogFilters(nn.Module):
    """Logarithms of filtered powers: a waveform (1, samples) -> (1, frames, filters).

    Args:
        basis: of `fourier_basis`.
        filters: (bins, filters).
        hop: samples from frame to frame.
        floor: smallest energy under the logarithm.
        mirrored: samples by which the beginning and the end are mirrored.
        repeat: mirror the first and the last sample too.
    """

    basis: Tensor
    filters: Tensor

    def __init__(
        self,
        basis: Tensor,
        filters: Tensor,
        hop: int,
        floor: float,
        mirrored: tuple[int, int] = (0, 0),
        repeat: bool = False,
    ):
        super().__init__()
        self.register_buffer("basis", basis)
        self.register_buffer("filters", filters)
        self.hop, self.floor, self.mirrored, self.repeat = hop, floor, mirrored, repeat

    def forward(self, waveform: Tensor) -> Tensor:
        x = waveform.unsqueeze(1)
        if any(self.mirrored) and not self.repeat:
            x = F.pad(x, self.mirrored, mode="reflect")
        elif any(self.mirrored):
            before, after = self.mirrored
            x = torch.cat([x[:, :, :before].flip(2), x, x[:, :, -after:].flip(2)], dim=2)
        real, imaginary = F.conv1d(x, self.basis, stride=self.hop).transpose(1, 2).chunk(2, dim=2)
        return ((real.square() + imaginary.square()) @ self.filters).clamp(min=self.floor).log()


class StftOperators(nn.Module):
    """What `mimic.frontend.stft.Stft` does with one signal; calling it gives log1p magnitudes (1, frames, bins)."""

    basis: Tensor
    back: Tensor
    square: Tensor

    def __init__(self, window: Tensor, hop: int):
        super().__init__()
        self.n_fft, self.hop, window = len(window), hop, window.double()
        bins = self.n_fft // 2 + 1
        self.register_buffer("basis", fourier_basis(torch.diag(window), bins))
        units = torch.eye(bins, dtype=torch.complex128)
        back = torch.cat([torch.fft.irfft(units, n=self.n_fft), torch.fft.irfft(1j * units, n=self.n_fft)]) * window
        self.register_buffer("back", back.unsqueeze(1).float())  # (2 * bins, 1, n_fft)
        self.register_buffer("square", window.square().float().view(1, 1, -1))

    def transform(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """(1, samples) -> real and imaginary part, each (1, frames, bins)."""
        padded = F.pad(waveform, (self.n_fft // 2, self.n_fft // 2)).unsqueeze(1)
        both = F.conv1d(padded, self.basis, stride=self.hop).transpose(1, 2)
        real, imaginary = both.chunk(2, dim=2)
        return real, imaginary

    def magnitude(self, real: Tensor, imaginary: Tensor, tiny: float = 1e-14) -> Tensor:
        """Of both parts; `tiny` as in the STFT."""
        return (real.square() + imaginary.square() + tiny).sqrt()

    def forward(self, waveform: Tensor) -> Tensor:
        return torch.log1p(self.magnitude(*self.transform(waveform)))

    def inverse(self, real: Tensor, imaginary: Tensor, samples: int) -> Tensor:
        """Both parts -> (1, samples)."""
        both = torch.cat([real, imaginary], dim=2).transpose(1, 2)  # (1, 2 * bins, frames)
        waveform = F.conv_transpose1d(both, self.back, stride=self.hop)
        weight = F.conv_transpose1d(torch.ones_like(both[:, :1]), self.square, stride=self.hop)
        # After the last frame there may be no sample of any window, but none of these is in the signal.
        cut = slice(self.n_fft // 2, self.n_fft // 2 + samples)
        waveform, weight = (F.pad(x[:, 0], (0, self.hop))[:, cut] for x in (waveform, weight))
        return waveform / weight
