#!/usr/bin/env bash
# RNNoise computes in floats, and what it gives may pass full scale where the input does not: loud speech.
# Guess: pyrnnoise clips it to 16 bits.
# Seen (x86-64): denoise_chunk casts, and such samples wrap round to the other end of the scale: clicks over the whole of it.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q pyrnnoise==0.4.5 numpy==2.4.6
cd "$dir"
venv/bin/python - << 'PYTHON'
import ctypes
from importlib.metadata import version

import numpy as np
from pyrnnoise import RNNoise
from pyrnnoise.rnnoise import create, lib

# A voice of 120 Hz in syllables, clipped as a recording that was made too loud: 3 s at 48 kHz.
time = np.arange(3 * 48000) / 48000
voice = sum(np.sin(2 * np.pi * k * 120 * time + k) * np.exp(-(((k * 120 - 700) / 500) ** 2)) for k in range(1, 60))
voice *= np.clip(np.sin(2 * np.pi * 3 * time), 0, None)
loud = (np.clip(1.5 * voice / np.abs(voice).max(), -1, 1) * 32767).astype(np.int16)

given = np.concatenate([frame[0] for _, frame in RNNoise(48000).denoise_chunk(loud[None], partial=True)]).astype(int)
state, frames = create(), loud.reshape(-1, 480).astype(np.float32)
for frame in frames:  # the same from the library itself
    pointer = frame.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    lib.rnnoise_process_frame(state, pointer, pointer)
floats = frames.reshape(-1)
wrapped = int((np.abs(given - floats) > 60000).sum())
jumps = np.abs(np.diff(given)).max(), np.abs(np.diff(floats)).max()
print(f"pyrnnoise {version('pyrnnoise')}: input up to {np.abs(loud.astype(int)).max()}, RNNoise up to {np.abs(floats).max():.0f};")
print(f"{wrapped} samples wrapped; largest step from sample to sample {jumps[0]}, in the floats {jumps[1]:.0f}")
assert np.abs(floats).max() > 32768 and wrapped and jumps[0] > 60000 > 6000 > jumps[1]
PYTHON
