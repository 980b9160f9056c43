"""Composite measures CSIG, CBAK, COVL and what they are made of: LLR, WSS, segmental SNR; and SI-SDR.

Y. Hu, P. Loizou, "Evaluation of Objective Quality Measures for Speech Enhancement", IEEE TASLP 2008, with the constants
of Loizou's programs, as used in the literature on VoiceBank-DEMAND. Signals are (samples,) float64 at 16 kHz. Where a
program and its paper differ (the peak next to a rising slope, DC and peak level before the SNR), the program counts.
WSS and segmental SNR equal the Python program that most of that literature used; its LLR works in single precision,
which on low-pass signals is off by up to 0.01.
"""

from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from mimic.errors import NotScored

RATE = 16000  # Hz
FRAME, HOP = 480, 120  # 30 ms, a quarter of it
LPC_ORDER = 16
NFFT = 1024
BLOCK = 32  # frames transformed at a time: they fit the cache, and long files need no more memory
WINDOW = 0.5 * (1 - np.cos(2 * np.pi * np.arange(1, FRAME + 1) / (FRAME + 1)))
KEPT = 0.95  # LLR and WSS are means over this share of the frames, the best ones
CENTRES = np.array(
    [50, 120, 190, 260, 330, 400, 470, 540, 617.372, 703.378, 798.717, 904.128, 1020.38, 1148.3, 1288.72, 1442.54]
    + [1610.7, 1794.16, 1993.93, 2211.08, 2446.71, 2701.97, 2978.04, 3276.17, 3597.63]
)  # Hz, of the critical bands
WIDTHS = np.array(
    [70, 70, 70, 70, 70, 70, 70, 77.3724, 86.0056, 95.3398, 105.411, 116.256, 127.914, 140.423, 153.823, 168.154]
    + [183.457, 199.776, 217.153, 235.631, 255.255, 276.072, 298.126, 321.465, 346.136]
)  # Hz
KLATT_MAX, KLATT_LOCAL = 20.0, 1.0  # dB, how fast the weight of a band falls below the largest and the nearest peak
MIN_DB, MAX_DB = -10.0, 35.0  # limits of a frame's SNR


def composite(clean: np.ndarray, degraded: np.ndarray, wb_pesq: float, segsnr: float) -> tuple[float, float, float]:
    """CSIG, CBAK, COVL (1 to 5) from PESQ, segmental SNR and the signals. Raises NotScored for signals under 38 ms."""
    (x_lags, x_energies), (y_lags, y_energies) = analyse(clean), analyse(degraded)
    slopes, lpc = wss(x_energies, y_energies), llr(x_lags, y_lags)
    csig = 3.093 - 1.029 * lpc + 0.603 * wb_pesq - 0.009 * slopes
    cbak = 1.634 + 0.478 * wb_pesq - 0.007 * slopes + 0.063 * segsnr
    covl = 1.594 + 0.805 * wb_pesq - 0.512 * lpc - 0.007 * slopes
    return float(np.clip(csig, 1, 5)), float(np.clip(cbak, 1, 5)), float(np.clip(covl, 1, 5))


def si_sdr(clean: np.ndarray, degraded: np.ndarray) -> float:
    """Scale-invariant signal-to-distortion ratio in dB, means removed (J. Le Roux et al., ICASSP 2019)."""
    x, y = clean - clean.mean(), degraded - degraded.mean()
    energy = x @ x
    target = (x @ y) / energy * x if energy > 0 else x
    signal, noise = target @ target, (y - target) @ (y - target)
    if noise <= 1e-12 * signal:  # rounding of single precision is at 1e-15, of 16 bits at 1e-10
        raise NotScored("infinite: the signals are equal up to a gain")
    if signal == 0:
        raise NotScored("minus infinite: nothing of the clean signal is left")
    return float(10 * np.log10(signal / noise))


def frames(x: np.ndarray) -> np.ndarray:
    """Frames (frames, 480), a view; the last four that would fit are left out, as in the reference program."""
    count = int(len(x) / HOP - FRAME / HOP)
    if count < 1:
        raise NotScored("shorter than 38 ms")
    return sliding_window_view(x, FRAME)[: count * HOP : HOP]


def analyse(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Autocorrelations (17, frames) and energies in the critical bands (25, frames) of the windowed frames."""
    whole, table = frames(x), _table()
    found = np.empty((len(whole), len(table)))
    padded = np.zeros((BLOCK, NFFT))
    for start in range(0, len(whole), BLOCK):
        part = whole[start : start + BLOCK]
        np.multiply(part, WINDOW, out=padded[: len(part), :FRAME])
        spectrum = np.fft.rfft(padded[: len(part)])
        found[start : start + BLOCK] = (spectrum.real**2 + spectrum.imag**2) @ table.T
    lags, energies = np.split(np.ascontiguousarray(found.T), [LPC_ORDER + 1])
    return lags, energies


def segmental_snr(clean: np.ndarray, degraded: np.ndarray) -> float:
    """Mean SNR of frames in dB, each limited to [-10, 35], after DC is removed and peaks are made equal."""
    clean, degraded = clean - clean.mean(), degraded - degraded.mean()
    degraded *= np.abs(clean).max() / np.abs(degraded).max()
    x, error = frames(clean) * WINDOW, frames(clean - degraded) * WINDOW
    signal, noise = np.einsum("ft,ft->f", x, x), np.einsum("ft,ft->f", error, error)
    return float(np.mean(np.clip(10 * np.log10(signal / (noise + 1e-10) + 1e-10), MIN_DB, MAX_DB)))


def llr(x: np.ndarray, y: np.ndarray) -> float:
    """Log-likelihood ratio of linear predictors, from autocorrelations (17, frames); 0 for equal ones."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(_form(_predictor(y), x) / _form(_predictor(x), x))
    return _best(np.nan_to_num(ratio))  # silent frames have no predictor, and count as equal


def wss(x: np.ndarray, y: np.ndarray) -> float:
    """Weighted spectral slope distance (D. Klatt, ICASSP 1982) of energies (25, frames); 0 for equal ones."""
    (x_slope, x_weight), (y_slope, y_weight) = _slopes(x), _slopes(y)
    weight = (x_weight + y_weight) / 2  # (24, frames)
    return _best(np.sum(weight * (x_slope - y_slope) ** 2, axis=0) / np.sum(weight, axis=0))


def _slopes(energies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Differences between the levels of neighbouring bands in dB, and Klatt's weights, both (24, frames)."""
    level = 10 * np.log10(np.maximum(energies, 1e-10))  # (25, frames)
    slope = np.diff(level, axis=0)
    rising = slope > 0
    bands = len(slope)
    # Rising: the peak is looked for upwards, and the band before the first fall counts; else downwards.
    up, down = level[:-1].copy(), level[:-1].copy()  # levels of those peaks
    for band in reversed(range(bands - 1)):
        np.copyto(up[band], up[band + 1], where=rising[band + 1])
    for band in range(1, bands):
        np.copyto(down[band], down[band - 1], where=~rising[band - 1])
    below_local = np.where(rising, up, down) - level[:-1]
    below_max = level.max(axis=0) - level[:-1]
    return slope, KLATT_MAX / (KLATT_MAX + below_max) * KLATT_LOCAL / (KLATT_LOCAL + below_local)


@lru_cache
def _table() -> np.ndarray:
    """What takes a power spectrum to 17 lags and 25 bands, (42, 513): one product for both."""
    k = np.arange(NFFT // 2 + 1)
    lags = np.cos(2 * np.pi / NFFT * np.outer(np.arange(LPC_ORDER + 1), k)) / NFFT  # NFFT > 480 + 16: none wraps round
    lags[:, 1:-1] *= 2  # these bins stand for two
    # Gaussian filters of equal area, cut at -30 dB; the last bin is not used.
    bins = NFFT / RATE
    offset = (k - np.floor(CENTRES * bins)[:, None]) / (WIDTHS * bins)[:, None]
    filters = np.exp(-11 * offset**2 + np.log(WIDTHS[0] / WIDTHS)[:, None])
    filters[filters <= np.exp(-30 / (2 * 2.303))] = 0
    filters[:, -1] = 0
    return np.concatenate([lags, filters])


def _predictor(lags: np.ndarray) -> np.ndarray:
    """Levinson-Durbin: autocorrelations (17, frames) to prediction error filters (17, frames) that start with 1."""
    a = np.zeros_like(lags)
    a[0] = 1
    error = lags[0].copy()
    with np.errstate(divide="ignore", invalid="ignore"):
        for i in range(1, len(lags)):
            reflection = -np.einsum("kf,kf->f", a[:i], lags[i:0:-1]) / error
            a[1 : i + 1] += reflection * a[i - 1 :: -1]
            error *= 1 - reflection**2
    return a


def _form(a: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """Energy (frames,) that the filter `a` leaves of a signal with these lags: a' R a with R Toeplitz."""
    own = np.stack([np.einsum("kf,kf->f", a[: len(a) - k], a[k:]) for k in range(len(a))])
    own[1:] *= 2
    return np.einsum("kf,kf->f", own, lags)


def _best(distances: np.ndarray) -> float:
    return float(np.mean(np.sort(distances)[: round(len(distances) * KEPT)]))
