#!/usr/bin/env bash
# A meeting's recording with a long pause of digital silence (a muted microphone), through noisereduce's default,
# non-stationary mode. Its chunks are 600,000 samples: 37.5 s at 16 kHz.
# Guess: silence stays silence.
# Seen: where a whole chunk is zero, the mask is 0 / 0 and every sample of that chunk is NaN; numpy warns once.
# A player or a 16-bit file turns them into whatever it likes, and a mean of scores becomes NaN.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q noisereduce==3.0.3 numpy==2.4.6 scipy==1.17.1
cd "$dir"
venv/bin/python - << 'PYTHON'
import warnings
from importlib.metadata import version

import noisereduce
import numpy as np

RATE, CHUNK = 16000, 600_000
draw = np.random.default_rng(0)
time = np.arange(40 * RATE) / RATE
voice = (draw.normal(0, 0.1, len(time)) * np.clip(np.sin(4 * np.pi * time), 0, 1)).astype(np.float32)
meeting = np.concatenate([voice, np.zeros(120 * RATE, np.float32), voice])
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    reduced = noisereduce.reduce_noise(meeting, RATE)
missing = np.isnan(reduced)
seconds = missing.sum() / RATE
print(f"noisereduce {version('noisereduce')}: {seconds:g} s of {len(meeting) / RATE:g} s are NaN, of 120 s of silence")
assert seconds > CHUNK / RATE and not np.isnan(meeting).any() and not meeting[missing].any()
PYTHON
