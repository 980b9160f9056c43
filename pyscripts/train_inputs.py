#!/usr/bin/env python3
"""List what a training reads, and say what is not there: the step that makes it, and what has a similar name.

train_inputs.py conf/asr.yaml --data.train exp/fbank/train_clean --data.dev exp/fbank/dev_clean

A line for each, with tabs between its words: `config FILE`, for the configuration and those it begins from, and
`input SETTING PATH MAKER`.
"""

import argparse
from pathlib import Path

from mimic import cli
from mimic.tasks import inputs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="YAML file: task, net and their sections")
    arguments, overrides = parser.parse_known_args()
    files, reads = inputs.training(arguments.config, overrides)
    for file in files:
        print("config", file, sep="\t")
    for read in reads:
        print("input", *read, sep="\t")


if __name__ == "__main__":
    cli.run(main)
