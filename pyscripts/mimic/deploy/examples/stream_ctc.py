#!/usr/bin/env python3
"""Recognise speech while it is spoken, by the graph beside this program. Needs numpy, onnxruntime, soundfile.

stream_ctc.py speech.wav
arecord -t raw -f S16_LE -r 16000 | stream_ctc.py -
"""

import json
import sys
from pathlib import Path

try:
    import numpy as np
    import onnxruntime
except ImportError as error:
    sys.exit(f"{error.name} is not installed: {sys.executable} -m pip install numpy onnxruntime soundfile")
if len(sys.argv) != 2:
    sys.exit(__doc__.strip())

here = Path(__file__).parent
facts = json.loads((here / "stream_ctc.json").read_text())
(before, after), mode = facts["mirrored"], facts["mirror"]  # samples that the front end mirrors, and how
chunk = facts["unit"] * max(1, round(0.3 * facts["rate"] / facts["unit"]))  # samples: any multiple of the unit
session = onnxruntime.InferenceSession(here / "stream_ctc.onnx")
tokens = [line.rsplit(" ", 1)[0] for line in (here / "tokens.txt").read_text(encoding="utf-8").splitlines()]
space = "" if any("\u2581" in token for token in tokens) else " "  # between phones

if sys.argv[1] == "-":  # raw samples of 16 bit, one channel
    read = lambda n: np.frombuffer(sys.stdin.buffer.read(2 * n), "<i2") / 32768  # noqa: E731
else:
    import soundfile

    audio = soundfile.SoundFile(sys.argv[1])
    if audio.samplerate != facts["rate"]:
        sys.exit(f"{sys.argv[1]} has {audio.samplerate} Hz, the model {facts['rate']}: resample it first")
    read = lambda n: audio.read(n, always_2d=True).mean(axis=1)  # noqa: E731


def chunks():
    """Chunks of samples; the first that is not full ends the signal, and more of them bring out what is inside."""
    x = np.pad(read(chunk + before + after + 1), (before, 0), mode=mode)
    while len(new := read(chunk)):
        yield x[:chunk]
        x = np.append(x[chunk:], new)
    x = np.pad(x, (0, after), mode=mode)
    for first in range(0, len(x) + 1 + facts["delay"] * facts["unit"], chunk):
        yield x[first : first + chunk]


state = {"state": np.zeros(facts["state"], "f4"), "padded": np.zeros((1, 1, 1, 1), "f4"), "position": np.zeros(1, "i8")}
last = 0
for part in chunks():
    samples = np.pad(part, (0, chunk - len(part))).astype(np.float32)
    feed = {"samples": samples[None], "length": np.array([len(part)])}
    log_probs, _, *values = session.run(None, feed | state)
    state = dict(zip(state, values, strict=True))
    for token in log_probs[0].argmax(axis=1):
        if token > 2 and token != last:  # 0: blank, 1 and 2: ends
            print(tokens[token].replace("\u2581", " ") + space, end="", flush=True)
        last = token
print()
