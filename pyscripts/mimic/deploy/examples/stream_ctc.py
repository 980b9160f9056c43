#!/usr/bin/env python3
"""Recognise speech while it is spoken, by the graph beside this program. Needs numpy, onnxruntime, for files soundfile.

stream_ctc.py speech.wav
arecord -t raw -f S16_LE -r 16000 | stream_ctc.py -
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

here, path = Path(__file__).parent, sys.argv[1] if len(sys.argv) == 2 else sys.exit(__doc__.strip())
facts = json.loads((here / "stream_ctc.json").read_text())
rate, unit, mode, (before, after) = (facts[name] for name in ("rate", "unit", "mirror", "mirrored"))
chunk = unit * max(1, round(0.3 * rate / unit))  # samples: any multiple of the unit
session = onnxruntime.InferenceSession(here / "stream_ctc.onnx")
tokens = [line.rsplit(" ", 1)[0] for line in (here / "tokens.txt").read_text(encoding="utf-8").splitlines()]
space = "" if any("\u2581" in token for token in tokens) else " "  # between phones
if path == "-":  # raw samples of 16 bit, one channel
    blocks = iter(lambda: sys.stdin.buffer.read(2 * chunk), b"")
    parts = (np.frombuffer(block[: len(block) // 2 * 2], "<i2") / 32768 for block in blocks)
else:
    import soundfile

    if (given := soundfile.info(path).samplerate) != rate:
        sys.exit(f"{path} has {given} Hz, the model {rate}: resample it first")
    parts = (block.mean(axis=1) for block in soundfile.blocks(path, chunk, always_2d=True))


def chunks():
    """With mirrored ends; the first that is not full ends the signal, and more of them bring out what is inside."""
    x = np.pad(next(parts, np.zeros(1)), (before, 0), mode=mode)
    for part in parts:
        x = np.append(x, part)
        while len(x) > chunk + after:
            yield x[:chunk]
            x = x[chunk:]
    x = np.pad(x, (0, after), mode=mode)
    for first in range(0, len(x) + 1 + facts["delay"] * unit, chunk):
        yield x[first : first + chunk]


state = {i.name: np.zeros(i.shape, "i8" if "int64" in i.type else "f4") for i in session.get_inputs()[2:]}
last = 0
for x in chunks():
    feed = {"samples": np.pad(x, (0, chunk - len(x)))[None].astype("f4"), "length": np.array([len(x)])}
    log_probs, _, *values = session.run(None, feed | state)
    state = dict(zip(state, values, strict=True))
    for token in log_probs[0].argmax(axis=1):
        if token > 2 and token != last:  # 0: blank, 1 and 2: ends
            print(tokens[token].replace("\u2581", " ") + space, end="", flush=True)
        last = token
print()
