"""Other sampling rates: whole signals, and signals that come in blocks."""

from collections.abc import Iterable, Iterator

import numpy as np


def resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """float32 (samples,) or (samples, channels) at `rate` Hz -> the same signal at `new_rate` Hz."""
    x = np.ascontiguousarray(samples, np.float32)
    if rate == new_rate:
        return x
    import soxr  # here: most corpora have the rate that is wanted, and this module is loaded by all that read audio

    return soxr.resample(x, rate, new_rate, quality="HQ")


def resampled_blocks(blocks: Iterable[np.ndarray], rate: int, new_rate: int) -> Iterator[np.ndarray]:
    """Blocks (samples, channels) at another rate, in memory that does not grow with the signal."""
    if rate == new_rate:
        yield from blocks
        return
    import soxr

    stream = None
    for block in blocks:
        if stream is None:
            stream = soxr.ResampleStream(rate, new_rate, block.shape[1], dtype="float32", quality="HQ")
        yield stream.resample_chunk(block)
    if stream is not None:
        yield stream.resample_chunk(block[:0], last=True)
