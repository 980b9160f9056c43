#!/usr/bin/env python3
"""Train what a configuration describes; rerun after a kill, it goes on where it was.

train.py conf/asr_demo.yaml exp/asr --data.train exp/fbank/train_clean --train.seed 2
"""

import argparse
import json
import logging
from pathlib import Path

import torch

from mimic import atomic, cli
from mimic.tasks import TASKS
from mimic.train import config as configuration
from mimic.train.loop import fit, set_seed
from mimic.train.record import environment

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="YAML file: task, net and their sections")
    parser.add_argument("directory", type=Path, help="experiment directory")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    arguments, overrides = parser.parse_known_args()

    torch.set_flush_denormal(True)  # decaying states of recurrent layers: half of their time on a CPU
    config = configuration.read(arguments.config, overrides)
    arguments.directory.mkdir(parents=True, exist_ok=True)
    configuration.write(config, arguments.directory / "config.yaml")
    with atomic.replace(arguments.directory / "run_info.json") as f:
        json.dump(environment() | {"seed": config.train.seed}, f, indent=2)

    auto = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(auto if arguments.device == "auto" else arguments.device)
    set_seed(config.train.seed, -1)  # of the initial weights; steps count from 0
    task = TASKS[config.task](config, arguments.directory)
    parameters = sum(p.numel() for p in task.model.parameters())
    log.info("%s/%s: %d parameters, %d utterances", config.task, config.net, parameters, len(task.lengths))
    fit(task, config.train, arguments.directory, device)


if __name__ == "__main__":
    cli.run(main)
