#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""List what a training is made from, and say what is not there: the step that makes it, and what has a similar name.

train_inputs.py conf/asr.yaml --data.train exp/fbank/train_clean --data.dev exp/fbank/dev_clean

A line for each, with tabs between its words: `task NAME`; `setting NAME VALUE`, for each value that is given, in a file
or after it, and bears on the result; `input SETTING PATH MAKER`.
"""

import argparse
from pathlib import Path

from mimic import cli
from mimic.tasks import config as configuration


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="YAML file: task, net and their sections")
    parser.add_argument("--exist", choices=("true", "false"), default="true", help="false: inputs may be missing")
    arguments, overrides = parser.parse_known_args()
    found = configuration.training(arguments.config, overrides, exist=arguments.exist == "true")
    print("task", found.task, sep="\t")
    for name, value in sorted(found.settings.items()):
        print("setting", name, value, sep="\t")
    for read in found.reads:
        print("input", *read, sep="\t")


if __name__ == "__main__":
    cli.run(main)
