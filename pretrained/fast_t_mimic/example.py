#!/usr/bin/env python3
"""Enhance speech hop by hop, by the graph beside this program. Needs numpy and onnxruntime, for files soundfile too.

example.py noisy.wav enhanced.wav
arecord -t raw -f S16_LE -r 16000 | example.py - - | aplay -t raw -f S16_LE -r 16000
"""

import json
import sys
from pathlib import Path

try:
    import numpy as np
    import onnxruntime
except ImportError as error:
    sys.exit(f"{error.name} is not installed: {sys.executable} -m pip install numpy onnxruntime soundfile")

here = Path(__file__).parent
facts = json.loads((here / "stream.json").read_text())
hop, delay = facts["hop"], facts["delay"]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
graph = next(here / name for name in ("stream.onnx", "waveform.onnx") if (here / name).exists())
session = onnxruntime.InferenceSession(graph, options)


class Stream:
    """One channel: the next samples (hop,), at most 1 in size -> as many enhanced ones, `delay` samples late."""

    def __init__(self):
        self.states = {name: np.zeros(shape, np.float32) for name, shape in facts["waveform"].items()}

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        enhanced, *values = session.run(None, {"samples": samples.astype(np.float32), **self.states})
        self.states = dict(zip(self.states, values, strict=True))
        return enhanced


if len(sys.argv) != 3 or sys.argv.count("-") == 1:
    sys.exit(__doc__.strip())
if sys.argv[1] == "-":  # raw samples of 16 bit, one channel
    stream, last = Stream(), False
    while not last:
        data = sys.stdin.buffer.read(2 * hop)
        last = len(data) < 2 * hop
        samples = np.frombuffer(data[: len(data) // 2 * 2], "<i2") / 32768
        samples = np.pad(samples, (0, -len(samples) % hop + (delay if last else 0)))
        for part in samples.reshape(-1, hop):
            sys.stdout.buffer.write((stream(part).clip(-1, 1) * 32767).round().astype("<i2").tobytes())
        sys.stdout.buffer.flush()
else:
    import soundfile

    rate = soundfile.info(sys.argv[1]).samplerate
    if rate != facts["rate"]:
        sys.exit(f"{sys.argv[1]} has {rate} Hz, the model {facts['rate']}: resample it first")
    x, rate = soundfile.read(sys.argv[1], dtype="float32", always_2d=True)  # (samples, channels)
    hops = np.pad(x, ((0, delay + -len(x) % hop), (0, 0))).reshape(-1, hop, x.shape[1])
    streams = [Stream() for _ in x.T]
    y = np.concatenate([np.stack([s(part) for s, part in zip(streams, h.T, strict=True)], 1) for h in hops])
    soundfile.write(sys.argv[2], y[delay : delay + len(x)], rate)
