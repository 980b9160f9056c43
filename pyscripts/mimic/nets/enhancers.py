"""Enhancers around a network: between STFT and its inverse, of magnitudes or of complex spectra, or of waveforms."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from mimic.frontend.stft import Stft, compress, expand
from mimic.nets.graphs import Graph, count_frames
from mimic.settings import NotNegative, Share


@dataclass
class MaskConfig:
    """How a mask is applied.

    Attributes:
        domain: log1p: the mask scales log1p magnitudes, as published in 2021; complex: it scales the complex
            spectrum, as published in 2026.
        weight: share w of the masked signal, w * mask * x + (1 - w) * x; published: 1.0 (log1p), 0.99 (complex).
        limit: largest value of the mask; 0 means no limit. Published: none (log1p), 1.0 (complex).
    """

    domain: Literal["log1p", "complex"] = "log1p"
    weight: Share = 1.0
    limit: NotNegative = 0.0


class Enhanced(NamedTuple):
    """The enhanced batch."""

    magnitude: Tensor  # (batch, frames, bins), log1p
    frames: Tensor  # (batch,)
    waveforms: Tensor  # (batch, samples), zero beyond an utterance's end
    spectrum: Tensor | None  # (batch, frames, bins), complex, of noisy speech; None where its phase is not used
    estimate: Tensor | None = None  # (batch, frames, bins), complex, where the network gives one


class MaskEnhancer(nn.Module):
    """log1p magnitudes of noisy speech -> those of enhanced speech; and waveforms, with the noisy phase."""

    net: Any  # a module; a causal one has `step`

    def __init__(self, net: nn.Module, config: MaskConfig):
        super().__init__()
        self.net, self.config = net, config

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """log1p magnitudes (batch, frames, bins) and lengths -> enhanced log1p magnitudes."""
        return self.apply_mask(self.net(features, lengths), features)

    def apply_mask(self, mask: Tensor, features: Tensor) -> Tensor:
        """What a mask leaves of log1p magnitudes, both (batch, frames, bins)."""
        if self.config.limit > 0:
            mask = mask.clamp(max=self.config.limit)
        gain = self.config.weight * mask + (1 - self.config.weight)
        if self.config.domain == "log1p":
            return gain * features
        return (gain * features.expm1()).log1p()

    def transform(self, waveforms: Tensor, samples: Tensor, stft: Stft) -> Enhanced:
        """Padded noisy waveforms (batch, samples), their lengths (batch,) -> enhanced ones with the noisy phase."""
        spectrum = stft.transform(waveforms)  # (batch, frames, bins)
        frames = stft.num_frames(samples)
        magnitude = self(stft.log1p_magnitude(spectrum), frames)
        return Enhanced(magnitude, frames, stft.resynthesise(magnitude, spectrum, samples), spectrum)

    def step(self, spectrum: Tensor, state: Any, stft: Stft) -> tuple[Tensor, Any]:
        """Further frames (batch, frames, bins) of a noisy spectrum -> enhanced ones, and the state after them."""
        features = stft.log1p_magnitude(spectrum)
        mask, state = self.net.step(features, state)
        return stft.with_phase(self.apply_mask(mask, features), spectrum), state

    def enhance(self, waveforms: list[Tensor], stft: Stft) -> list[Tensor]:
        """Noisy waveforms (samples,) of any lengths -> enhanced waveforms of the same lengths, with the noisy phase."""
        return enhance_each(self, waveforms, stft)

    def onnx(self, stft: Stft) -> Graph:
        """`enhance` of one signal in operators that ONNX has."""
        operators = stft.onnx()

        def run(waveform: Tensor) -> Tensor:
            real, imaginary = operators.transform(waveform)
            magnitude = operators.magnitude(real, imaginary)
            features = torch.log1p(magnitude)
            enhanced = self(features, count_frames(features))
            gain = torch.expm1(enhanced).clamp(min=0) / magnitude
            return operators.inverse(real * gain, imaginary * gain, waveform.shape[1])

        return Graph(run, partial(enhance_one, self, stft), [self, operators], stft.rate, "enhanced")


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
        return expand(torch.complex(*mask.to(noisy.real.dtype).unbind(2)) * noisy)  # mixed precision may give 16 bits

    def transform(self, waveforms: Tensor, samples: Tensor, stft: Stft) -> Enhanced:
        """Padded noisy waveforms (batch, samples), their lengths (batch,) -> enhanced ones, with their spectrum."""
        frames = stft.num_frames(samples)
        estimate = self(stft.transform(waveforms), frames)
        magnitude = stft.log1p_magnitude(estimate)
        return Enhanced(magnitude, frames, stft.inverse(estimate, samples), None, estimate)

    def enhance(self, waveforms: list[Tensor], stft: Stft) -> list[Tensor]:
        """Noisy waveforms (samples,) of any lengths -> enhanced waveforms of the same lengths."""
        return enhance_each(self, waveforms, stft)


class WaveEnhancer(nn.Module):
    """A network from padded waveforms (batch, samples) and their lengths (batch,) to waveforms (batch, samples)."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, waveforms: Tensor, samples: Tensor) -> Tensor:
        return self.net(waveforms, samples)

    def transform(self, waveforms: Tensor, samples: Tensor, stft: Stft) -> Enhanced:
        """Padded noisy waveforms (batch, samples), their lengths (batch,) -> enhanced ones and their magnitudes."""
        enhanced = self(waveforms, samples)
        return Enhanced(stft.log1p_magnitude(stft.transform(enhanced)), stft.num_frames(samples), enhanced, None)

    def enhance(self, waveforms: list[Tensor], stft: Stft) -> list[Tensor]:
        """Noisy waveforms (samples,) of any lengths -> enhanced ones of the same lengths."""
        return enhance_each(self, waveforms, stft)


def enhance_each(model: Any, waveforms: list[Tensor], stft: Stft) -> list[Tensor]:
    """Waveforms (samples,) of any lengths -> those that `transform` of an enhancer makes of them, as one batch."""
    samples = torch.tensor([len(waveform) for waveform in waveforms], device=waveforms[0].device)
    rows = model.transform(nn.utils.rnn.pad_sequence(waveforms, batch_first=True), samples, stft).waveforms
    return [row[: len(waveform)] for row, waveform in zip(rows, waveforms, strict=True)]


def enhance_one(model: Any, front: Any, waveform: Tensor) -> Tensor:
    """A waveform (1, samples) -> the enhanced one, of any enhancer."""
    return model.enhance([waveform[0]], front)[0].unsqueeze(0)
