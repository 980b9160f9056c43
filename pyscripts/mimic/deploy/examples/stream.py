#!/usr/bin/env python3
"""Run the stream beside this program on a WAV or FLAC file, hop by hop. Needs numpy, onnxruntime and soundfile only.

example.py noisy.wav enhanced.wav
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
facts = json.loads((here / "stream.json").read_text())
if len(sys.argv) != 3:
    sys.exit(__doc__.strip())
samples, rate = soundfile.read(sys.argv[1], dtype="float32", always_2d=True)  # (samples, channels)
if rate != facts["rate"]:
    sys.exit(f"{sys.argv[1]} has {rate} Hz, the model {facts['rate']}: resample it first")
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
graph = next(here / name for name in ("stream.onnx", "waveform.onnx") if (here / name).exists())
session = onnxruntime.InferenceSession(graph, options)
hop, delay = facts["hop"], facts["delay"]


def run(channel: np.ndarray) -> np.ndarray:
    """Samples (samples,) through the stream; what comes out `delay` samples late is moved back."""
    hops = np.pad(channel, (0, delay + -len(channel) % hop)).reshape(-1, hop)
    states = {name: np.zeros(shape, np.float32) for name, shape in facts["waveform"].items()}
    enhanced = []
    for samples in hops:
        out, *values = session.run(None, {"samples": samples, **states})
        states = dict(zip(states, values, strict=True))
        enhanced.append(out)
    return np.concatenate(enhanced)[delay : delay + len(channel)]


soundfile.write(sys.argv[2], np.stack([run(channel) for channel in samples.T], axis=1), rate)
