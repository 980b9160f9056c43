"""STOI and extended STOI in one pass: resampling, silence removal and third-octave bands are shared.

C. Taal, R. Hendriks, R. Heusdens, J. Jensen, "An Algorithm for Intelligibility Prediction of Time-Frequency Weighted
Noisy Speech", IEEE TASLP 2011; J. Jensen, C. Taal, "An Algorithm for Predicting the Intelligibility of Speech Masked
by Modulated Noise Maskers", IEEE/ACM TASLP 2016. Equal to pystoi to rounding. pystoi
adds random noise of 1e-16 in eSTOI, which decides what exact zeros correlate to; here they count as uncorrelated.
"""

from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view

from mimic.errors import NotScored

NATIVE_RATE = 16000  # Hz, of the signals that are given
RATE = 10000  # Hz; both measures are defined at this rate
FRAME, HOP, NFFT = 256, 128, 512
BANDS, LOWEST = 15, 150.0  # third-octave bands, centre of the first in Hz
SEGMENT = 30  # frames, 384 ms
RANGE_DB = 40.0  # frames of the clean signal this far below its loudest one count as silent
CLIP = 1 + 10 ** (15 / 20)  # the degraded envelope may exceed the clean one by 15 dB
EPS = np.finfo(float).eps
BLOCK = 128  # segments worked on at a time: temporaries then fit the cache, and long files need no more memory
FRAMES = 32  # frames transformed at a time
UP, DOWN = 5, 8  # 16 kHz to 10 kHz
HOPS = 16  # periods of the resampling filter (8 samples in, 5 out) that one matrix product covers


def stoi_estoi(clean: np.ndarray, degraded: np.ndarray) -> tuple[float, float]:
    """STOI and eSTOI of `degraded` against `clean`, both (samples,) at 16 kHz.

    Raises NotScored where less than 30 frames (0.4 s) of `clean` are speech.
    """
    x, y = _resample(np.stack([clean, degraded]).astype(np.float64))
    x, y = _speech_only(x, y)
    if len(x) <= FRAME + (SEGMENT - 1) * HOP:
        raise NotScored("less than 0.4 s of speech")
    x, y = _bands(x), _bands(y)  # (bands, frames)
    segments = x.shape[1] - SEGMENT + 1
    sums = np.zeros(2)
    for start in range(0, segments, BLOCK):
        part = slice(start, min(start + BLOCK, segments) + SEGMENT - 1)
        sums += _correlations(x[:, part], y[:, part])
    return sums[0] / (segments * BANDS), sums[1] / (segments * SEGMENT)


def _correlations(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Summed correlations of all segments: of envelopes in each band, and of spectra in each frame."""
    x, limit, y = (sliding_window_view(z, SEGMENT, axis=1) for z in (x, x * CLIP, y))  # (bands, segments, 30)
    xn, x_norm = _centred(x)
    yn, y_norm = _centred(y)
    level = np.sqrt(_dot(x, x)) / (np.sqrt(_dot(y, y)) + EPS)  # (bands, segments)
    clipped, clipped_norm = _centred(np.minimum(y * level[..., None], limit))
    stoi = float(np.sum(_dot(clipped, xn) / ((clipped_norm + EPS) * (x_norm + EPS))))
    xn *= _inverse(x_norm)[..., None]
    yn *= _inverse(y_norm)[..., None]
    xn -= xn.mean(axis=0)
    yn -= yn.mean(axis=0)
    spectral = np.einsum("bst,bst->st", xn, yn)
    power = np.einsum("bst,bst->st", xn, xn) * np.einsum("bst,bst->st", yn, yn)
    return stoi, float(np.sum(spectral * _inverse(np.sqrt(power))))


def _centred(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x = x - x.mean(axis=-1, keepdims=True)
    return x, np.sqrt(_dot(x, x))


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("bst,bst->bs", a, b)


def _inverse(x: np.ndarray) -> np.ndarray:
    return np.divide(1.0, x, out=np.zeros_like(x), where=x > 0)


def _speech_only(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drop the frames in which `x` is silent, by overlap-add of the windowed frames that stay."""
    window = np.hanning(FRAME + 2)[1:-1]
    count = len(range(0, len(x) - FRAME, HOP))
    if count == 0:
        return x[:0], y[:0]
    frames = sliding_window_view(x, FRAME)[: count * HOP : HOP] * window  # (frames, 256)
    energy = 20 * np.log10(np.sqrt(np.einsum("ft,ft->f", frames, frames)) + EPS)
    kept = np.flatnonzero(energy.max() - RANGE_DB - energy < 0)
    return _overlap_add(x, kept, window), _overlap_add(y, kept, window)


def _overlap_add(x: np.ndarray, kept: np.ndarray, window: np.ndarray) -> np.ndarray:
    # The hop is half a frame, so each half frame of the result is a second half plus the next frame's first half.
    halves = x[: len(x) // HOP * HOP].reshape(-1, HOP)
    out = np.zeros((len(kept) + 1, HOP))
    out[:-1] = halves[kept] * window[:HOP]
    out[1:] += halves[kept + 1] * window[HOP:]
    return out.reshape(-1)


def _bands(x: np.ndarray) -> np.ndarray:
    """Square roots of the energies in third-octave bands, (bands, frames)."""
    count = len(range(0, len(x) - FRAME, HOP))
    frames, window = sliding_window_view(x, FRAME)[: count * HOP : HOP], np.hanning(FRAME + 2)[1:-1]
    edges = band_edges()
    energy = np.empty((count, BANDS))
    padded = np.zeros((FRAMES, NFFT))
    for start in range(0, count, FRAMES):
        part = frames[start : start + FRAMES]
        np.multiply(part, window, out=padded[: len(part), :FRAME])
        spectrum = np.fft.rfft(padded[: len(part)])[:, edges[0] : edges[-1]]  # (frames, bins)
        power = spectrum.real**2 + spectrum.imag**2
        np.add.reduceat(power, edges[:-1] - edges[0], axis=1, out=energy[start : start + FRAMES])
    return np.sqrt(np.ascontiguousarray(energy.T))


@lru_cache
def band_edges() -> np.ndarray:
    """First bin of each band, and the bin after the last band: the bins nearest to the edges in Hz."""
    hz = LOWEST * 2.0 ** ((2 * np.arange(BANDS + 1) - 1) / 6)
    return np.abs(np.arange(NFFT // 2 + 1) * RATE / NFFT - hz[:, None]).argmin(axis=1)


@lru_cache
def resampler() -> tuple[np.ndarray, int]:
    """Octave's resampling filter for 16 to 10 kHz as a matrix (samples in, samples out), and how far it reaches back.

    Kaiser window for 60 dB rejection, cut-off at half the lower rate, transition a tenth of it; gain 5 at 0 Hz.
    """
    cutoff = 1 / (2 * DOWN)
    half = int(np.ceil((60 - 8) / (28.714 * cutoff / 10)))
    t = np.arange(-half, half + 1)
    h = np.kaiser(2 * half + 1, 0.1102 * (60 - 8.7)) * np.sinc(2 * cutoff * t)
    h *= UP / h.sum()
    back = half // UP + 1
    sample = np.arange(-back, HOPS * DOWN + back)[:, None]  # in units of 1/16 000 s
    tap = DOWN * np.arange(HOPS * UP)[None] - UP * sample + half  # output n lies at n*8/5 samples
    return np.where((tap >= 0) & (tap < len(h)), h[tap.clip(0, len(h) - 1)], 0.0), back


def _resample(x: np.ndarray) -> np.ndarray:
    """Resample (signals, samples) from 16 to 10 kHz. One large product is faster than a loop over the filter."""
    matrix, back = resampler()
    samples = x.shape[1]
    blocks = -(-samples // (HOPS * DOWN))
    padded = np.zeros((len(x), (blocks - 1) * HOPS * DOWN + len(matrix)))
    padded[:, back : back + samples] = x
    row, step = padded.strides
    windows = as_strided(padded, (len(x), blocks, len(matrix)), (row, HOPS * DOWN * step, step))
    # A copy: numpy 1.26 multiplies windows that overlap in memory by a loop of its own, ten times slower than BLAS.
    return (windows.reshape(-1, len(matrix)) @ matrix).reshape(len(x), -1)[:, : -(-samples * UP // DOWN)]
