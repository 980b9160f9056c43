#!/usr/bin/env python3
"""Run the model beside this program on a WAV or FLAC file. Needs numpy, onnxruntime and soundfile only.

example.py noisy.wav enhanced.wav   an enhancer
example.py speech.wav               a recogniser: the likeliest token of each frame, without a search
example.py speech.wav states.npy    an encoder: hidden states (layers, frames, units); layer 0 goes into the transformer
"""

import json
import sys
from pathlib import Path

try:
    import numpy as np
    import onnxruntime
    import soundfile
except ImportError as error:
    sys.exit(f"{error.name} is not installed: {sys.executable} -m pip install numpy onnxruntime soundfile")

here = Path(__file__).parent
facts = json.loads((here / "model.json").read_text())
if len(sys.argv) != (2 if facts["output"] == "log_probs" else 3):
    sys.exit(__doc__.strip())
samples, rate = soundfile.read(sys.argv[1], dtype="float32", always_2d=True)  # (samples, channels)
if rate != facts["rate"]:
    sys.exit(f"{sys.argv[1]} has {rate} Hz, the model {facts['rate']}: resample it first")
session = onnxruntime.InferenceSession(here / "model.onnx")


def run(x: np.ndarray) -> np.ndarray:
    """Samples (samples,) through the model; what is too short for it gets silence at its end."""
    x = np.pad(x, (0, max(0, facts["shortest"] - len(x))))
    return session.run(None, {facts["input"]: x[None]})[0]


if facts["output"] == "enhanced":
    channels = [run(channel)[0, : len(channel)] for channel in samples.T]
    soundfile.write(sys.argv[2], np.stack(channels, axis=1), rate)
elif facts["output"] == "states":
    np.save(sys.argv[2], run(samples.mean(axis=1)))
else:
    tokens = [line.rsplit(" ", 1)[0] for line in (here / "tokens.txt").read_text(encoding="utf-8").splitlines()]
    best = run(samples.mean(axis=1))[0].argmax(axis=1)
    changed = [token for i, token in enumerate(best) if i == 0 or token != best[i - 1]]
    kept = [token for token in changed if token > 2]  # 0: blank, 1 and 2: ends
    print("".join(tokens[token] for token in kept).replace("\u2581", " ").strip())
