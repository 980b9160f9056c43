"""Distances of spectra: log-spectral distance and mel-cepstral distortion. Both are 0 for equal spectra."""

from functools import cache

import numpy as np

RATE = 16000  # Hz
LSD_WINDOW, LSD_HOP = 512, 256  # samples
LSD_FLOOR = 1e-8
WINDOW, HOP, FFT = 400, 80, 512  # samples: 25 ms every 5 ms
ORDER = 24  # mel-cepstral coefficients; that of level, the 0th, is left out
WARP = 0.42  # of the bilinear transform: near the mel scale at 16 kHz
RANGE_DB = 80.0  # bins further below the loudest one of clean speech than this count as no louder


def lsd(clean: np.ndarray, x: np.ndarray) -> float:
    """Log-spectral distance of signals (samples,) at 16 kHz: root mean square over bins of the log power ratio (natural
    logarithm, not decibel), mean over frames of 32 ms; levels are matched before, as in the URGENT challenges.
    """
    x = x * (clean @ x / (x @ x + LSD_FLOOR))
    first, second = (np.abs(_spectra(np.pad(s, LSD_WINDOW // 2), LSD_WINDOW, LSD_HOP, LSD_WINDOW)) for s in (clean, x))
    ratio = np.log(first**2 / (second + LSD_FLOOR) ** 2 + LSD_FLOOR)  # (frames, bins)
    return float(np.sqrt((ratio**2).mean(axis=1)).mean())


def mcd(clean: np.ndarray, x: np.ndarray) -> float:
    """Mel-cepstral distortion in dB of signals (samples,) at 16 kHz that are aligned: R. Kubichek, "Mel-cepstral
    distance measure for objective speech quality assessment", PACRIM 1993.

    Mel cepstra are of short-time spectra: figures of WORLD's or STRAIGHT's envelopes are lower, and not to be compared.
    """
    spectra = [np.abs(_spectra(np.pad(s, WINDOW // 2), WINDOW, HOP, FFT)) for s in (clean, x)]
    floor = max(spectra[0].max(), 1e-10) * 10 ** (-RANGE_DB / 20)
    first, second = (np.log(np.maximum(s, floor)) @ _mel_cosines() for s in spectra)  # (frames, ORDER)
    return float(10 / np.log(10) * np.sqrt(2 * ((first - second) ** 2).sum(axis=1)).mean())


def _spectra(x: np.ndarray, window: int, hop: int, fft: int) -> np.ndarray:
    """Complex spectra (frames, bins), Hann window; `x` has a window's length at least."""
    frames = np.lib.stride_tricks.sliding_window_view(x, window)[::hop]
    return np.fft.rfft(frames * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)), fft)


@cache
def _mel_cosines() -> np.ndarray:
    """From log magnitudes to mel cepstra (bins, ORDER): the cosine transform over warped frequency."""
    omega = np.pi * np.arange(FFT // 2 + 1) / (FFT // 2)
    warped = omega + 2 * np.arctan(WARP * np.sin(omega) / (1 - WARP * np.cos(omega)))
    width = (1 - WARP**2) / (1 + WARP**2 - 2 * WARP * np.cos(omega)) * np.pi / (FFT // 2)
    width[[0, -1]] /= 2  # trapezoids
    return 2 / np.pi * width[:, None] * np.cos(np.outer(warped, np.arange(1, ORDER + 1)))
