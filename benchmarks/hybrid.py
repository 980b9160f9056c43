#!/usr/bin/env python3
"""The hybrid recogniser: training a Li-GRU against an equal LSTM of PyTorch, and the real-time factor of decoding.

    benchmarks/hybrid.py                                # 5 x 550, both directions, 16 x 500 frames, CPU
    benchmarks/hybrid.py --device cuda --repeats 20
    hybrid.py --decode exp/ligru/ligru_clean --graph exp/ligru/tri3/graph --features exp/ligru/fmllr/dev_clean

Both networks have the same number of layers and units and the same output layers; the LSTM is that of cuDNN (packed
sequences) or of PyTorch on a CPU (padded batches: mimic/nets/rnn.py), with batch normalisation before its layers.
Frames per second count forward, backward and a step of RMSprop.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "pyscripts"))

import torch  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from mimic.nets import BODIES  # noqa: E402
from mimic.nets.acoustic import AcousticNet, RecurrentConfig  # noqa: E402

INPUTS, PDFS, PHONES = 40, 2000, 170


def trainer(net: str, args: argparse.Namespace) -> Callable[[], None]:
    """A function that takes one training step."""
    torch.manual_seed(0)
    body, _ = BODIES[net]
    device = torch.device(args.device)
    model = AcousticNet(body(INPUTS, RecurrentConfig(args.layers, args.units)), PDFS, PHONES).to(device)
    optimiser = torch.optim.RMSprop(model.parameters(), lr=2e-4, alpha=0.95)
    x = torch.randn(args.batch, args.frames, INPUTS, device=device)
    lengths = torch.full((args.batch,), args.frames, device=device)
    labels = torch.randint(PHONES, (args.batch * args.frames,), device=device)

    def step() -> None:
        optimiser.zero_grad()
        pdf, phone = model(x, lengths)
        (F.nll_loss(pdf.flatten(0, 1), labels) + F.nll_loss(phone.flatten(0, 1), labels)).backward()
        optimiser.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    parameters = sum(p.numel() for p in model.body.parameters())
    print(f"{net}: {parameters} parameters below the output layers")
    return step


def training(args: argparse.Namespace) -> None:
    steps = {net: trainer(net, args) for net in ("ligru", "lstm")}
    rates: dict[str, list[float]] = {net: [] for net in steps}
    for _ in range(args.repeats + 1):
        for net, step in steps.items():  # in turn, so that a busy moment of the machine hits both
            begun = time.perf_counter()
            step()
            rates[net].append(args.batch * args.frames / (time.perf_counter() - begun))
    rates = {net: values[1:] for net, values in rates.items()}  # the first round warms up
    where = torch.cuda.get_device_name() if args.device == "cuda" else f"{args.threads} of {os.cpu_count()} cores"
    print(
        f"{args.layers} x {args.units} bidirectional, batch {args.batch} x {args.frames} frames, {where}, "
        f"median of {args.repeats} rounds"
    )
    for net, values in rates.items():
        print(f"{net:8}{statistics.median(values):12.0f} frames/s")
    # Within a round the machine is about equally busy, so the ratio is taken there.
    ratios = [a / b for a, b in zip(rates["ligru"], rates["lstm"], strict=True)]
    print(f"ratio ligru_vs_lstm {statistics.median(ratios):.2f}")


def decoding(args: argparse.Namespace) -> None:
    """Real-time factors: scores of the network, then the search for lattices."""
    from mimic.decoding.wfst.lattice_decoder import Decoder, SearchOptions
    from mimic.io.tables import read_frames
    from mimic.models.acoustic_scores import gmm_scores, net_scores

    neural = (args.decode / "model.pt").exists()
    if neural:
        model, scores = net_scores(args.decode, args.features, args.device)
    else:
        model, scores = gmm_scores(args.decode, args.features)
    decode = Decoder(args.graph, SearchOptions(args.beam, args.lattice_beam, args.acwt), model)
    shift = float((args.features / "frame_shift").read_text())
    spent = {"scores": 0.0, "search": 0.0}
    speech = 0.0
    for utt, frames in list(read_frames(args.features).items())[: args.utterances]:
        begun = time.perf_counter()
        found = scores(utt)
        middle = time.perf_counter()
        decode(utt, found)
        spent["scores"] += middle - begun
        spent["search"] += time.perf_counter() - middle
        speech += frames * shift
    print(f"{speech:.0f} s of speech, beam {args.beam:g}, lattice beam {args.lattice_beam:g}, one thread")
    for name, seconds in spent.items():
        print(f"{name:8}real-time factor {seconds / speech:.4f}")
    print(f"ratio decode_rtf {sum(spent.values()) / speech:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--units", type=int, default=550, help="(default: %(default)s)")
    parser.add_argument("--batch", type=int, default=16, help="utterances (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=500, help="frames of each (default: %(default)s)")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="rounds (default: %(default)s)")
    parser.add_argument("--decode", type=Path, help="model to decode with, in place of training")
    parser.add_argument("--graph", type=Path, help="its graph directory")
    parser.add_argument("--features", type=Path, help="its features")
    parser.add_argument("--utterances", type=int, default=100, help="to decode (default: %(default)s)")
    parser.add_argument("--beam", type=float, default=15.0, help="(default: %(default)s)")
    parser.add_argument("--lattice-beam", type=float, default=9.0, help="(default: %(default)s)")
    parser.add_argument("--acwt", type=float, default=0.1, help="(default: %(default)s)")
    args = parser.parse_args()
    if args.decode and not (args.graph and args.features):
        parser.error("--decode needs --graph and --features")
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    decoding(args) if args.decode else training(args)


if __name__ == "__main__":
    main()
