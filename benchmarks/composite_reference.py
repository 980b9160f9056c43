"""CSIG, CBAK and COVL frame by frame, as one writes them down from the papers: what our fast version is timed against.

Y. Hu, P. Loizou, IEEE TASLP 2008; D. Klatt, ICASSP 1982; constants of Loizou's programs. Signals are (samples,) at
16 kHz. As in the enhancement recipes that people compare with, PESQ is computed in here.
"""

from collections.abc import Iterator

import numpy as np
from pesq import pesq
from scipy.linalg import toeplitz

from mimic.metrics.composite import CENTRES, WIDTHS

RATE, FRAME, HOP, NFFT, ORDER = 16000, 480, 120, 1024, 16
WINDOW = 0.5 * (1 - np.cos(2 * np.pi * np.arange(1, FRAME + 1) / (FRAME + 1)))


def composite(clean: np.ndarray, degraded: np.ndarray) -> tuple[float, float, float]:
    slopes, lpc = best(wss(clean, degraded)), best(llr(clean, degraded))
    snr = np.mean(segmental_snr(clean, degraded))
    quality = pesq(RATE, clean, degraded, "wb")
    csig = 3.093 - 1.029 * lpc + 0.603 * quality - 0.009 * slopes
    cbak = 1.634 + 0.478 * quality - 0.007 * slopes + 0.063 * snr
    covl = 1.594 + 0.805 * quality - 0.512 * lpc - 0.007 * slopes
    return tuple(float(min(max(value, 1), 5)) for value in (csig, cbak, covl))


def best(distances: list[float]) -> float:
    """Mean of the best 95 %."""
    return float(np.mean(sorted(distances)[: round(0.95 * len(distances))]))


def frames(clean: np.ndarray, degraded: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for k in range(int(len(clean) / HOP - FRAME / HOP)):
        part = slice(k * HOP, k * HOP + FRAME)
        yield clean[part] * WINDOW, degraded[part] * WINDOW


def segmental_snr(clean: np.ndarray, degraded: np.ndarray) -> list[float]:
    clean, degraded = clean - clean.mean(), degraded - degraded.mean()
    degraded = degraded * (np.abs(clean).max() / np.abs(degraded).max())
    found = []
    for x, y in frames(clean, degraded):
        snr = 10 * np.log10(np.sum(x**2) / (np.sum((x - y) ** 2) + 1e-10) + 1e-10)
        found.append(min(max(snr, -10), 35))
    return found


def llr(clean: np.ndarray, degraded: np.ndarray) -> list[float]:
    found = []
    for x, y in frames(clean, degraded):
        lags, ax = predictor(x)
        _, ay = predictor(y)
        r = toeplitz(lags)
        with np.errstate(divide="ignore", invalid="ignore"):
            found.append(np.nan_to_num(np.log((ay @ r @ ay) / (ax @ r @ ax))))
    return found


def predictor(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Autocorrelation and prediction error filter (Levinson-Durbin), (17,) each."""
    lags = np.array([x[: FRAME - k] @ x[k:] for k in range(ORDER + 1)])
    a, error = np.array([1.0]), lags[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        for i in range(1, ORDER + 1):
            reflection = -(a @ lags[i:0:-1]) / error
            a = np.append(a, 0)
            a = a + reflection * a[::-1]
            error = error * (1 - reflection**2)
    return lags, a


def critical_bands() -> np.ndarray:
    filters = np.zeros((len(CENTRES), NFFT // 2))
    for row, (centre, width) in enumerate(zip(CENTRES, WIDTHS, strict=True)):
        middle, spread = np.floor(centre * NFFT / RATE), width * NFFT / RATE
        weights = np.exp(-11 * ((np.arange(NFFT // 2) - middle) / spread) ** 2) * WIDTHS[0] / width
        filters[row] = np.where(weights > np.exp(-30 / (2 * 2.303)), weights, 0)
    return filters


def wss(clean: np.ndarray, degraded: np.ndarray) -> list[float]:
    filters, found = critical_bands(), []
    for x, y in frames(clean, degraded):
        (x_slope, x_weight), (y_slope, y_weight) = slopes(x, filters), slopes(y, filters)
        weight = (x_weight + y_weight) / 2
        found.append(np.sum(weight * (x_slope - y_slope) ** 2) / np.sum(weight))
    return found


def slopes(x: np.ndarray, filters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Differences between neighbouring bands in dB and their weights, (24,) each."""
    power = np.abs(np.fft.rfft(x, NFFT)[: NFFT // 2]) ** 2
    level = 10 * np.log10(np.maximum(filters @ power, 1e-10))
    slope, weight = np.diff(level), np.zeros(len(level) - 1)
    for k in range(len(slope)):
        n = k
        if slope[k] > 0:
            while n < len(slope) and slope[n] > 0:
                n += 1
            peak = level[n - 1]
        else:
            while n >= 0 and slope[n] <= 0:
                n -= 1
            peak = level[n + 1]
        weight[k] = 20 / (20 + level.max() - level[k]) / (1 + peak - level[k])
    return slope, weight
