"""Effects on waveforms that an augmentation is made of: tempo, band, lossy codecs, missing pieces."""

import io
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import soundfile
import torch

from mimic.augment.mixing import RATE
from mimic.io.resampling import resample

VOCODER = 512  # samples: 32 ms at 16 kHz
NARROW = 8000  # Hz, of telephone speech
# name: (rate in Hz or 0 for that of the signal, container, subtype, compression level or None)
CODECS: dict[str, tuple[int, str, str, float | None]] = {
    "adpcm": (0, "WAV", "IMA_ADPCM", None),
    "gsm": (NARROW, "WAV", "GSM610", None),
    "mp3": (0, "MP3", "MPEG_LAYER_III", 0.99),
    "mulaw": (NARROW, "WAV", "ULAW", None),
    "opus": (0, "OGG", "OPUS", 1.0),
    "vorbis": (0, "OGG", "VORBIS", 1.0),
}


def stretched(x: np.ndarray, speed: float) -> np.ndarray:
    """Speech (samples,) so many times as fast at the same pitch, float32: round(samples / speed) samples.

    A phase vocoder (Flanagan and Golden, 1966) with windows of 512 samples.
    """
    from torchaudio.functional import phase_vocoder  # here, because it takes a second to load

    window = torch.hann_window(VOCODER)
    options: dict[str, Any] = {"hop_length": VOCODER // 4, "window": window}
    spectrum = torch.stft(torch.tensor(x), VOCODER, pad_mode="constant", return_complex=True, **options)
    advance = torch.linspace(0, math.pi * VOCODER / 4, VOCODER // 2 + 1)[:, None]  # of the phase, per hop
    spectrum = phase_vocoder(spectrum, speed, advance)
    return torch.istft(spectrum, VOCODER, length=round(len(x) / speed), **options).numpy()


def band_limit(x: np.ndarray, low: float, high: float, rate: int = RATE) -> np.ndarray:
    """Keep the band from `low` to `high` Hz of float32 signals (..., samples): 12 dB per octave outside.

    Butterworth filters of second order, one after the other, by the bilinear transform. Both are one recursion, which
    takes less time than two and is exact to 80 dB.
    """
    from scipy.signal import lfilter  # here, because it takes a second to load

    numerator = denominator = np.ones(1)
    for hz, sign in ((low, -1), (high, 1)):
        w = 2 * np.pi * hz / rate
        alpha, edge = np.sin(w) / np.sqrt(2), (1 - sign * np.cos(w)) / 2
        numerator = np.convolve(numerator, np.array([edge, 2 * sign * edge, edge]) / (1 + alpha))
        denominator = np.convolve(denominator, [1, -2 * np.cos(w) / (1 + alpha), (1 - alpha) / (1 + alpha)])
    return lfilter(numerator.astype(np.float32), denominator.astype(np.float32), x)


def drop_pieces(x: np.ndarray, pieces: Iterable[tuple[float, float]], rate: int = RATE) -> np.ndarray:
    """A waveform (samples,) with silence in these places.

    pieces: (place, seconds), the place as a share, 0 to 1, of those that such a piece can have.
    """
    y = x.copy()
    for place, seconds in pieces:
        size = min(len(x), round(seconds * rate))
        start = round(place * (len(x) - size))
        y[start : start + size] = 0
    return y


def coded(x: np.ndarray, codec: str, rate: int) -> np.ndarray:
    """A signal (samples,) after a codec of CODECS: float32, as long as before and not delayed."""
    inside, container, subtype, level = CODECS[codec]
    signal = resample(x, rate, inside or rate)
    buffer = io.BytesIO()
    options = {} if level is None else {"compression_level": level}
    soundfile.write(buffer, signal.clip(-1, 1), inside or rate, format=container, subtype=subtype, **options)
    buffer.seek(0)
    decoded = soundfile.read(buffer, dtype="float32")[0]
    return _fitted(resample(decoded, inside or rate, rate), len(x))


def narrow(x: np.ndarray, rate: int) -> np.ndarray:
    """A signal (samples,) without what lies above 4 kHz, as long as before."""
    return _fitted(resample(resample(x, rate, NARROW), NARROW, rate), len(x))


def is_narrow(codec: str) -> bool:
    """Whether a codec of CODECS carries 4 kHz only."""
    return CODECS[codec][0] == NARROW


def _fitted(x: np.ndarray, samples: int) -> np.ndarray:
    return np.pad(x[:samples], (0, max(0, samples - len(x))))
