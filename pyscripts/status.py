#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Show what runs, what stopped or failed, and what is done below an experiment tree.

status.py exp

A line for each training and each step: its directory, its state, how far it is and the time that is left.
"""

import argparse
from pathlib import Path

from mimic import cli
from mimic.errors import UserError
from mimic.reporting.status import states


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exp", type=Path, help="experiment tree")
    parser.add_argument("--all", choices=("true", "false"), default="true", help="false: not what is done")
    arguments = parser.parse_args()
    if not arguments.exp.is_dir():
        raise UserError(f"{arguments.exp}: no such directory: ./run.sh makes one")
    found = states(arguments.exp)
    width = max((len(state.name) for state in found), default=0)
    for state in found:
        if state.state != "done" or arguments.all == "true":
            print(f"{state.name:<{width}}  {state.state:<7}  {state.words}")
    counts = {name: sum(state.state == name for state in found) for name in ("running", "stopped", "failed", "done")}
    print(", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no records of trainings or jobs")


if __name__ == "__main__":
    cli.run(main)
