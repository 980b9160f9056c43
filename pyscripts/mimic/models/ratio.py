"""The enhancement ratio w: how much of the enhanced signal is in the output, w * enhanced + (1 - w) * noisy.

Adding the observation helps recognisers, for which the artefacts of an enhancer may be worse than noise (K. Iwamoto et
al., "How bad are artifacts?", Interspeech 2022). "auto" chooses w by the SNR of each utterance, estimated without a
reference from the enhanced signal: with c the squared correlation of it and the noisy signal, c / (1 - c). That is the
SNR itself where the enhanced signal is the clean one, and noise uncorrelated with it; levels cancel out. The curve
from SNR to w is fitted on dev (steps/fit_ratio.sh) and lies beside the model.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from mimic.errors import UserError
from mimic.settings import Range, Share, build

RATIO = "ratio.json"
AUTO = "auto"
FADE_S = 1.0  # in which the ratio changes from that of one chunk of a long recording to that of the next
MEMORY_S = 3.0  # of a stream: sums decay to 1/e
LIMIT_DB = 60.0  # of an estimate, either way
Decibels = Annotated[float, Range(-LIMIT_DB, LIMIT_DB)]


@dataclass(frozen=True)
class Curve:
    """The ratio by the estimated SNR in dB: `at_low` up to `low`, `at_high` from `high` on, a straight line between."""

    low: Decibels
    high: Decibels
    at_low: Share
    at_high: Share

    def check(self) -> str:
        return "" if self.low < self.high else f"low {self.low:g} has to be below high {self.high:g}"

    def __call__(self, snr: np.ndarray) -> np.ndarray:
        """Ratios from 0 to 1, of the shape of `snr`."""
        return np.interp(snr, [self.low, self.high], [self.at_low, self.at_high])


def read_curve(directory: Path) -> Curve | None:
    """The curve of a model directory, None where it has none. Raises UserError for a damaged ratio.json."""
    path = directory / RATIO
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))["curve"]
        return build(Curve, values, f"{path}: curve")
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: not what steps/fit_ratio.sh writes: run it again") from None


def check_ratio(ratio: Any) -> float:
    """A fixed ratio. Raises UserError for anything but a number from 0 to 1."""
    if isinstance(ratio, str) or not 0 <= ratio <= 1:
        raise UserError(f"enhancement ratio {ratio}: from 0 (the input) to 1 (the enhanced signal), or {AUTO}")
    return float(ratio)


def estimated_snr(noisy: np.ndarray, enhanced: np.ndarray) -> np.ndarray:
    """dB of signals (samples,) or (samples, channels), of each channel: () or (channels,). 0 where one is silent."""
    return decibels(*(product.sum(0) for product in products(noisy, enhanced)))


def products(noisy: np.ndarray, enhanced: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each sample: noisy times noisy, noisy times enhanced, enhanced times enhanced; float64."""
    x, y = noisy.astype(np.float64), enhanced.astype(np.float64)
    return x * x, x * y, y * y


def decibels(xx: np.ndarray, xy: np.ndarray, yy: np.ndarray) -> np.ndarray:
    """The SNR, within LIMIT_DB, from sums of `products`."""
    explained = np.square(np.maximum(xy, 0))
    rest = np.maximum(xx * yy - explained, 0)
    tiny = np.finfo(np.float64).tiny
    return np.clip(10 * (np.log10(explained + tiny) - np.log10(rest + tiny)), -LIMIT_DB, LIMIT_DB)


def mix(noisy: np.ndarray, enhanced: np.ndarray, ratio: float | Curve | np.ndarray) -> np.ndarray:
    """Both signals (samples,) or (samples, channels), float32, in the ratio; a curve's is that of the whole signal."""
    if isinstance(ratio, Curve):
        ratio = ratio(estimated_snr(noisy, enhanced))
    if isinstance(ratio, float) and ratio == 1:
        return enhanced
    return np.float32(ratio) * enhanced + np.float32(1 - ratio) * noisy


class Mixer:
    """Mixes a signal that comes in blocks.

    A fixed ratio is that of all samples. A curve's is that of each chunk by itself, and of each channel; so a
    recording that is one chunk has one ratio, and a longer one has a line of FADE_S from one to the next.
    """

    def __init__(self, ratio: float | Curve):
        self.ratio, self.seconds = ratio, 0.0
        self.ends: list[float] = []  # of the chunks so far, in seconds
        self.ratios: list[np.ndarray] = []  # of each, (channels,)

    def add(self, noisy: np.ndarray, enhanced: np.ndarray, rate: int) -> None:
        """The next chunk (samples, channels), before its samples are mixed."""
        if isinstance(self.ratio, Curve):
            self.ends.append((self.ends or [0.0])[-1] + len(noisy) / rate)
            self.ratios.append(self.ratio(estimated_snr(noisy, enhanced)))

    def __call__(self, noisy: np.ndarray, enhanced: np.ndarray, rate: int) -> np.ndarray:
        """The next block (samples, channels), which may have another rate than the chunks."""
        if not isinstance(self.ratio, Curve):
            return mix(noisy, enhanced, self.ratio)
        times = self.seconds + np.arange(len(noisy)) / rate
        self.seconds += len(noisy) / rate
        return mix(noisy, enhanced, np.stack([self._at(times, c) for c in range(noisy.shape[1])], axis=1))

    def _at(self, times: np.ndarray, channel: int) -> np.ndarray:
        """The ratios of a channel at these times in seconds."""
        fade, before, knots, values = min(FADE_S, self.ends[0]), self.ratios[0], [], []
        for start, ratios in zip([0.0, *self.ends], self.ratios, strict=False):
            knots += [start, start + fade]
            values += [before[channel], ratios[channel]]
            before = ratios
        return np.interp(times, knots, values)


class RunningRatio:
    """The ratio of each sample of a stream at `rate` Hz, by sums over its past, which decay within MEMORY_S."""

    def __init__(self, curve: Curve, rate: int):
        self.curve = curve
        self.decay = math.exp(-1 / (MEMORY_S * rate))
        self.state = np.zeros((3, 1))

    def __call__(self, noisy: np.ndarray, enhanced: np.ndarray) -> np.ndarray:
        """Further samples (n,) -> their ratios (n,)."""
        if not len(noisy):  # SciPy's filter forgets its state then
            return noisy
        from scipy.signal import lfilter  # here: it takes a second to load, and few streams need it

        sums, self.state = lfilter([1.0], [1.0, -self.decay], np.stack(products(noisy, enhanced)), zi=self.state)
        return self.curve(decibels(*sums))
