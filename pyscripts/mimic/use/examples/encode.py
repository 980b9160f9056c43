#!/usr/bin/env python3
"""Hidden states of a WAV or FLAC file, one frame per 20 ms, as numpy arrays: example.py speech.wav states.npy

Needs numpy, onnxruntime and soundfile only. states.npy is (layers, frames, units); layer 0 goes into the transformer.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import soundfile

here = Path(__file__).parent
facts = json.loads((here / "model.json").read_text())
session = onnxruntime.InferenceSession(here / "model.onnx")

samples, rate = soundfile.read(sys.argv[1], dtype="float32", always_2d=True)
if rate != facts["rate"]:
    sys.exit(f"{sys.argv[1]} has {rate} Hz, the model {facts['rate']}: resample it first")
np.save(sys.argv[2], session.run(None, {facts["input"]: samples.mean(axis=1)[None]})[0])
