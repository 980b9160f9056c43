#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Keep results with the command, commit, seeds and environment they come from, and make RESULTS.md from them.

    results.py add demo exp/RESULTS.json                          # the table that run.sh has just made
    results.py run features benchmarks/features.py --repeats 5    # run a benchmark and keep what it prints
    results.py render                                             # RESULTS.md from results/template.md and records

Records are results/NAME.json; a line {{ NAME }} in results/template.md is where one stands in RESULTS.md.
"""

import argparse
import shlex
import subprocess
from pathlib import Path

from mimic import cli
from mimic.errors import UserError
from mimic.io.atomic import replace
from mimic.reporting.records import Record, facts, read_record, render_folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("results"), help="template and records (%(default)s)")
    parser.add_argument("--output", type=Path, default=Path("RESULTS.md"), help="what is made (%(default)s)")
    verbs = parser.add_subparsers(dest="verb", required=True)
    add = verbs.add_parser("add", help="keep a record that another program wrote")
    add.add_argument("name", help="name of the record")
    add.add_argument("record", type=Path, help="JSON file, e.g. exp/RESULTS.json")
    run = verbs.add_parser("run", help="run a command and keep what it prints")
    run.add_argument("name", help="name of the record")
    run.add_argument("command", nargs=argparse.REMAINDER, help="the command with its arguments")
    verbs.add_parser("render", help="only make RESULTS.md")
    args = parser.parse_args()

    if args.verb == "add":
        read_record(args.record).write(args.folder / f"{args.name}.json")
    elif args.verb == "run":
        known = facts(shlex.join(args.command))  # of now: the code may change while it runs
        Record(known, text=run_command(args.command)).write(args.folder / f"{args.name}.json")
    text = render_folder(args.folder)
    with replace(args.output) as f:
        f.write(text)


def run_command(command: list[str]) -> str:
    """Run a command, show what it prints while it prints it, and return that."""
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            print(line, end="")
            lines.append(line)
    if process.returncode:
        raise UserError(f"{shlex.join(command)} failed with code {process.returncode}: nothing is recorded")
    return "".join(lines)


if __name__ == "__main__":
    cli.run(main)
