"""Where people speak in a long recording: segments that a recogniser can take one by one, cut in pauses."""

from collections.abc import Iterable

import numpy as np

FRAME_S = 0.01
SMOOTH_S = 0.05
FLOOR_DB = -70.0  # of full scale; what is below is silence whatever is around it
SHARE = 0.35  # of the way from the noise to the voices: where speech begins
FEWEST_DB = 6.0  # between noise and voices; where there is less, it is all one and all kept
AROUND_S = 30.0  # the noise is judged by what is so near
PAUSE_S = 0.4  # shorter pauses are inside a sentence
# Of the power of its channels that a mean has at least; the mean of n independent ones has 1 / n.
CANCELLED = 0.01
PADDING_S = 0.2  # quiet beginnings and ends of words are kept


def mono(x: np.ndarray) -> np.ndarray:
    """One channel of (samples, channels): their mean, or the loudest where the channels cancel each other."""
    mixed = x.mean(1)
    power = np.square(x, dtype=np.float64).mean(0)  # (channels,)
    if np.square(mixed, dtype=np.float64).mean() < CANCELLED * power.mean():
        return x[:, power.argmax()]
    return mixed


class Levels:
    """Collects the level of a signal that comes in blocks, in dB of full scale, frame by frame of 10 ms."""

    def __init__(self, rate: int):
        self.size = max(1, round(FRAME_S * rate))
        self._rest = np.zeros(0, dtype=np.float32)
        self._levels: list[np.ndarray] = []

    def add(self, x: np.ndarray) -> None:
        """Take further samples (samples,)."""
        x = np.concatenate([self._rest, x])
        whole = len(x) // self.size * self.size
        self._rest = x[whole:]
        # A constant offset is not sound: the variance leaves it out.
        power = x[:whole].reshape(-1, self.size).astype(np.float64).var(axis=1)
        self._levels.append(10 * np.log10(power + 1e-12))

    def finish(self) -> np.ndarray:
        """Levels (frames,), smoothed over 50 ms."""
        levels = np.concatenate([*self._levels, np.zeros(0)])
        width = round(SMOOTH_S / FRAME_S)
        if len(levels) < width:
            return levels
        return np.convolve(np.pad(levels, width // 2, mode="edge"), np.ones(width) / width, mode="valid")


def segments(levels: np.ndarray, longest: float) -> list[tuple[float, float]]:
    """Segments of speech (start, end) in seconds, none longer than `longest`, from levels as of `Levels`.

    Within a segment that is too long the cut is in its quietest moment, not near its ends.
    """
    frames = round(longest / FRAME_S)
    runs = _runs(_spoken(levels))
    joined: list[list[int]] = []
    for start, end in runs:
        if joined and start - joined[-1][1] < PAUSE_S / FRAME_S:
            joined[-1][1] = end
        else:
            joined.append([start, end])
    padding = round(PADDING_S / FRAME_S)
    for i, run in enumerate(joined):
        before = joined[i - 1][1] if i else 0  # which has been padded
        run[0] = max(run[0] - padding, before)
        after = joined[i + 1][0] if i + 1 < len(joined) else len(levels)
        run[1] = min(run[1] + padding, after)
    pieces = [piece for start, end in joined for piece in _cut(levels, start, end, frames)]
    return [(start * FRAME_S, end * FRAME_S) for start, end in pieces]


def _spoken(levels: np.ndarray) -> np.ndarray:
    """Which frames are louder than the noise around them: (frames,) of bool."""
    loud = levels > FLOOR_DB
    if not loud.any():
        return loud
    high = np.percentile(levels[loud], 95)
    width = round(AROUND_S / FRAME_S)
    spoken = np.zeros(len(levels), dtype=bool)
    for start in range(0, len(levels), width):
        near = levels[max(0, start - width // 2) : start + width + width // 2]
        low = max(np.percentile(near, 10), FLOOR_DB)
        limit = low + SHARE * (high - low) if high - low > FEWEST_DB else low - FEWEST_DB
        here = slice(start, start + width)
        spoken[here] = loud[here] & (levels[here] > limit)
    return spoken


def _runs(flags: np.ndarray) -> Iterable[tuple[int, int]]:
    """(first, one past the last) of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _cut(levels: np.ndarray, start: int, end: int, longest: int) -> list[tuple[int, int]]:
    pieces = []
    while end - start > longest:
        first = start + longest // 2
        cut = first + int(np.argmin(levels[first : start + longest]))
        pieces.append((start, cut))
        start = cut
    return [*pieces, (start, end)]
