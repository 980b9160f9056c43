#!/usr/bin/env python3
"""A training step of each stage on a CPU, mimic against the same network, batch and loss built from speechbrain.

    steps/setup.sh --benchmarks true && . benchmarks/.venv/bin/activate
    benchmarks/train_step.py                          # noise with the rhythm of speech, made in a temporary directory
    benchmarks/train_step.py --data data              # data/train_{clean,noisy} of stage 1
    benchmarks/train_step.py --sizes demo --stages mimic

`train_step`: forward, loss, backward, clipping and optimiser step on a batch in memory. `train_pipeline`: epochs from
disk; mimic reads archives of features ahead of the step, speechbrain waveforms, with features made in the step, as its
recipe for VoiceBank does (before the recogniser also the enhanced waveform, for which mimic has the dump of stage 5).
"""

import argparse
import logging
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "pyscripts"))

import synthetic  # noqa: E402
import torch  # noqa: E402

try:
    import speechbrain_recipe as peer
except ImportError as error:
    sys.exit(f"{error}: steps/setup.sh --benchmarks true, then benchmarks/.venv/bin/python3 {sys.argv[0]}")

from mimic.corpus.features import JobFiles, collect, run_job  # noqa: E402
from mimic.frontend.extraction import make_extractor  # noqa: E402
from mimic.io.audio import AudioReader  # noqa: E402
from mimic.io.batching import prefetch  # noqa: E402
from mimic.tasks import TASKS  # noqa: E402
from mimic.tasks import config as configuration  # noqa: E402
from mimic.training import checkpoint  # noqa: E402
from mimic.training.run import Run  # noqa: E402
from mimic.training.step import set_seed, take_step  # noqa: E402

# Stage -> configuration; batch; whether its epochs from disk are timed.
STAGES = {
    "perceptual": ("perceptual", 8, True),
    "mse": ("enhance", 8, True),
    "mimic": ("enhance", 8, True),
    "asr": ("asr", 8, True),
    "resnet": ("enhance_resnet", 4, False),
}


def features(data: Path, folder: Path, kind: str, options: str) -> Path:
    """Feature directory of a data directory, as stage 2 makes it."""
    out = folder / f"{kind}_{data.name}"
    (out / "conf").mkdir(parents=True)
    config = out / "conf" / f"{kind}.conf"
    config.write_text(options)
    extractor = make_extractor(kind, config)
    run_job(AudioReader(data, extractor.rate), extractor, JobFiles(out / "archives", 1), 1)
    collect(data, out, out / "archives", 1, 0.01)
    return out


class Mimic:
    """A stage of this recipe, with its own task, optimiser and step."""

    def __init__(self, config: configuration.Config, directory: Path):
        directory.mkdir()
        configuration.write(config, directory / "config.yaml")
        set_seed(config.train.seed, -1)
        self.task = TASKS[config.task](config, directory)
        checkpoint.save(self.task.model.state_dict(), directory / "model.pt")  # the mimic stage loads the perceptual
        self.run = Run(self.task, config.train, directory, torch.device("cpu"))
        self.batches = self.run.batches.of_epoch(1)
        self.task.train()

    def parameters(self) -> int:
        return sum(p.numel() for p in self.task.model.parameters())

    def load(self, utterances: list[str]):
        return self.task.load(utterances)

    def step(self, utterances: list[str], batch) -> None:
        take_step(self.run, utterances, [batch])

    def epoch(self) -> None:
        for utterances, batch in zip(self.batches, prefetch(self.task.load, self.batches), strict=True):
            self.step(utterances, batch)


class Bench:
    """Both sides of one stage, and their times."""

    def __init__(self, stage: str, args: argparse.Namespace, folder: Path):
        name, batch, self.from_disk = STAGES[stage]
        self.clock = args.clock
        if args.sizes == "demo":
            name = {"perceptual": "perceptual_demo", "enhance": "enhance_demo", "asr": "asr_demo"}[name]
        data, work = args.data or folder, folder / "exp"
        mimic = stage in ("mimic", "resnet")
        if stage in ("perceptual", "asr"):
            train = work / ("stft_train_clean" if stage == "perceptual" else "fbank_train_noisy")
            options = {"data.train": train, "data.dev": train}
        else:
            options = {f"data.{s}_{side}": work / f"stft_train_{side}" for s in ("train", "dev") for side in SIDES}
            options |= {"loss.perceptual": work / "perceptual"} if mimic else {"loss.mimic_weight": 0.0}
        options |= {"train.batch_size": batch, "train.sorting": "ascending"}
        words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        config = configuration.read(ROOT / "conf" / f"{name}.yaml", words)
        self.stage, self.mimic = stage, Mimic(config, work / stage)

        tokens = getattr(self.mimic.task, "tokens", ())
        suffix = "_demo" if args.sizes == "demo" else ""
        other = {kind: configuration.read(ROOT / f"conf/{kind}{suffix}.yaml") for kind in ("perceptual", "enhance")}
        self.reference = peer.Recipe(
            config, 40 if stage == "asr" else peer.BINS, len(tokens),
            perceptual=other["perceptual"] if mimic else None, enhancer=other["enhance"] if stage == "asr" else None,
        )  # fmt: skip
        a, b = self.mimic.parameters(), self.reference.parameters()
        if a != b:
            sys.exit(f"{stage}: {a} and {b} parameters: not the same network")
        targets = getattr(self.mimic.task, "targets", {utt: [0] for utt in self.mimic.task.lengths})
        noisy, clean = (data / f"train_{side}" for side in SIDES)
        sides = {"perceptual": (None, clean), "asr": (noisy, None)}.get(stage, (noisy, clean))
        workers = args.workers if stage == "asr" else 0  # as its recipe has it
        lengths = self.mimic.task.lengths
        ascending = sorted(lengths, key=lambda utt: (lengths[utt], utt))
        self.loader = peer.loader(*sides, targets, ascending, batch, workers)
        self.times: dict[str, list[tuple[float, float]]] = {"step": [], "pipeline": []}

    def describe(self) -> str:
        batch = self.mimic.load(self.mimic.batches[-1])
        return f"{self.mimic.parameters():>12,} parameters, batch {' x '.join(map(str, batch[0].shape))}"

    def time_step(self) -> None:
        utterances = self.mimic.batches[-1]
        batch = self.mimic.load(utterances)
        relative = batch.lengths / batch.lengths.max()
        if hasattr(batch, "noisy"):
            reference = peer.Batch(batch.noisy, batch.clean, relative)
        else:
            token_lens = batch.token_lengths / batch.token_lengths.max()
            sides = (None, batch.features) if self.stage == "perceptual" else (batch.features, None)
            reference = peer.Batch(*sides, relative, batch.tokens, token_lens)
        mimic = seconds(lambda: self.mimic.step(utterances, batch), self.clock)
        self.times["step"].append((mimic, seconds(lambda: self.reference.fit_batch(reference), self.clock)))

    def time_pipeline(self) -> None:
        def epoch() -> None:
            for batch in self.loader:
                self.reference.fit_batch(self.reference.features(batch))

        self.times["pipeline"].append((seconds(self.mimic.epoch, self.clock), seconds(epoch, self.clock)))

    def report(self, what: str) -> float:
        """Prints medians; returns the median ratio. Within a round the machine is about equally busy."""
        spent = self.times[what]
        mimic, reference = (statistics.median(side) for side in zip(*spent, strict=True))
        ratio = statistics.median(b / a for a, b in spent)
        print(f"{what:9}{self.stage:11}{mimic:8.3f}{reference:13.3f}{ratio:8.2f}", flush=True)
        return ratio


SIDES = ("noisy", "clean")


def seconds(call: Callable[[], None], clock: str) -> float:
    now = {"wall": time.perf_counter, "cpu": time.process_time}[clock]
    begun = now()
    call()
    return now() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="directory with train_clean and train_noisy of stage 1")
    parser.add_argument("--utterances", type=int, default=16, help="without --data (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=1.5, help="of an utterance (default: %(default)s)")
    parser.add_argument("--sizes", choices=("published", "demo"), default="published", help="(default: %(default)s)")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES), help="(default: all)")
    parser.add_argument("--what", nargs="+", choices=("step", "pipeline"), default=["step", "pipeline"], help="(both)")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: for a busy machine (wall)")
    parser.add_argument("--threads", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--workers", type=int, default=0, help="of speechbrain's reader (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="rounds (default: %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)  # for both, as our training does
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        compare(args, Path(name))


def compare(args: argparse.Namespace, folder: Path) -> None:
    if not args.data:
        synthetic.speech(folder, args.utterances, args.seconds)
    data, work = args.data or folder, folder / "exp"
    for side in SIDES:
        features(data / f"train_{side}", work, "stft", (ROOT / "conf/stft.conf").read_text())
    features(data / "train_noisy", work, "fbank", "--num-mel-bins=40\n")
    stages = [s for s in STAGES if s in args.stages]
    if "perceptual" not in stages and {"mimic", "resnet"} & set(stages):
        Bench("perceptual", args, folder)
    ratios: dict[str, dict[str, float]] = {"step": {}, "pipeline": {}}
    machine = f"{args.threads} of {os.cpu_count()} cores, median of {args.repeats} rounds"
    print(f"{machine}; {args.clock} seconds of a step, of an epoch")
    print(f"{'':20}{'mimic':>8}{'speechbrain':>13}{'ratio':>8}")
    for stage in stages:
        bench = Bench(stage, args, folder)
        print(f"{stage}: {bench.describe()}, {len(bench.mimic.batches)} batches")
        for what, measure in (("step", bench.time_step), ("pipeline", bench.time_pipeline)):
            if what in args.what and (what == "step" or bench.from_disk):
                measure(), bench.times[what].clear()  # the first round warms up
                for _ in range(args.repeats):
                    measure()
                ratios[what][stage] = bench.report(what)
        bench.mimic.task.close()
        del bench
    print()
    for what, by_stage in ratios.items():
        for stage, ratio in by_stage.items():
            print(f"ratio train_{what}_{stage} {ratio:.2f}")
    for what, by_stage in ratios.items():
        if by_stage:
            print(f"ratio train_{what} {math.exp(statistics.fmean(map(math.log, by_stage.values()))):.2f}")


if __name__ == "__main__":
    main()
