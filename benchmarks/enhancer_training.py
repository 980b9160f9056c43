#!/usr/bin/env python3
"""Training of enhancers from clean speech: how many hours of audio an hour of training takes, and against which other.

    benchmarks/enhancer_training.py                                     # fast against cnn_transformer, published sizes
    benchmarks/enhancer_training.py --against ../mimic-0.1              # and that of another checkout
    benchmarks/enhancer_training.py --models "fast fast_b gtcrn cnn_transformer" --threads 2

Each model of conf/mask_NAME.yaml takes steps on batches of the same size, in turn, each in its own process: mixtures
are made (with what its own section `augment` draws), then forward, loss, backward and optimiser step. Speech, noises
and RIRs are synthetic; how long a step takes does not depend on what they are.

ratio enhancer_training             seconds of the last model / of the first
ratio enhancer_training_vs_earlier  of the last model in the other checkout / of the first
"""

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SPEAKERS = 12


def worker(root: Path, name: str, folder: Path, clock: str, threads: int, batch: int, seconds: float) -> None:
    """Steps of one model of a checkout: one for each line of the input, and its times in a line of the output."""
    sys.path.insert(0, str(root / "pyscripts"))
    rirs, batch_size = "rirs", "batch_size"
    try:
        from mimic.allocator import keep_freed_memory

        keep_freed_memory()  # as our training does
        from mimic.tasks import config as configuration
        from mimic.training.run import Run
        from mimic.training.step import set_seed, take_step
    except ImportError:  # commit 75b122b
        from mimic.train import config as configuration
        from mimic.train.loop import set_seed
        from mimic.train.loop import step as take_step
        from mimic.train.run import Run

        rirs, batch_size = "rooms", "batch_utterances"
    import torch

    from mimic.tasks import TASKS

    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)  # so does our training
    logging.disable(logging.WARNING)
    speech = folder / "train_clean"
    settings = {"data.train": speech, "data.noises": folder / "noises", f"data.{rirs}": folder / "rirs"}
    settings |= {"data.dev_noisy": speech, "data.dev_clean": speech}
    settings |= {"augment.crop_s": seconds, f"train.{batch_size}": batch}
    words = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
    os.chdir(root)  # where paths in configurations begin
    config = configuration.read(root / "conf" / f"mask_{name}.yaml", words)
    now = {"wall": time.perf_counter, "cpu": time.process_time}[clock]
    with tempfile.TemporaryDirectory() as directory:
        set_seed(1, -1)
        task = TASKS[config.task](config, Path(directory))
        run = Run(task, config.train, Path(directory), torch.device("cpu"))
        task.train()
        utterances = list(task.lengths)[:batch]
        for epoch, _ in enumerate(sys.stdin, 1):
            begun = now()
            task.begin_epoch(epoch)  # other mixtures
            loaded = task.load(utterances)
            mixed = now()
            take_step(run, utterances, [loaded])
            times = {"mixing": mixed - begun, "step": now() - mixed}
            print(json.dumps(times | {"parameters": sum(p.numel() for p in task.model.parameters())}), flush=True)


class Training:
    """Steps of one model, and their times."""

    def __init__(self, root: Path, name: str, folder: Path, args: argparse.Namespace):
        words = ["--worker", root, "--models", name, "--folder", folder]
        for option in ("clock", "threads", "batch", "seconds"):
            words += [f"--{option}", getattr(args, option)]
        python = root / ".venv/bin/python3" if root != ROOT else sys.executable
        command = [str(python), __file__, *map(str, words)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.times: list[dict[str, float]] = []

    def step(self) -> None:
        assert self.process.stdin and self.process.stdout
        print(file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{' '.join(map(str, self.process.args))} failed")
        self.times.append(json.loads(line))

    def end(self) -> None:
        self.process.communicate()

    @property
    def seconds(self) -> list[float]:
        return [step["mixing"] + step["step"] for step in self.times[1:]]  # the first one warms up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="fast cnn_transformer", help="(default: %(default)s)")
    parser.add_argument(
        "--against", type=Path, metavar="DIR", help="another checkout, with its .venv, for the last model"
    )
    parser.add_argument("--batch", type=int, default=16, help="utterances (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each (default: %(default)s)")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: for a busy machine (wall)")
    parser.add_argument("--threads", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="steps of each (default: %(default)s)")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return worker(args.worker, args.models, args.folder, args.clock, args.threads, args.batch, args.seconds)

    sys.path.insert(0, str(ROOT / "pyscripts"))
    import synthetic

    names = args.models.split()
    sides = [(name, ROOT, name) for name in names]
    if args.against:
        sides.append((f"{names[-1]}, earlier", args.against.resolve(), names[-1]))
    with tempfile.TemporaryDirectory() as folder:
        synthetic.speech(Path(folder), max(args.batch, SPEAKERS), 1.3 * args.seconds, SPEAKERS)
        synthetic.noises_and_rirs(Path(folder))
        trainings = {label: Training(root, name, Path(folder), args) for label, root, name in sides}
        for _ in range(args.repeats + 1):
            for training in trainings.values():
                training.step()
        for training in trainings.values():
            training.end()
    print(f"{args.threads} of {os.cpu_count()} cores, batch {args.batch} x {args.seconds:g} s, {args.clock} seconds")
    print(f"{'':26}{'parameters':>12}{'mixing':>9}{'step':>9}{'audio h/h':>11}")
    for label, training in trainings.items():
        mixing, step = (statistics.median(t[part] for t in training.times[1:]) for part in ("mixing", "step"))
        hours = args.batch * args.seconds / statistics.median(training.seconds)
        print(f"{label:26}{training.times[0]['parameters']:12,}{mixing:9.3f}{step:9.3f}{hours:11.1f}")
    first = trainings[names[0]]
    for ratio, label in (("enhancer_training", names[-1]), ("enhancer_training_vs_earlier", f"{names[-1]}, earlier")):
        if label in trainings:
            pairs = zip(first.seconds, trainings[label].seconds, strict=True)
            print(f"ratio {ratio} {statistics.median(b / a for a, b in pairs):.2f}")


if __name__ == "__main__":
    main()
