"""Waveforms and spectrograms of picked utterances: 16-bit wav, which every browser plays, and WebP images."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image

from mimic.errors import UserError
from mimic.io.audio import AudioReader
from mimic.io.recording import write_wav

RATE = 16000  # Hz
N_FFT = 512  # 32 ms, 257 bins
HOP = 128  # samples, more for utterances whose image would be wider than
WIDEST = 1200  # columns
RANGE_DB = 70.0  # from the loudest bin of all versions of an utterance down to the darkest colour
DEEPEST_DB = 30.0  # of the gain image
SPECTRUM, GAIN = "magma", "cividis"  # colour maps
QUALITY = 85  # of WebP


def read(folder: Path | None, utt: str) -> np.ndarray | str:
    """Samples (samples,) float32 at 16 kHz, or why there are none."""
    if folder is None:
        return "there is no such audio in the experiment directory"
    try:
        return AudioReader(folder, RATE)[utt]
    except (UserError, OSError) as error:
        return str(error)


def power_db(x: np.ndarray, hop: int) -> np.ndarray:
    """Samples (samples,) -> power in dB (bins, frames); frame i is centred at sample i * hop."""
    padded = np.pad(x.astype(np.float64), N_FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::hop] * np.hanning(N_FFT)  # (frames, N_FFT)
    return 10 * np.log10(np.abs(np.fft.rfft(frames)).T ** 2 + 1e-10)


def write_images(waveforms: Mapping[str, np.ndarray], folder: Path, stem: str) -> dict[str, str]:
    """Write <stem>-<version>.webp for each waveform, on one scale, and <stem>-<version>-gain.webp for enhanced ones.

    The gain is the enhanced over the noisy power of each bin in dB: what an enhancer's mask did, measured on the
    audio, whatever kind of enhancer it was. Returns {version or version-gain: file name}.
    """
    longest = max(len(x) for x in waveforms.values())
    hop = max(HOP, -(-longest // WIDEST))
    spectra = {name: power_db(x, hop) for name, x in waveforms.items()}
    top = max(float(db.max()) for db in spectra.values())
    files = {}
    for name, db in spectra.items():
        files[name] = _image((db - top) / RANGE_DB + 1, SPECTRUM, folder / f"{stem}-{name}.webp")
        if name not in ("clean", "noisy") and "noisy" in spectra and db.shape == spectra["noisy"].shape:
            floor = 10 ** (top / 10 - RANGE_DB / 10)  # bins that are dark on both sides did not change
            loud, before = (10 ** (side / 10) + floor for side in (db, spectra["noisy"]))
            gain = 10 * np.log10(loud / before) / DEEPEST_DB + 1
            files[f"{name}-gain"] = _image(gain, GAIN, folder / f"{stem}-{name}-gain.webp")
    return files


def write_waveforms(waveforms: Mapping[str, np.ndarray], folder: Path, stem: str) -> dict[str, str]:
    """Write <stem>-<version>.wav at its own level. Returns {version: file name}."""
    for name, x in waveforms.items():
        write_wav(folder / f"{stem}-{name}.wav", x, RATE)
    return {name: f"{stem}-{name}.wav" for name in waveforms}


def gradient(colours: str) -> str:
    """The colours of a map as a CSS gradient, low to high."""
    table = matplotlib.colormaps[colours](np.linspace(0, 1, 9))
    return f"linear-gradient(to right, {', '.join(matplotlib.colors.to_hex(colour) for colour in table)})"


def _image(values: np.ndarray, colours: str, path: Path) -> str:
    """Values (bins, frames), 0 to 1 and clipped to it, as an image with low frequencies at the bottom."""
    pixels = matplotlib.colormaps[colours](np.clip(values[::-1], 0, 1), bytes=True)[..., :3]
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, "WEBP", quality=QUALITY, method=4)
    return path.name
