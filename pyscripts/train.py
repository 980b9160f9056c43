#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Train what a configuration describes; rerun after a kill, it resumes.

train.py conf/asr_demo.yaml exp/asr --data.train exp/fbank/train_clean --train.seed 2

Several processes share each batch: --num-processes N starts them on this machine, torchrun and srun on any number.
Exit codes: 0 trained; 75 SIGTERM or SIGUSR1 came, all is saved, start it again; 130 the same after Ctrl-C; 1 failed.
"""

import argparse
import fcntl
import json
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Annotated

from mimic import cli
from mimic.io import atomic
from mimic.io.lock import Lock
from mimic.settings import Range
from mimic.tasks import config as configuration
from mimic.training.processes import RankInfo, rank_info, spawn
from mimic.training.stop import Stop, Stopped

log = logging.getLogger(__name__)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="YAML file: task, net and their sections")
    parser.add_argument("directory", type=Path, help="experiment directory")
    parser.add_argument(
        "--device", default="auto", help="auto (cuda, where there is one), cpu, cuda or mps (default: auto)"
    )
    processes = Annotated[int, Range(1, 256)]
    cli.add_number(parser, "--num-processes", processes, 1, "with cuda, each has a GPU")
    parser.add_argument("--check", choices=("true", "false"), default="false", help="only try whether the settings "
                        "work, and write nothing (default: %(default)s)")  # fmt: skip
    arguments, overrides = parser.parse_known_args()
    configuration.training(Path(arguments.config), overrides)  # before torch is loaded, which takes seconds
    here = rank_info()
    if arguments.num_processes > 1 and here.world == 1 and arguments.check == "false":
        return spawn(arguments.num_processes, [sys.executable, *sys.argv])
    stop = Stop()
    try:
        if arguments.check == "true":
            return check(arguments.config, overrides)
        with ExitStack() as stack:
            train(arguments, overrides, here, stop, stack)
    except Stopped as stopped:
        (arguments.directory / "log").mkdir(parents=True, exist_ok=True)
        with atomic.replace(arguments.directory / "log/stopped.json") as f:
            json.dump({"code": stopped.code}, f)
        return stopped.code
    return 0


def check(path: str, overrides: list[str]) -> int:
    from mimic.tasks import TASKS
    from mimic.training import loop

    logging.getLogger().setLevel(logging.WARNING)
    config = configuration.read(path, overrides)
    with scratch() as directory, closing(TASKS[config.task](config, directory)) as task:
        loop.check(task, config.train)
    return 0


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory that is gone afterwards; after a kill -9, which the next one removes."""
    for left in Path(tempfile.gettempdir()).glob("mimic-check-*"):
        with suppress(OSError), held(left):  # whose process has ended, for the kernel has taken its lock back
            if time.time() - left.stat().st_mtime > 10:  # and that is not about to take it
                shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix="mimic-check-") as directory, held(Path(directory)):
        yield Path(directory)


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """A lock on a directory; BlockingIOError where another process has it."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def train(arguments: argparse.Namespace, overrides: list[str], here: RankInfo, stop: Stop, stack: ExitStack) -> None:
    # Imported here: they take seconds and much memory, and a process that only starts others does not need them.
    import torch

    from mimic.io.environment import environment
    from mimic.tasks import TASKS
    from mimic.training import parallel
    from mimic.training.loop import fit
    from mimic.training.step import set_seed

    torch.set_flush_denormal(True)  # decaying states of recurrent layers: half of their time on a CPU
    config = configuration.read(arguments.config, overrides)
    directory = arguments.directory
    if here.rank == 0:
        (directory / "checkpoints").mkdir(parents=True, exist_ok=True)
        stack.enter_context(Lock(directory / "checkpoints" / ".lock"))
    else:  # the first process writes
        logging.getLogger().setLevel(logging.WARNING)
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mimic-")))
    configuration.write(config, directory / "config.yaml")
    with atomic.replace(directory / "run_info.json") as f:
        json.dump(environment() | {"seed": config.train.seed, "processes": here.world}, f, indent=2)

    auto = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(auto if arguments.device == "auto" else cli.device(arguments.device))
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", here.local_rank)
        torch.cuda.set_device(device)
    set_seed(config.train.seed, -1)  # of the initial weights; steps count from 0
    task = stack.enter_context(closing(TASKS[config.task](config, directory)))
    parameters = sum(p.numel() for p in task.model.parameters())
    log.info("%s/%s: %d parameters, %d utterances", config.task, config.net, parameters, len(task.lengths))
    if here.world > 1:
        parallel.init(here)
        stop.total = parallel.all_reduce_sum
    try:
        fit(task, config.train, arguments.directory, device, stop)
    except Stopped:
        parallel.destroy()
        raise
    parallel.destroy()


if __name__ == "__main__":
    cli.run(main)
