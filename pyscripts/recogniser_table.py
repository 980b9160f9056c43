#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Print recognisers with their size, hours of training, real-time factor and word error rates by input, as a table.

    recogniser_table.py --inputs clean,noisy "GMM SAT=exp/ligru/tri3" "Li-GRU=exp/ligru/ligru_clean"
    recogniser_table.py --seeds 3 "TDNN-F=exp/ligru/tdnnf_multi<seed>" "Deep Speech 2=exp/ds2/asr<seed>,<input>_ngram"

Each argument is name=directory, with --seeds name=directory<seed>, where the first seed has nothing in this place and
the others _seed<k>; after a comma the name of each input's directory below it, if that is not just the input's.
Parameters of Gaussian mixtures are weights, means and variances. A record of the same goes into a JSON file beside it.
"""

import argparse
import shlex
import sys
from pathlib import Path

from mimic import cli
from mimic.reporting.recognisers import HEAD, Recogniser, row
from mimic.reporting.records import Record, facts
from mimic.reporting.score_table import aligned
from mimic.settings import comma_separated


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="+", metavar="NAME=DIR", help="rows of the table")
    parser.add_argument("--inputs", default="clean,noisy", help="columns (default: %(default)s)")
    parser.add_argument("--set", default="test", help="which set (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="the first seed (%(default)s)")
    parser.add_argument("--seeds", type=int, default=1, help="so many from there (%(default)s)")
    parser.add_argument("--output", type=Path, default=Path("exp/SYSTEMS.md"), help="Markdown file (%(default)s)")
    parser.add_argument("--command", default="", help="the command that made the results, for the Markdown file")
    args = parser.parse_args()

    inputs, seeds = comma_separated(args.inputs), range(args.seed, args.seed + args.seeds)
    recognisers = [Recogniser.parse(text) for text in args.systems]
    rows = [[*HEAD, *(f"WER {name}" for name in inputs)]]
    rows += [row(recogniser, inputs, seeds, args.set) for recogniser in recognisers]
    notes = [f"WER: errors per 100 reference words; set: {args.set}. RTF: seconds of one process for one of speech."]
    print(aligned(rows), *notes, sep="\n")
    command = args.command or shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    known = facts(command.strip(), ", ".join(map(str, seeds)) if len(seeds) > 1 else "")
    Record(known, rows, notes=notes).publish(args.output, "Recognisers")


if __name__ == "__main__":
    cli.run(main)
