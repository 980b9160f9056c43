"""Wide-band PESQ that a gradient passes through: the perceptual model of ITU-T P.862 (section 10.2) and P.862.2.

Left out is what has no gradient, and what has no part in training, where both signals are aligned: the alignment in
time, bad intervals, the weight of the end of long recordings. Levels and the input filter are those of spectra. Values
are close to the score's; only the score itself may be called PESQ.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mimic.metrics.pesq import RATE
from mimic.nets.masking import valid_frames

FRAME, HOP = 512, 256  # samples
BEST = 4.5  # raw value of equal signals
LEVEL = 1e7  # power between 325 and 3250 Hz that signals are scaled to
BAND = (325.0, 3250.0)  # Hz
LEVEL_FILTER = 1.04684  # what the standard's filter of this band adds
LEVEL_PADDING = 5120  # samples of silence that its mean counts
FILTER = ((2.740826, -5.4816519, 2.740826), (1.0, -1.9444777, 0.94597794))  # of the input, P.862.2
POWER_SCALE, LOUDNESS_SCALE = 6.910853e-6, 1.866055e-1  # calibration at 16 kHz
LEAST = 1e-4  # disturbance: below it roots have no finite gradient
SPLIT = 20  # frames that are pooled by the sixth power, every tenth one the first of so many
# By Bark band, at 16 kHz: bins, width in Bark, absolute threshold in dB, density correction.
BINS = (
    *[1] * 8, 2, *[1] * 5, 2, 1, 1, *[2] * 8, *[3] * 4, 4, 3, 4, 5, 4, 5, 6, 6, 7, 8, 9, 9, 12, 12, 15, 16, 18, 21, 25,
    20,
)  # fmt: skip
WIDTHS = (
    0.1573, 0.3180, 0.3224, 0.3269, 0.3315, 0.3361, 0.3407, 0.3454, 0.3501, 0.3549, 0.3597, 0.3646, 0.3695, 0.3745,
    0.3796, 0.3847, 0.3898, 0.3950, 0.4002, 0.4055, 0.4109, 0.4163, 0.4218, 0.4273, 0.4329, 0.4385, 0.4442, 0.4500,
    0.4558, 0.4616, 0.4676, 0.4736, 0.4796, 0.4857, 0.4919, 0.4982, 0.5045, 0.5108, 0.5173, 0.5237, 0.5303, 0.5369,
    0.5436, 0.5504, 0.5572, 0.5641, 0.5711, 0.5781, 0.5852,
)  # fmt: skip
THRESHOLDS = (
    77.1, 63.9, 48.5, 36.9, 30.7, 25.9, 20.2, 16.6, 12.5, 9.9, 6.9, 4.9, 2.8, 1.0, -0.1, -1.4, -2.5, -3.4, -4.1, -4.8,
    -5.3, -5.7, -5.9, -6.0, -6.0, -6.0, -6.0, -5.8, -5.4, -5.1, -4.7, -4.3, -4.0, -3.6, -3.3, -3.1, -3.0, -3.0, -2.9,
    -2.8, -2.8, -2.8, -2.9, -3.2, -3.7, -4.3, -4.4, -3.8, -2.7,
)  # fmt: skip
CORRECTIONS = (
    *[100.0] * 8, 50.0, *[100.0] * 5, 53.05, 110.0, 118.0, 65.0, 68.76, 70.0, 71.43, 75.0, 76.84, 80.97, 88.65, 63.86,
    68.16, 72.55, 75.58, 58.38, 80.95, 64.14, 54.38, 73.82, 64.44, 59.18, 65.52, 61.40, 58.14, 57.00, 64.13, 54.31,
    61.11, 55.08, 56.85, 55.63, 53.14, 54.99, 79.55,
)  # fmt: skip


class Ear(NamedTuple):
    """Constants of the model, as tensors."""

    window: Tensor  # (FRAME,)
    level: Tensor  # (FRAME / 2,), weights of the bins' power in the level
    bands: Tensor  # (FRAME / 2, bands), of power; with the input filter
    widths: Tensor  # (bands,), Bark
    thresholds: Tensor  # (bands,), power
    exponents: Tensor  # (bands,), of loudness over power


def pesq_loss(enhanced: Tensor, clean: Tensor, samples: Tensor) -> Tensor:
    """How far wb-PESQ before its mapping to MOS-LQO is below 4.5: (batch,), 0 at best, about 3 in much noise.

    Waveforms (batch, samples) at 16 kHz and their lengths (batch,). Independent of both levels. Where the clean
    waveform is silent or shorter than a frame: 0, without gradient.
    """
    ear = _ear(clean.dtype, clean.device)
    frames = ((samples - FRAME) // HOP + 1).clamp(min=0)
    powers = [_power(waveform, samples, ear) for waveform in (enhanced, clean)]
    real = valid_frames(frames, powers[0].shape[1])  # (batch, frames)
    levels = [((power @ ear.level) * real).sum(1) / real.sum(1).clamp(min=1) for power in powers]
    sides = zip(powers, levels, strict=True)
    degraded, reference = (_bark(power, level, real, samples, ear) for power, level in sides)  # (batch, frames, bands)
    degraded, reference = _equalised(degraded, reference, real, ear)
    symmetric, asymmetric = _disturbance(degraded, reference, ear)
    total = 0.1 * _over_time(symmetric, frames) + 0.0309 * _over_time(asymmetric, frames)
    return torch.where((levels[1] > 0) & (frames > 0), total, 0.0)


def _power(waveform: Tensor, samples: Tensor, ear: Ear) -> Tensor:
    """Power of the bins below half of the rate (batch, frames, bins)."""
    waveform = waveform * valid_frames(samples, waveform.shape[1])
    waveform = F.pad(waveform, (0, max(0, FRAME - waveform.shape[1])))
    spectrum = torch.fft.rfft(waveform.unfold(1, FRAME, HOP) * ear.window)[:, :, : FRAME // 2]
    return spectrum.real.square() + spectrum.imag.square()


def _bark(power: Tensor, level: Tensor, real: Tensor, samples: Tensor, ear: Ear) -> Tensor:
    """Power densities of the Bark bands at the standard's level, (batch, frames, bands), 0 in padding."""
    level = level * samples / (samples + LEVEL_PADDING) / LEVEL_FILTER
    gain = LEVEL / level.clamp(min=torch.finfo(power.dtype).tiny * LEVEL)
    return (power @ ear.bands) * (gain.unsqueeze(1) * real).unsqueeze(2)


def _equalised(degraded: Tensor, reference: Tensor, real: Tensor, ear: Ear) -> tuple[Tensor, Tensor]:
    """Linear filtering is compensated in the reference, slow changes of gain in the degraded signal."""
    audible = reference > 100 * ear.thresholds
    active = (reference * audible).sum(2, keepdim=True) >= 1e7
    means = [(x * (x > 100 * ear.thresholds) * active).sum(1) for x in (degraded, reference)]
    a, b = (mean / real.sum(1, keepdim=True).clamp(min=1) + 1000 for mean in means)
    reference = reference * (a / b).clamp(0.01, 100).unsqueeze(1)
    gain = (_audible(reference, ear) + 5e3) / (_audible(degraded, ear) + 5e3)
    # A recursion, 0.2 of the gain before and 0.8 of this one, whose terms beyond the fourth are below 0.002.
    taps = 0.8 * 0.2 ** torch.arange(3, -1, -1, device=gain.device, dtype=gain.dtype)
    smooth = (F.pad(gain, (3, 0), value=1.0).unfold(1, 4, 1) * taps).sum(2) / taps.sum()
    return degraded * smooth.clamp(3e-4, 5).unsqueeze(2), reference


def _audible(power: Tensor, ear: Ear) -> Tensor:
    return (power * (power > ear.thresholds)).sum(2)


def _disturbance(degraded: Tensor, reference: Tensor, ear: Ear) -> tuple[Tensor, Tensor]:
    """Symmetric and asymmetric disturbance of each frame, (batch, frames)."""
    a, b = (_loudness(power, ear) for power in (degraded, reference))
    apart = a - b
    apart = (apart.abs() - 0.25 * torch.minimum(a, b)).clamp(min=0) * ear.widths
    added = ((degraded + 50) / (reference + 50)).pow(1.2)
    added = torch.where(added < 3, 0.0, added.clamp(max=12))
    width = ear.widths.sum()
    symmetric = (width * apart.square().sum(2) + LEAST**2).sqrt()
    weight = ((_audible(reference, ear) + 1e5) / 1e7).pow(0.04)
    return tuple((x / weight).clamp(max=45) for x in (symmetric, (apart * added).sum(2)))  # type: ignore[return-value]


def _loudness(power: Tensor, ear: Ear) -> Tensor:
    over = (0.5 + 0.5 * power / ear.thresholds).clamp(min=1)
    return LOUDNESS_SCALE * (2 * ear.thresholds).pow(ear.exponents) * (over.pow(ear.exponents) - 1)


def _over_time(disturbance: Tensor, frames: Tensor) -> Tensor:
    """The sixth power's mean over a third of a second, the square's over all of these: (batch,)."""
    real = valid_frames(frames, disturbance.shape[1])
    padded = F.pad((disturbance * real).clamp(min=LEAST), (0, SPLIT - 1), value=LEAST)
    splits = padded.unfold(1, SPLIT, SPLIT // 2).pow(6).mean(2).pow(1 / 6)  # (batch, splits)
    inside = torch.arange(splits.shape[1], device=frames.device) * (SPLIT // 2) < frames[:, None]
    return ((splits.square() * inside).sum(1) / inside.sum(1).clamp(min=1)).sqrt()


@lru_cache
def _ear(dtype: torch.dtype, device: torch.device) -> Ear:
    with torch.inference_mode(False):  # a validation may be first; training uses the tensors too
        window = torch.hann_window(FRAME, dtype=torch.float64)
        hz = torch.arange(FRAME // 2, dtype=torch.float64) * RATE / FRAME
        level = 2 / (FRAME * window.square().sum()) * ((hz >= BAND[0]) & (hz <= BAND[1]))
        z = torch.exp(-2j * torch.pi * hz / RATE)
        above, below = (row[0] + row[1] * z + row[2] * z**2 for row in FILTER)
        edges = torch.tensor([0, *BINS]).cumsum(0)
        bins = torch.arange(FRAME // 2).unsqueeze(1)
        bands = ((bins >= edges[:-1]) & (bins < edges[1:])) * torch.tensor(CORRECTIONS, dtype=torch.float64)
        bands = bands * POWER_SCALE * (above / below).abs().square().unsqueeze(1)
        bands[0] = 0  # 0 Hz is inaudible
        widths, thresholds = (torch.tensor(values, dtype=torch.float64) for values in (WIDTHS, THRESHOLDS))
        centres = widths.cumsum(0) - widths / 2
        exponents = 0.23 * (6 / (centres + 2)).clamp(1, 2).pow(0.15)
        widths[0] = 0  # the first band takes no part in the disturbance
        ear = (window, level, bands, widths, (thresholds / 10 * torch.log(torch.tensor(10.0))).exp(), exponents)
        return Ear(*(x.to(device, dtype) for x in ear))
