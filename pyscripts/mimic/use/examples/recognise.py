#!/usr/bin/env python3
"""Write down what is said in a WAV or FLAC file: example.py speech.wav

Needs numpy, onnxruntime and soundfile only. Takes the likeliest token of each frame, without a search.
"""

import json
import sys
from pathlib import Path

import onnxruntime
import soundfile

here = Path(__file__).parent
facts = json.loads((here / "model.json").read_text())
tokens = [line.rsplit(" ", 1)[0] for line in (here / "tokens.txt").read_text(encoding="utf-8").splitlines()]
session = onnxruntime.InferenceSession(here / "model.onnx")

samples, rate = soundfile.read(sys.argv[1], dtype="float32", always_2d=True)
if rate != facts["rate"]:
    sys.exit(f"{sys.argv[1]} has {rate} Hz, the model {facts['rate']}: resample it first")
(log_probs,) = session.run(None, {facts["input"]: samples.mean(axis=1)[None]})
best = log_probs[0].argmax(axis=1)
kept = [token for i, token in enumerate(best) if token > 2 and (i == 0 or token != best[i - 1])]  # 0: blank, 1, 2: ends
print("".join(tokens[token] for token in kept).replace("\u2581", " ").strip())
