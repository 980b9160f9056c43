"""Losses between waveforms, SI-SDR and multi-resolution STFT: one value per utterance; padding never counts."""

import torch
from torch import Tensor

from mimic.nets.masking import valid_frames

RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))  # points, hop, window, in samples
TINY_POWER = 1e-7  # of a bin: quieter ones count as that loud
BEST_DB = 80.0  # of SI-SDR, reached where the waveforms are equal: there the gradient is zero, not infinite


def negative_si_sdr(enhanced: Tensor, clean: Tensor, samples: Tensor) -> Tensor:
    """Minus the scale-invariant signal-to-distortion ratio, dB, of waveforms (batch, samples): (batch,), -80 at best.

    Means are removed, as in the score (J. Le Roux et al., ICASSP 2019). A silent clean waveform gives 0.
    """
    real = valid_frames(samples, clean.shape[1])
    x, y = (_centred(waveform, real, samples) for waveform in (clean, enhanced))
    energy = x.square().sum(1)
    target = ((x * y).sum(1) / energy.clamp(min=1e-12)).unsqueeze(1) * x
    signal, distortion = target.square().sum(1), (y - target).square().sum(1)
    least = 10 ** (-BEST_DB / 10) * energy + torch.finfo(x.dtype).tiny
    ratio = 10 * torch.log10((signal + least) / (distortion + least))
    return torch.where(energy > 0, -ratio, 0.0)


def multi_resolution_stft(enhanced: Tensor, clean: Tensor, samples: Tensor) -> Tensor:
    """Spectral convergence plus L1 of log magnitudes of waveforms (batch, samples), mean of 3 resolutions: (batch,).

    Yamamoto et al., "Parallel WaveGAN", 2020.
    """
    real = valid_frames(samples, clean.shape[1])
    total = torch.zeros((), device=clean.device)
    for points, hop, width in RESOLUTIONS:
        window = torch.hann_window(width, device=clean.device)
        y, x = (_magnitude(x * real, points, hop, window) for x in (enhanced, clean))  # (batch, frames, bins)
        frames = 1 + samples // hop
        valid = valid_frames(frames, x.shape[1]).unsqueeze(2)
        convergence = _norm((x - y) * valid) / _norm(x * valid)
        logs = ((x.log() - y.log()).abs().mean(2, keepdim=True) * valid).sum((1, 2)) / frames
        total = total + (convergence + logs) / len(RESOLUTIONS)
    return total


def _centred(waveform: Tensor, real: Tensor, samples: Tensor) -> Tensor:
    waveform = waveform * real
    return (waveform - (waveform.sum(1) / samples).unsqueeze(1)) * real


def _magnitude(waveform: Tensor, points: int, hop: int, window: Tensor) -> Tensor:
    """(batch, frames, bins); beyond its ends the signal is zero, so that padding changes nothing."""
    spectrum = torch.stft(waveform, points, hop, len(window), window, pad_mode="constant", return_complex=True)
    power = spectrum.real.square() + spectrum.imag.square()
    return power.clamp(min=TINY_POWER).sqrt().transpose(1, 2)


def _norm(x: Tensor) -> Tensor:
    """Root of the sum of squares of each row; its gradient at zero is zero."""
    energy = x.square().sum((1, 2))
    return torch.where(energy > 0, energy, 1.0).sqrt() * (energy > 0)
