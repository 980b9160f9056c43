"""What telephones, voice messages and old files do to speech: a lossy codec there and back, a band of 4 kHz."""

import io

import numpy as np
import soundfile

from mimic.io.resampling import resample

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
