"""What networks of frames need around them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime


class Frames:
    """A graph from a frame (size,) and a state to a frame and the state; it begins with a state of zeros."""

    def __init__(self, session: onnxruntime.InferenceSession):
        self.session = session
        self.first, state = session.get_inputs()
        self.name, self.state = state.name, np.zeros(state.shape, np.float32)

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        feed = {self.first.name: frame[None, None].astype(np.float32), self.name: self.state}
        out, self.state = self.session.run(None, feed)
        return out.reshape(-1)


def by_spectra(x: np.ndarray, window: int, enhance: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The signal (samples,) after `enhance` of its spectra (frames, bins): root of Hann, hop of half a window."""
    shape, hop = np.sqrt(np.hanning(window + 1)[:-1]), window // 2
    padded = np.pad(x, (hop, window))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop] * shape
    spectra = enhance(np.fft.rfft(frames).astype(np.complex64))
    out = np.zeros((len(frames) + 1) * hop)
    for number, frame in enumerate(np.fft.irfft(spectra, window) * shape):
        out[number * hop : number * hop + window] += frame
    return out[hop : hop + len(x)]


def blocks(x: np.ndarray, size: int) -> np.ndarray:
    """The signal (samples,) in rows of `size` samples, float32, the last one filled with zeros."""
    return np.pad(x, (0, -len(x) % size)).astype(np.float32).reshape(-1, size)


def noise(samples: int) -> np.ndarray:
    """Something to time calls with."""
    return np.random.default_rng(1).normal(0, 0.05, samples).astype(np.float32)


def one_thread(graph: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
