"""Speech enhancement from complex spectrum to complex spectrum: a complex mask on the compressed spectrum."""

from typing import Any

import torch
from torch import Tensor, nn

from mimic.frontend.compression import compress, expand
from mimic.frontend.stft import Stft
from mimic.nets.enhancers import Enhanced, enhance_each


class SpectrumEnhancer(nn.Module):
    """A network of `mimic.nets.SPECTRA` between STFT and inverse STFT.

    The network is given compressed spectra (batch, frames, 2, bins), real and imaginary part, and gives a complex mask
    of that shape; mask times spectrum, expanded again, is the enhanced spectrum.
    """

    net: Any  # a module; a causal one has `step`

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, spectrum: Tensor, frames: Tensor) -> Tensor:
        """Noisy complex spectra (batch, frames, bins) and their lengths in frames -> enhanced ones."""
        noisy = compress(spectrum)
        return self._masked(self.net(torch.stack([noisy.real, noisy.imag], dim=2), frames), noisy)

    def step(self, spectrum: Tensor, state: Any, stft: Stft) -> tuple[Tensor, Any]:
        """Further frames (batch, frames, bins) of a noisy spectrum -> enhanced ones, and the state after them."""
        noisy = compress(spectrum)
        mask, state = self.net.step(torch.stack([noisy.real, noisy.imag], dim=2), state)
        return self._masked(mask, noisy), state

    @staticmethod
    def _masked(mask: Tensor, noisy: Tensor) -> Tensor:
        return expand(torch.complex(*mask.unbind(2)) * noisy)

    def transform(self, waveforms: Tensor, samples: Tensor, stft: Stft) -> Enhanced:
        """Padded noisy waveforms (batch, samples), their lengths (batch,) -> enhanced ones, with their spectrum."""
        frames = stft.num_frames(samples)
        estimate = self(stft.transform(waveforms), frames)
        magnitude = stft.log1p_magnitude(estimate)
        return Enhanced(magnitude, frames, stft.inverse(estimate, samples), None, estimate)

    def enhance(self, waveforms: list[Tensor], stft: Stft) -> list[Tensor]:
        """Noisy waveforms (samples,) of any lengths -> enhanced waveforms of the same lengths."""
        return enhance_each(self, waveforms, stft)
