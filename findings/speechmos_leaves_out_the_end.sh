#!/usr/bin/env bash
# DNSMOS by speechmos, on recordings of 9.9, 10 and 10.9 s, and on the same with loud noise in their last 0.85 s.
# Guess: the noise costs points, of BAK at least.
# Seen: all scores are the same to the last digit. Windows are 9.01 s long and one second apart, and only whole ones are
# looked at: up to a second at the end of a recording counts for nothing, a tenth of one of 10 s.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q speechmos==0.0.1.1 librosa==0.11.0 onnxruntime==1.32.0 numpy==2.4.6
cd "$dir"
venv/bin/python - << 'PYTHON'
from importlib.metadata import version

import numpy as np
from speechmos import dnsmos

RATE, TAIL = 16000, 0.85
draw = np.random.default_rng(0)


def voice(seconds: float) -> np.ndarray:
    """A voice of 120 Hz in syllables."""
    time = np.arange(round(seconds * RATE)) / RATE
    partials = (np.sin(2 * np.pi * k * 120 * time + k) * np.exp(-(((k * 120 - 700) / 500) ** 2)) for k in range(1, 60))
    speech = sum(partials) * np.clip(np.sin(2 * np.pi * 3 * time), 0, None)
    return 0.3 * speech / np.abs(speech).max()


for seconds in (9.9, 10.0, 10.9):
    clean = voice(seconds)
    noisy = clean.copy()
    noisy[-round(TAIL * RATE) :] = draw.normal(0, 0.2, round(TAIL * RATE))
    before, after = (dnsmos.run(x, RATE) for x in (clean, noisy))
    print(f"speechmos {version('speechmos')}, {seconds} s: BAK {before['bak_mos']:.4f}, with noise {after['bak_mos']:.4f}")
    assert before == after
whole = dnsmos.run(noisy[-round(9.01 * RATE) :], RATE)  # the same end, now inside a window
print(f"the last 9.01 s alone: BAK {whole['bak_mos']:.4f}")
assert whole["bak_mos"] < before["bak_mos"] - 0.1
PYTHON
