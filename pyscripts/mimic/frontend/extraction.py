"""Features of arrays, by their definitions, with numpy: what steps/make_feats.sh computes.

The modules beside this one give the same of batches of tensors on any device, with gradients. They need torch, and to
load it takes as long as the features of an hour of speech.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mimic.frontend.configs import (
    FLOOR,
    INT16_SCALE,
    TINY_POWER,
    FbankConfig,
    LogMelConfig,
    MfccConfig,
    StftConfig,
    periodic,
)
from mimic.registry import Registry

BLOCK = 256  # frames at a time: they stay in the cache of a processor, and the spectra of an hour fit nowhere
# Each is an Extractor and the dataclass of its options, imported when it is used.
EXTRACTORS = Registry(
    {
        "fbank": "mimic.frontend.extraction:FbankExtractor,FbankConfig",
        "logmel": "mimic.frontend.extraction:LogMelExtractor,LogMelConfig",
        "mfcc": "mimic.frontend.extraction:MfccExtractor,MfccConfig",
        "ssl": "mimic.models.ssl_features:SslFeatures,SslConfig",
        "stft": "mimic.frontend.extraction:StftExtractor,StftConfig",
    }
)


class Extractor:
    """What makes archives of features.

    Attributes:
        rate: Hz of the waveforms.
        frame_shift_s: seconds from frame to frame.
    """

    rate: int
    frame_shift_s: float

    def extract(self, waveform: np.ndarray) -> np.ndarray:
        """Float32 samples in [-1, 1), (samples,) -> float32 features (frames, dim); no frames of what is too short."""
        raise NotImplementedError


def make_extractor(kind: str, options: Path) -> Extractor:
    """The extractor `kind` of EXTRACTORS with the options of a file in Kaldi's format."""
    extractor, config = EXTRACTORS[kind]
    return extractor(config.read(options))


class FbankExtractor(Extractor):
    """Filterbank features as of Kaldi's compute-fbank-feats, frame by frame."""

    def __init__(self, config: FbankConfig) -> None:
        self.config = config
        self.rate, self.frame_shift_s = round(config.sample_frequency), config.frame_shift / 1000
        self.window, self.filters = np.float32(config.window()), np.float32(config.filters())
        self.dim = self.filters.shape[1] + config.use_energy

    def extract(self, waveform: np.ndarray) -> np.ndarray:
        config, n = self.config, len(waveform)
        if not config.snip_edges:  # frame i is centred at (i + 1/2) shift of the signal and its mirror images
            frames = (n + config.shift // 2) // config.shift if n else 0
            left = config.length // 2 - config.shift // 2
            right = max(0, (frames - 1) * config.shift + config.length - left - n)
            waveform = np.pad(waveform, (left, right), mode="symmetric") if frames else waveform[:0]
            waveform = waveform[: max(0, frames - 1) * config.shift + config.length]
        return _by_blocks(self._block, waveform, config.length, config.shift, self.dim)

    def _block(self, x: np.ndarray) -> np.ndarray:
        """(frames, length) float32 -> (frames, dim) float32."""
        config, emphasis = self.config, np.float32(self.config.preemphasis_coefficient)
        if config.remove_dc_offset:
            x = x - x.mean(1, keepdims=True)
        y = x.copy()
        y[:, 1:] -= emphasis * x[:, :-1]
        y[:, 0] *= 1 - emphasis  # Kaldi lets the sample before the first of a frame equal the first
        y *= self.window
        mel = np.log((_power(y, config.n_fft)[:, :-1] @ self.filters).clip(FLOOR))
        if not config.use_energy:
            return mel
        energy = np.square(INT16_SCALE * x if config.raw_energy else y).sum(1)
        return np.column_stack([np.log(energy.clip(max(FLOOR, config.energy_floor))), mel])


class MfccExtractor(FbankExtractor):
    """Cepstra as of Kaldi's compute-mfcc-feats: the cosine transform of the filterbank."""

    def __init__(self, config: MfccConfig) -> None:
        super().__init__(config)
        self.dct, self.dim = np.float32(config.dct()), config.num_ceps

    def _block(self, x: np.ndarray) -> np.ndarray:
        feats = super()._block(x)
        if not self.config.use_energy:
            return feats @ self.dct
        ceps = feats[:, 1:] @ self.dct
        ceps[:, 0] = feats[:, 0]
        return ceps


class LogMelExtractor(Extractor):
    """Logarithms of energies of mel bands, or of bins; frame i is centred at sample i * hop of the mirrored signal."""

    def __init__(self, config: LogMelConfig) -> None:
        self.config = config
        self.rate, self.frame_shift_s = round(config.sample_frequency), config.hop_length / config.sample_frequency
        self.window, self.filters = np.float32(periodic("hann", config.n_fft)), np.float32(config.filters())

    def extract(self, waveform: np.ndarray) -> np.ndarray:
        half = self.config.n_fft // 2
        waveform = np.pad(waveform, half, mode="reflect") if len(waveform) > half else waveform[:0]
        return _by_blocks(self._block, waveform, 2 * half, self.config.hop_length, self.filters.shape[1])

    def _block(self, x: np.ndarray) -> np.ndarray:
        return np.log((_power(x * self.window, self.config.n_fft) @ self.filters).clip(self.config.floor))


class StftExtractor(Extractor):
    """log(1 + |X|) of a short-time Fourier transform; frame i is centred at sample i * hop, beyond its ends is zero."""

    def __init__(self, config: StftConfig) -> None:
        self.config = config
        self.rate, self.frame_shift_s = round(config.sample_frequency), config.hop_length / config.sample_frequency
        space = config.n_fft - config.win_length
        self.window = np.pad(np.float32(config.window()), (space // 2, space - space // 2))

    def extract(self, waveform: np.ndarray) -> np.ndarray:
        n_fft, hop = self.config.n_fft, self.config.hop_length
        waveform = np.pad(waveform, (n_fft // 2, n_fft // 2 + hop * self.config.pad_end))
        return _by_blocks(self._block, waveform, n_fft, hop, n_fft // 2 + 1)

    def _block(self, x: np.ndarray) -> np.ndarray:
        power = _power(x * self.window, self.config.n_fft) + np.float32(TINY_POWER)
        return np.log(1 + np.sqrt(power, dtype=np.float64))  # log1p takes longer than all the rest


def _power(frames: np.ndarray, n_fft: int) -> np.ndarray:
    """The power of the Fourier transform of n_fft points of (frames, samples): (frames, n_fft / 2 + 1), all float32."""
    padded = np.zeros((len(frames), n_fft))  # float64: numpy's transform takes six times as long in 32 bits
    padded[:, : frames.shape[1]] = frames
    parts = np.fft.rfft(padded).astype(np.complex64).view(np.float32)  # real and imaginary parts side by side
    parts *= parts
    return parts[:, ::2] + parts[:, 1::2]


def _by_blocks(
    compute: Callable[[np.ndarray], np.ndarray], waveform: np.ndarray, length: int, shift: int, dim: int
) -> np.ndarray:
    """`compute` of the frames that fit into a waveform: (samples,) -> (frames, dim)."""
    if len(waveform) < length:
        return np.zeros((0, dim), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(waveform, length)[::shift]
    out = np.empty((len(frames), dim), np.float32)
    for first in range(0, len(frames), BLOCK):
        out[first : first + BLOCK] = compute(frames[first : first + BLOCK])
    return out
