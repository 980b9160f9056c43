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


def share(text):
    return text if text == "auto" else float(text)


facts, options = json.loads(Path(__file__).with_name("stream.json").read_text()), onnxruntime.SessionOptions()
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
help = "of enhanced speech, the rest is the input: 0 to 1, or auto: by the SNR of the past 3 s (default: %(default)s)"
parser.add_argument("--ratio", default="auto" if "ratio" in facts else 1.0, help=help, type=share)
parser.add_argument("files", nargs=2, metavar="wav")
args = parser.parse_args()
if args.ratio == "auto" and "ratio" not in facts:
    parser.error("--ratio auto: none was fitted to this model before its export")
if not (args.ratio == "auto" or 0 <= args.ratio <= 1) or args.files.count("-") == 1:
    parser.error("--ratio is from 0 to 1 or auto, and - stands for both wavs")
options.intra_op_num_threads = 1  # a hop is too little for more
graphs = (Path(__file__).with_name(name) for name in ("stream.onnx", "waveform.onnx"))
session, hop = onnxruntime.InferenceSession(next(g for g in graphs if g.exists()), options), facts["hop"]
decay = np.exp(-np.arange(1, hop + 1) / (3 * facts["rate"]))  # of sums over the past


def enhance(hops):
    """Hops (hop,) of a channel, samples from -1 to 1 -> enhanced ones, a hop late: at the end comes one more."""
    state, before = {name: np.zeros(shape, "f4") for name, shape in facts["waveform"].items()}, np.zeros(hop, "f4")
    ratio, sums = args.ratio, np.zeros((3, hop))  # sums of noisy x noisy, noisy x enhanced, enhanced x enhanced
    for number, x in enumerate(chain(hops, [before])):
        y, *values = session.run(None, {"samples": x, **state})
        if args.ratio == "auto":
            if number:  # what comes first is of the silence before
                products = np.stack([before * before, before * y, y * y])
                sums = decay * (sums[:, -1:] + np.cumsum(products / decay, axis=1))
            ratio = np.float32(by_snr(*sums))
        yield ratio * y + (1 - ratio) * before
        state, before = dict(zip(state, values, strict=True)), x


def by_snr(xx, xy, yy):
    """The ratio of each sample: the SNR is c / (1 - c), with c the squared correlation of noisy and enhanced."""
    explained, curve, tiny = np.maximum(xy, 0) ** 2, facts["ratio"], np.finfo(float).tiny
    snr = 10 * np.log10((explained + tiny) / (np.maximum(xx * yy - explained, 0) + tiny))
    return np.interp(snr.clip(-60, 60), [curve["low"], curve["high"]], [curve["at_low"], curve["at_high"]])


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
