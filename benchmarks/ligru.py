#!/usr/bin/env python3
"""Light GRU, forward and backward at the published size on a CPU: mimic against speechbrain's LiGRU.

    steps/setup.sh --benchmarks true && . benchmarks/.venv/bin/activate
    benchmarks/ligru.py                    # 4 layers x 512, both directions, input 12,800, batch 8 x 200 frames
    benchmarks/ligru.py --frames 300 --threads 2

Both have the same weights; before anything is timed, outputs and gradients are compared. speechbrain scripted with
torch.jit, as its documentation advises, is timed beside it.
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
from torch import Tensor, nn  # noqa: E402

try:
    from speechbrain.nnet.RNN import LiGRU
except ImportError as error:
    sys.exit(f"{error}: steps/setup.sh --benchmarks true, then benchmarks/.venv/bin/python3 {sys.argv[0]}")

from mimic.nets.ligru import LiGru  # noqa: E402

LAYERS, HIDDEN, INPUT = 4, 512, 12800


def mimic(dropout: float) -> LiGru:
    return LiGru(INPUT, HIDDEN, LAYERS, dropout)


def reference(dropout: float, batch: int) -> LiGRU:
    return LiGRU(HIDDEN, (batch, 1, INPUT), num_layers=LAYERS, dropout=dropout, bidirectional=True)


def copy(source: LiGru, target: LiGRU) -> None:
    for i, layer in enumerate(target.rnn):
        layer.w.load_state_dict(source.project[i].state_dict())
        layer.norm.load_state_dict(source.norm[i].state_dict())
        layer.u.weight.data.copy_(source.recurrent[i].data)


def check(x: Tensor, lengths: Tensor, gradient: Tensor) -> None:
    """Same output and gradients without dropout; in float64, where rounding decides the sign of no candidate."""
    x, gradient = x.double(), gradient.double()
    a, b = mimic(0.0).double(), reference(0.0, len(x)).double()
    copy(a, b)
    runs = []
    for net in (lambda x: a(x, lengths), lambda x: b(x)[0]):
        leaf = x.detach().clone().requires_grad_()
        out = net(leaf)
        out.backward(gradient)
        runs.append([out.detach(), leaf.grad])
    runs[0] += [p.grad for p in [*a.project.parameters(), *a.norm.parameters(), *a.recurrent]]
    runs[1] += [layer.w.weight.grad for layer in b.rnn]
    runs[1] += [p.grad for layer in b.rnn for p in layer.norm.parameters()] + [layer.u.weight.grad for layer in b.rnn]
    worst = max(float((p - q).norm() / q.norm()) for p, q in zip(*runs, strict=True))
    print(f"largest relative difference of outputs and gradients: {worst:.1e}")
    if not worst < 1e-6:
        sys.exit("the two networks differ")


def step(
    net: nn.Module, call: Callable[[Tensor], Tensor], x: Tensor, gradient: Tensor, now: Callable[[], float]
) -> tuple[float, float]:
    """Seconds of forward and of backward, by the clock `now`."""
    net.zero_grad()
    leaf = x.detach().requires_grad_()  # in the CRDNN there is a convolutional part before it
    begun = now()
    out = call(leaf)
    middle = now()
    out.backward(gradient)
    return middle - begun, now() - middle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=8, help="utterances (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=200, help="frames of each (default: %(default)s)")
    parser.add_argument("--dropout", type=float, default=0.1, help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=7, help="rounds (default: %(default)s)")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: for a busy machine (wall)")
    args = parser.parse_args()
    now = {"wall": time.perf_counter, "cpu": time.process_time}[args.clock]
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)  # for both, as our training does
    torch.manual_seed(0)
    x = torch.randn(args.batch, args.frames, INPUT)
    lengths = torch.full((args.batch,), args.frames)
    gradient = torch.randn(args.batch, args.frames, 2 * HIDDEN)
    few = min(args.frames, 40)
    check(x[:, :few], lengths.clamp(max=few), gradient[:, :few])

    a, b = mimic(args.dropout), reference(args.dropout, args.batch)
    c = torch.jit.script(reference(args.dropout, args.batch))
    programs = {
        "mimic": (a, lambda x: a(x, lengths)),
        "speechbrain": (b, lambda x: b(x)[0]),
        "speechbrain, torch.jit": (c, lambda x: c(x)[0]),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
    for _ in range(args.repeats + 2):
        for name, (net, call) in programs.items():  # in turn, so that a busy moment of the machine hits all of them
            times[name].append(step(net, call, x, gradient, now))
    times = {name: spent[2:] for name, spent in times.items()}  # the first rounds warm up
    print(
        f"{LAYERS} x {HIDDEN} bidirectional, input {INPUT}, batch {args.batch} x {args.frames} frames, "
        f"{args.threads} of {os.cpu_count()} cores, median of {args.repeats} rounds, {args.clock} seconds"
    )
    print(f"{'':24}{'forward s':>11}{'backward s':>12}")
    for name, spent in times.items():
        forward, backward = (statistics.median(part) for part in zip(*spent, strict=True))
        print(f"{name:24}{forward:11.3f}{backward:12.3f}")
    for name, peer in (("ligru_vs_jit", "speechbrain, torch.jit"), ("ligru", "speechbrain")):
        # Within a round the machine is about equally busy, so the ratio is taken there.
        ratios = [sum(b) / sum(a) for a, b in zip(times["mimic"], times[peer], strict=True)]
        print(f"ratio {name} {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
