"""Losses between spectra whose magnitudes are compressed, |X|^c, and between what Bark bands of them sound like.

Every function takes padded batches and gives one value, the mean over real frames and everything in them: padding never
counts. Spectra are complex (batch, frames, bins), lengths (batch,) in frames.
"""

import torch
from torch import Tensor

from mimic.frontend.stft import floored_power
from mimic.nets.masking import masked_mean, valid_frames

BARKS = 24
LOUDNESS = 0.23  # exponent of loudness over power: Zwicker and Fastl, "Psychoacoustics", equation 8.1
THRESHOLD = 1e-4  # power of a band that counts as silence: about that of 16 bit rounding noise
ASYMMETRY = 1.2  # what is added disturbs more than what is missing, by the ratio of powers to this: ITU-T P.862


def magnitude_mse(enhanced: Tensor, clean: Tensor, lengths: Tensor) -> Tensor:
    """Squared distance of the magnitudes of compressed spectra."""
    a, b = (floored_power(spectrum).sqrt() for spectrum in (enhanced, clean))
    return masked_mean((a - b).square(), lengths)


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


def loudness_distance(enhanced: Tensor, clean: Tensor, lengths: Tensor, bands: Tensor) -> Tensor:
    """Distance of loudness in Bark bands, where what was added counts more than what is missing.

    This is not PESQ: it has PESQ's ideas (bands by the ear's resolution, a power law of loudness, an asymmetry of
    disturbance, ITU-T P.862 section 10.2), and neither its alignment nor its levels and pooling. bands: of
    `bark_bands`.
    """
    a, b = ((floored_power(spectrum) @ bands) + THRESHOLD for spectrum in (enhanced, clean))  # (batch, frames, BARKS)
    apart = a.pow(LOUDNESS) - b.pow(LOUDNESS)
    added = (a / b).detach().pow(ASYMMETRY).clamp(1, 12)
    return masked_mean(added.sqrt() * apart.square(), lengths)


def bark_bands(bins: int, rate: float) -> Tensor:
    """Mean power of bands one Bark wide, (bins, BARKS): triangles by Traunmueller's formula (JASA 88, 1990)."""
    hz = torch.linspace(0, rate / 2, bins, dtype=torch.float64)
    bark = 26.81 * hz / (1960 + hz) - 0.53
    centres = torch.linspace(0.0, float(bark[-1]), BARKS, dtype=torch.float64)
    width = max(1.0, float(centres[1]))
    bands = (1 - (bark[:, None] - centres).abs() / width).clamp(min=0)
    bands[0] = 0  # 0 Hz is inaudible
    return (bands / bands.sum(0).clamp(min=1e-9)).float()
