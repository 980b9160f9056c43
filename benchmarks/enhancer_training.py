#!/usr/bin/env python3
"""Training of enhancers from clean speech: how many hours of audio an hour of training takes, and against which other.

    benchmarks/enhancer_training.py                                     # fast against cnn_transformer, published sizes
    benchmarks/enhancer_training.py --models "fast fast_b gtcrn cnn_transformer" --threads 2

Each model of conf/mask_NAME.yaml takes steps on batches of the same size, in turn: mixtures are made (with what its own
section `augment` draws), then forward, loss, backward and optimiser step. Speech, noises and RIRs are synthetic; how
long a step takes does not depend on what they are. `ratio enhancer_training`: seconds of the last model / of the first.
"""

import argparse
import logging
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "pyscripts"))

from mimic.allocator import keep_freed_memory  # noqa: E402

keep_freed_memory()  # as our training does

import synthetic  # noqa: E402
import torch  # noqa: E402

from mimic.tasks import TASKS  # noqa: E402
from mimic.tasks import config as configuration  # noqa: E402
from mimic.training.run import Run  # noqa: E402
from mimic.training.step import set_seed, take_step  # noqa: E402

SPEAKERS = 12


class Training:
    """Steps of one model, and their times."""

    def __init__(self, name: str, args: argparse.Namespace, folder: Path):
        self.clock = {"wall": time.perf_counter, "cpu": time.process_time}[args.clock]
        speech = folder / "train_clean"
        settings = {"data.train": speech, "data.noises": folder / "noises", "data.rirs": folder / "rirs"}
        settings |= {"data.dev_noisy": speech, "data.dev_clean": speech}
        settings |= {"augment.crop_s": args.seconds, "train.batch_size": args.batch}
        words = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
        config = configuration.read(ROOT / "conf" / f"mask_{name}.yaml", words)
        directory = folder / f"exp_{name}"
        directory.mkdir()
        set_seed(1, -1)
        self.task = TASKS[config.task](config, directory)
        self.run = Run(self.task, config.train, directory, torch.device("cpu"))
        self.task.train()
        self.utterances = list(self.task.lengths)[: args.batch]
        self.mixing: list[float] = []
        self.steps: list[float] = []

    def step(self) -> None:
        begun = self.clock()
        self.task.begin_epoch(len(self.steps) + 1)  # other mixtures
        batch = self.task.load(self.utterances)
        mixed = self.clock()
        take_step(self.run, self.utterances, [batch])
        self.mixing.append(mixed - begun)
        self.steps.append(self.clock() - mixed)

    @property
    def seconds(self) -> list[float]:
        return [a + b for a, b in zip(self.mixing, self.steps, strict=True)][1:]  # the first one warms up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="fast cnn_transformer", help="(default: %(default)s)")
    parser.add_argument("--batch", type=int, default=16, help="utterances (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each (default: %(default)s)")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: for a busy machine (wall)")
    parser.add_argument("--threads", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="steps of each (default: %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)  # so does our training
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        synthetic.speech(Path(name), max(args.batch, SPEAKERS), 1.3 * args.seconds, SPEAKERS)
        synthetic.noises_and_rirs(Path(name))
        trainings = {model: Training(model, args, Path(name)) for model in args.models.split()}
        for _ in range(args.repeats + 1):
            for training in trainings.values():
                training.step()
    print(f"{args.threads} of {os.cpu_count()} cores, batch {args.batch} x {args.seconds:g} s, {args.clock} seconds")
    print(f"{'':18}{'parameters':>12}{'mixing':>9}{'step':>9}{'audio h/h':>11}")
    for model, training in trainings.items():
        training.task.close()
        mixing, step = (statistics.median(times[1:]) for times in (training.mixing, training.steps))
        count = sum(p.numel() for p in training.task.model.parameters())
        hours = args.batch * args.seconds / statistics.median(training.seconds)
        print(f"{model:18}{count:12,}{mixing:9.3f}{step:9.3f}{hours:11.1f}")
    first, *_, last = trainings.values()
    ratio = statistics.median(b / a for a, b in zip(first.seconds, last.seconds, strict=True))
    print(f"ratio enhancer_training {ratio:.2f}")


if __name__ == "__main__":
    main()
