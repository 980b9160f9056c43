#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Keep records of what was measured: the command, commit, seeds and environment; RESULTS.md from them.

    records.py add demo exp/RESULTS.json                          # the table that run.sh has just made
    records.py run features benchmarks/features.py --repeats 5    # run a benchmark and keep what it prints
    records.py render                                             # RESULTS.md from results/template.md and records
                                                                  # docs/study.md from results/study_template.md

Records are results/NAME.json, those of benchmarks/*.py benchmarks/records/NAME.json. results/template.md and
benchmarks/template.md name each record; mimic/reporting/results_page.py says how.
"""

import argparse
import shlex
import subprocess
from pathlib import Path

from mimic import cli
from mimic.errors import UserError
from mimic.io.atomic import replace
from mimic.reporting.records import facts, printed, read_record
from mimic.reporting.results_page import render_folder

PAGES = {
    Path("results"): {"study_template.md": Path("docs/study.md"), "template.md": Path("RESULTS.md")},
    Path("benchmarks"): {"template.md": Path("benchmarks/RESULTS.md")},
}
FIGURES = Path("docs/figures")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    add = verbs.add_parser("add", help="keep a record that another program wrote")
    add.add_argument("name", help="name of the record")
    add.add_argument("record", type=Path, help="JSON file, e.g. exp/RESULTS.json")
    run = verbs.add_parser("run", help="run a command and keep what it prints")
    run.add_argument("name", help="name of the record")
    run.add_argument("command", nargs=argparse.REMAINDER, help="the command with its arguments")
    verbs.add_parser("render", help="only make the pages")
    args = parser.parse_args()

    if args.verb == "add":
        read_record(args.record).write(Path("results") / f"{args.name}.json")
    elif args.verb == "run":
        benchmark = args.command and args.command[0].startswith("benchmarks/")
        known = facts(shlex.join(args.command))  # of now: the code may change while it runs
        record = printed(known, run_command(args.command))
        record.write(Path("benchmarks/records" if benchmark else "results") / f"{args.name}.json")
    for folder, pages in PAGES.items():
        for path, text in render_folder(folder, pages, FIGURES).items() if folder.is_dir() else ():
            path.parent.mkdir(parents=True, exist_ok=True)
            with replace(path) as f:
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
