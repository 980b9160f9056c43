"""Writing 16-bit wav files."""

import io
import os
from pathlib import Path

import numpy as np
import soundfile

from mimic.io.atomic import named


def write_wav(path: str | Path, x: np.ndarray, rate: int = 16000) -> None:
    """Write samples (samples,) in [-1, 1) as 16-bit wav; the file is complete or absent, also after a kill.

    Full scale is 32768, as where wavs are read, so that 16-bit audio comes back unchanged. What passes full scale is
    clipped. Raises OSError that names the file, also where the disk is full.
    """
    samples = np.clip(np.rint(x.astype(np.float64) * 32768), -32768, 32767).astype(np.int16)
    wav = io.BytesIO()
    soundfile.write(wav, samples, rate, "PCM_16", format="WAV")
    tmp = f"{path}.tmp"
    try:
        with open(tmp, "wb") as f:
            f.write(wav.getbuffer())
        os.replace(tmp, path)
    except OSError as error:
        Path(tmp).unlink(missing_ok=True)
        raise named(error, path) from None
