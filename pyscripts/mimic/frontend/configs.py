"""The options of the front ends that compute on waveforms alone, and tables that follow; nothing here needs torch."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from mimic.errors import UserError
from mimic.frontend.options import read_options
from mimic.settings import Count, CountOrZero, Finite, NotNegative, Positive, Range

INT16_SCALE = 32768.0  # Kaldi computes on samples in the range of int16
FLOOR = float(np.finfo(np.float32).eps)  # smallest energy under the logarithm, as in Kaldi
WINDOWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {  # of angles from 0 to 2 pi
    "povey": lambda a: (0.5 - 0.5 * np.cos(a)) ** 0.85,
    "hanning": lambda a: 0.5 - 0.5 * np.cos(a),
    "hamming": lambda a: 0.54 - 0.46 * np.cos(a),
    "blackman": lambda a: 0.42 - 0.5 * np.cos(a) + 0.08 * np.cos(2 * a),
    "sine": lambda a: np.sin(0.5 * a),
    "rectangular": np.ones_like,
}
# Options of Kaldi's compute-fbank-feats that have one possible value here.
ONLY = {"htk_compat": "false", "use_log_fbank": "true", "use_power": "true", "round_to_power_of_two": "true"}
ONLY |= {"allow_downsample": "true", "allow_upsample": "true"}  # audio of any rate is resampled
TINY_POWER = 1e-14  # of an STFT: keeps the gradient of the magnitude finite at zero
PERIODIC = {"hamming": 0.54, "hann": 0.5}  # a of the window a - (1 - a) cos(2 pi i / samples)


def periodic(name: str, samples: int) -> np.ndarray:
    """A window (samples,) of PERIODIC in float64."""
    a = PERIODIC[name]
    return a - (1 - a) * np.cos(2 * np.pi * np.arange(samples) / samples)


@dataclass(frozen=True)
class FbankConfig:
    """Options of Kaldi's compute-fbank-feats. Unlike Kaldi's, the defaults are 80 bins and no dither.

    Attributes:
        sample_frequency: Hz; audio of another rate is resampled before.
        frame_length: ms.
        frame_shift: ms.
        window_type: povey, hamming, hanning, blackman, sine or rectangular.
        preemphasis_coefficient: 0 for none.
        remove_dc_offset: subtract the mean of every frame.
        dither: must be 0, so that features are the same on every run.
        snip_edges: only frames that lie within the signal; false reflects it at both ends.
        num_mel_bins: number of triangular filters.
        low_freq: Hz.
        high_freq: Hz; zero or negative counts from the Nyquist frequency.
        use_energy: put the log energy of the frame before the bins.
        raw_energy: take that energy before pre-emphasis and window.
        energy_floor: smallest energy of a frame, 0 for none.
    """

    sample_frequency: Annotated[float, Range(above=0, most=1000000)] = 16000.0
    frame_length: Positive = 25.0
    frame_shift: Positive = 10.0
    window_type: str = "povey"
    preemphasis_coefficient: Annotated[float, Range(0, 1)] = 0.97
    remove_dc_offset: bool = True
    dither: Finite = 0.0
    snip_edges: bool = True
    num_mel_bins: Count = 80
    low_freq: NotNegative = 20.0
    high_freq: Finite = 0.0
    use_energy: bool = False
    raw_energy: bool = True
    energy_floor: NotNegative = 0.0

    def __post_init__(self) -> None:
        if self.dither:
            raise UserError(f"--dither={self.dither:g}: features must be the same on every run: set --dither=0")
        if self.window_type not in WINDOWS:
            raise UserError(f"--window-type={self.window_type}: expected one of {', '.join(WINDOWS)}")
        if not 0 < self.frame_shift <= self.frame_length:
            raise UserError("--frame-shift must be above 0 and at most --frame-length")
        if self.num_mel_bins < 3:
            raise UserError(f"--num-mel-bins={self.num_mel_bins}: at least 3 are needed")
        nyquist = self.sample_frequency / 2
        high = self.high_freq + (nyquist if self.high_freq <= 0 else 0)
        if not 0 <= self.low_freq < high <= nyquist:
            raise UserError(f"need 0 <= --low-freq < --high-freq <= {nyquist:g} Hz, got {self.low_freq:g} and {high:g}")

    @property
    def length(self) -> int:
        """Samples of a frame."""
        # 1e-6: 0.025 * 16000 must not fall below 400; Kaldi truncates in float32, where it does not.
        return int(self.sample_frequency * self.frame_length / 1000 + 1e-6)

    @property
    def shift(self) -> int:
        """Samples from frame to frame."""
        return int(self.sample_frequency * self.frame_shift / 1000 + 1e-6)

    @property
    def n_fft(self) -> int:
        return 1 << (self.length - 1).bit_length()

    def window(self) -> np.ndarray:
        """The window (length,) in float64, times what brings samples to the range of int16."""
        angle = 2 * np.pi * np.arange(self.length) / (self.length - 1)
        return INT16_SCALE * WINDOWS[self.window_type](angle)

    def filters(self) -> np.ndarray:
        """Kaldi's triangles, equally spaced on the mel scale 1127 ln(1 + f / 700): (n_fft / 2, num_mel_bins), float64.

        The bin at the Nyquist frequency is left out, as in Kaldi. Raises UserError where a triangle holds no bin.
        """
        nyquist = self.sample_frequency / 2
        ends = np.array([self.low_freq, self.high_freq + (nyquist if self.high_freq <= 0 else 0)], np.float32)
        hertz = np.concatenate([ends, np.arange(self.n_fft // 2) * self.sample_frequency / self.n_fft])
        low, high, *bins = 1127 * np.log1p(hertz / 700)
        points = np.linspace(low, high, self.num_mel_bins + 2)
        position = np.array(bins)[:, None]
        rising, falling = position - points[:-2], points[2:] - position
        filters = np.minimum(rising, falling).clip(0) / (points[1] - points[0])
        if not filters.any(0).all():
            raise UserError(
                f"--num-mel-bins={self.num_mel_bins} is too many for {self.n_fft} points: some bins are empty"
            )
        return filters

    @classmethod
    def read(cls, path: str | Path) -> "FbankConfig":
        """Read an option file; raises UserError naming file, line and the nearest option."""
        return read_options(path, cls, ONLY | {"type": "fbank"})


@dataclass(frozen=True)
class MfccConfig(FbankConfig):
    """Options of Kaldi's compute-mfcc-feats: those of the filterbank, and

    Attributes:
        num_ceps: cepstra, C0 included.
        cepstral_lifter: Q of the liftering 1 + Q / 2 sin(pi k / Q); 0 for none.
        use_energy: the log energy in place of C0.
    """

    num_mel_bins: Count = 23
    use_energy: bool = True
    num_ceps: Count = 13
    cepstral_lifter: NotNegative = 22.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.num_ceps <= self.num_mel_bins:
            raise UserError(f"--num-ceps={self.num_ceps}: must be from 1 to --num-mel-bins={self.num_mel_bins}")

    def dct(self) -> np.ndarray:
        """The cosine transform with its liftering: (num_mel_bins, num_ceps), float64."""
        bins, k = self.num_mel_bins, np.arange(self.num_ceps)
        dct = np.sqrt(2 / bins) * np.cos(np.pi / bins * (np.arange(bins) + 0.5)[:, None] * k)
        dct[:, 0] = np.sqrt(1 / bins)
        if self.cepstral_lifter:
            dct *= 1 + self.cepstral_lifter / 2 * np.sin(np.pi * k / self.cepstral_lifter)
        return dct

    @classmethod
    def read(cls, path: str | Path) -> "MfccConfig":
        """Read an option file; raises UserError naming file, line and the nearest option."""
        return read_options(path, cls, ONLY)


@dataclass(frozen=True)
class LogMelConfig:
    """Options of the features, in samples; the defaults are those of the published compact Deep Speech 2.

    Attributes:
        sample_frequency: Hz; audio of another rate is resampled before.
        n_fft: points of the Fourier transform and samples of the periodic Hann window.
        hop_length: samples from frame to frame.
        num_mel_bins: triangular filters, equally spaced on the mel scale 2595 lg(1 + f / 700), straight in Hz; 0: no
            filters but the n_fft / 2 bins of the power spectrum below the Nyquist frequency.
        floor: smallest energy under the logarithm.
    """

    sample_frequency: Annotated[float, Range(above=0, most=1000000)] = 16000.0
    n_fft: Count = 320
    hop_length: Count = 160
    num_mel_bins: CountOrZero = 128
    floor: Positive = 1e-5

    def __post_init__(self) -> None:
        if self.n_fft % 2 or not 1 <= self.hop_length <= self.n_fft:
            raise UserError("need an even --n-fft and 1 <= --hop-length <= --n-fft")

    def filters(self) -> np.ndarray:
        """(n_fft / 2 + 1, num_mel_bins), or (n_fft / 2 + 1, n_fft / 2) that leave the bins as they are, float64."""
        bins = self.n_fft // 2 + 1
        if not self.num_mel_bins:
            return np.eye(bins)[:, :-1]
        nyquist = self.sample_frequency / 2
        mels = np.linspace(0, 2595 * np.log10(1 + nyquist / 700), self.num_mel_bins + 2)
        points = 700 * (10 ** (mels / 2595) - 1)  # Hz
        hertz = np.linspace(0, nyquist, bins)[:, None]
        rising = (hertz - points[:-2]) / (points[1:-1] - points[:-2])
        falling = (points[2:] - hertz) / (points[2:] - points[1:-1])
        return np.minimum(rising, falling).clip(0)

    @classmethod
    def read(cls, path: str | Path) -> "LogMelConfig":
        """Read an option file; raises UserError naming file, line and the nearest option."""
        return read_options(path, cls, {"type": "logmel"})


@dataclass(frozen=True)
class StftConfig:
    """What the enhancement and perceptual models of the recipe use, in samples.

    Attributes:
        sample_frequency: Hz; audio of another rate is resampled before.
        n_fft: points of the Fourier transform; n_fft / 2 + 1 bins.
        win_length: samples of the window, at most n_fft.
        hop_length: samples from frame to frame: at most win_length / 2, less for hann.
        window_type: hamming or hann, periodic.
        pad_end: one more frame at the end: the inverse is exact where the window is zero at its ends, too.
    """

    sample_frequency: Annotated[float, Range(above=0, most=1000000)] = 16000.0
    n_fft: Count = 512
    win_length: Count = 512
    hop_length: Count = 256
    window_type: str = "hamming"
    pad_end: bool = False

    def __post_init__(self) -> None:
        if self.window_type not in PERIODIC:
            raise UserError(f"--window-type={self.window_type}: expected one of {', '.join(PERIODIC)}")
        if self.n_fft % 2 or not 2 <= 2 * self.hop_length <= self.win_length <= self.n_fft:
            raise UserError("need an even --n-fft and 2 <= 2 * --hop-length <= --win-length <= --n-fft")
        # The last samples of a signal lie under one window only, up to a hop from its centre; the inverse divides
        # by that value.
        if not self.pad_end and self.window()[self.win_length // 2 + self.hop_length - 1] < 0.05:
            raise UserError(f"--hop-length={self.hop_length} is too long for an exact inverse with {self.window_type}")

    def window(self) -> np.ndarray:
        """The window (win_length,) in float64."""
        return periodic(self.window_type, self.win_length)

    @classmethod
    def read(cls, path: str | Path) -> "StftConfig":
        """Read an option file; raises UserError naming file, line and the nearest option."""
        return read_options(path, cls, {"type": "stft"})
