"""Losses between spectra whose magnitudes are compressed, |X|^c.

Every function takes padded batches and gives one value, the mean over real frames and everything in them: padding never
counts. Spectra are complex (batch, frames, bins), lengths (batch,) in frames.
"""

from torch import Tensor

from mimic.frontend.stft import floored_power
from mimic.nets.masking import masked_mean, valid_frames


def magnitude_mse(enhanced: Tensor, clean: Tensor, lengths: Tensor, missing: float = 0.0) -> Tensor:
    """Squared distance of the magnitudes of compressed spectra.

    missing: where a magnitude is below the clean one, its distance counts 1 + this: recognisers bear noise that is left
    better than speech that is gone (Wang et al., "VoiceFilter-Lite", 2020, equation 2).
    """
    a, b = (floored_power(spectrum).sqrt() for spectrum in (enhanced, clean))
    apart = (a - b).square()
    return masked_mean(apart + missing * (b - a).clamp(min=0).square() if missing else apart, lengths)


def complex_mse(enhanced: Tensor, clean: Tensor, lengths: Tensor) -> Tensor:
    """Squared distance of compressed spectra in the complex plane.

    Also their consistency: the distance of an enhanced spectrum from that of the waveform made of it. Frames overlap,
    so that not every array of numbers is the spectrum of a waveform: what is none is lost in the waveform.
    """
    apart = enhanced - clean
    return masked_mean(apart.real.square() + apart.imag.square(), lengths)


def waveform_l1(enhanced: Tensor, clean: Tensor, samples: Tensor) -> Tensor:
    """Mean absolute distance of waveforms (batch, samples) over real samples."""
    real = valid_frames(samples, clean.shape[1])
    return ((enhanced - clean).abs() * real).sum() / real.sum()
