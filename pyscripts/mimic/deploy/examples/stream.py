#!/usr/bin/env python3
"""Enhance speech hop by hop, by the graph beside this program. Needs numpy and onnxruntime, for files soundfile too.

example.py noisy.wav enhanced.wav
arecord -t raw -f S16_LE -r 16000 | example.py --ratio 0.5 - - | aplay -t raw -f S16_LE -r 16000
"""

import argparse
import json
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import onnxruntime

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--ratio", type=float, default=1.0, help="of enhanced speech, the rest is the input (default: 1)")
parser.add_argument("files", nargs=2, metavar="wav")
args = parser.parse_args()
if not 0 <= args.ratio <= 1 or args.files.count("-") == 1:
    parser.error("--ratio is from 0 to 1, and - stands for both wavs")
facts, options = json.loads(Path(__file__).with_name("stream.json").read_text()), onnxruntime.SessionOptions()
options.intra_op_num_threads = 1  # a hop is too little for more
graphs = (Path(__file__).with_name(name) for name in ("stream.onnx", "waveform.onnx"))
session, hop = onnxruntime.InferenceSession(next(g for g in graphs if g.exists()), options), facts["hop"]


def enhance(hops):
    """Hops (hop,) of a channel, samples from -1 to 1 -> enhanced ones, a hop late: at the end comes one more."""
    state, before = {name: np.zeros(shape, "f4") for name, shape in facts["waveform"].items()}, np.zeros(hop, "f4")
    for x in chain(hops, [before]):
        y, *values = session.run(None, {"samples": x, **state})
        yield args.ratio * y + (1 - args.ratio) * before
        state, before = dict(zip(state, values, strict=True)), x


if "-" in args.files:  # raw samples of 16 bit, one channel
    blocks = iter(lambda: sys.stdin.buffer.read(2 * hop), b"")
    filled = (block[: len(block) // 2 * 2].ljust(2 * hop, b"\0") for block in blocks)
    for y in enhance(np.frombuffer(block, "<i2") / np.float32(32768) for block in filled):
        sys.stdout.buffer.write((y.clip(-1, 1) * 32767).round().astype("<i2").tobytes())
        sys.stdout.buffer.flush()
else:
    import soundfile

    x, rate = soundfile.read(args.files[0], dtype="float32", always_2d=True)  # (samples, channels)
    if rate != facts["rate"]:
        parser.error(f"{args.files[0]} has {rate} Hz, the model {facts['rate']}: resample it first")
    channels = np.pad(x, ((0, -len(x) % hop), (0, 0))).T.reshape(x.shape[1], -1, hop)
    y = np.stack([np.concatenate(list(enhance(channel))) for channel in channels], axis=1)
    soundfile.write(args.files[1], y[hop : hop + len(x)], rate)
