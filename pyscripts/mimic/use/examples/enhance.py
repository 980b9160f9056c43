#!/usr/bin/env python3
"""Enhance a WAV or FLAC file with the model beside this program: example.py noisy.wav enhanced.wav

Needs numpy, onnxruntime and soundfile only.
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
channels = [session.run(None, {facts["input"]: channel[None]})[0][0] for channel in samples.T]
soundfile.write(sys.argv[2], np.stack(channels, axis=1), rate)
