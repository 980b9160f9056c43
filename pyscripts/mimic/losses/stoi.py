"""STOI that a gradient passes through: the arithmetic of score/stoi.py, which cites it, in torch.

In single precision it is within 1e-4 of the score. Which frames are silent is decided by the clean speech, so that the
gradient has nothing to do with that.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mimic.metrics import stoi
from mimic.metrics.stoi import BANDS, CLIP, DOWN, FRAME, HOP, HOPS, NFFT, RANGE_DB, SEGMENT, UP

EPS = 1e-9  # added to norms: far below those of speech, large enough for single precision


def one_minus_stoi(enhanced: Tensor, clean: Tensor, samples: Tensor) -> Tensor:
    """1 - STOI of waveforms (batch, samples) at 16 kHz: (batch,).

    Of an utterance with less than 0.4 s of speech STOI is not defined; its value is 0, without gradient.
    """
    values = []
    for y, x, n in zip(enhanced, clean, samples.tolist(), strict=True):
        value = _utterance(torch.stack([x[:n], y[:n]]))
        values.append(clean.new_zeros(()) if value is None else 1 - value)
    return torch.stack(values)


def _utterance(pair: Tensor) -> Tensor | None:
    """STOI of (clean and degraded, samples)."""
    pair = _speech_only(_resample(pair))
    if pair.shape[1] <= FRAME + (SEGMENT - 1) * HOP:
        return None
    x, y = _bands(pair).unfold(2, SEGMENT, 1)  # (bands, segments, 30) each
    level = x.norm(dim=2, keepdim=True) / (y.norm(dim=2, keepdim=True) + EPS)
    return (_unit(torch.minimum(y * level, x * CLIP)) * _unit(x)).sum(2).mean()


def _unit(x: Tensor) -> Tensor:
    x = x - x.mean(2, keepdim=True)
    return x / (x.norm(dim=2, keepdim=True) + EPS)


def _resample(pair: Tensor) -> Tensor:
    """(2, samples) at 16 kHz -> (2, samples) at 10 kHz."""
    matrix, back = stoi.resampler()
    samples = pair.shape[1]
    blocks = -(-samples // (HOPS * DOWN))
    padded = F.pad(pair, (back, (blocks - 1) * HOPS * DOWN + len(matrix) - back - samples))
    out = padded.unfold(1, len(matrix), HOPS * DOWN) @ _constant(stoi.resampler, pair)  # (2, blocks, samples)
    return out.flatten(1)[:, : -(-samples * UP // DOWN)]


def _speech_only(pair: Tensor) -> Tensor:
    """Drop the frames in which the clean row is silent, by overlap-add of the windowed frames that stay."""
    count = len(range(0, pair.shape[1] - FRAME, HOP))
    if count == 0:
        return pair[:, :0]
    frames = pair.unfold(1, FRAME, HOP)[:, :count] * _constant(_window, pair)  # (2, frames, 256)
    with torch.no_grad():
        energy = 20 * torch.log10(frames[0].norm(dim=1) + np.finfo(float).eps)
        kept = energy > energy.max() - RANGE_DB
    frames = frames[:, kept]
    return (F.pad(frames[:, :, :HOP], (0, 0, 0, 1)) + F.pad(frames[:, :, HOP:], (0, 0, 1, 0))).flatten(1)


def _bands(pair: Tensor) -> Tensor:
    """Square roots of the energies in third-octave bands, (2, bands, frames)."""
    count = len(range(0, pair.shape[1] - FRAME, HOP))
    frames = pair.unfold(1, FRAME, HOP)[:, :count] * _constant(_window, pair)
    spectrum = torch.fft.rfft(frames, NFFT)  # (2, frames, 257)
    power = spectrum.real.square() + spectrum.imag.square()
    return (power @ _constant(_membership, pair) + EPS**2).sqrt().transpose(1, 2)


def _window() -> np.ndarray:
    return np.hanning(FRAME + 2)[1:-1]


def _membership() -> np.ndarray:
    """(bins, bands): 1 where a bin belongs to a band."""
    edges = stoi.band_edges()
    bins = np.arange(NFFT // 2 + 1)[:, None]
    return np.asarray((bins >= edges[:BANDS]) & (bins < edges[1:]), np.float64)


def _constant(make, like: Tensor) -> Tensor:
    """What `make` gives (of several things the first), as a tensor of the kind of `like`, kept from call to call."""
    return _kept(make, like.dtype, like.device)


@lru_cache
def _kept(make, dtype: torch.dtype, device: torch.device) -> Tensor:
    made = make()
    with torch.inference_mode(False):  # a validation may be first; training uses the tensor too
        return torch.as_tensor(made[0] if isinstance(made, tuple) else made, dtype=dtype, device=device)
