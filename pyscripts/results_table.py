#!/usr/bin/env python3
"""Print the results table of the systems under exp/ and write it to a Markdown file.

    results_table.py clean=,exp/asr_clean noisy=exp/noisy,exp/asr_noisy MSE=exp/enhance_mse,exp/asr_mse \\
        "MSE + mimic=exp/enhance_mimic,exp/asr_mimic"

Each argument is name=enhance_dir,asr_dir. Reads <dir>/scoring/{dev,test}/, and the same in <dir>_seed<k> for
further seeds; several seeds are shown as mean +- standard deviation. The last two systems are compared in words.
A record of the same goes into a JSON file beside it, which "results.py add" takes into results/ and RESULTS.md.
"""

import argparse
import shlex
import sys
from pathlib import Path

from mimic import cli
from mimic.atomic import replace
from mimic.score.layout import aligned
from mimic.score.records import Record, facts
from mimic.score.table import System, compare, seeds_of, table, trained_at

LEGEND = (
    "PESQ: wide band, MOS-LQO. eSTOI: x 100. WER: errors per 100 reference words. n: utterances (PESQ, eSTOI) or "
    "reference words (WER). NA: utterances without a score, or without a hypothesis (those count as errors)."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="+", metavar="NAME=ENHANCE_DIR,ASR_DIR", help="rows of the table")
    parser.add_argument("--output", type=Path, default=Path("exp/RESULTS.md"), help="Markdown file (%(default)s)")
    parser.add_argument("--command", default="", help="the command that made the results, for the Markdown file")
    args = parser.parse_args()

    systems = [System.parse(text) for text in args.systems]
    rows, notes = table(systems)
    verdicts = compare(systems[-2], systems[-1]) if len(systems) > 1 else []
    print(aligned(rows), LEGEND, *verdicts, *notes, sep="\n")

    command = args.command or shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    trained = trained_at(systems)
    known = facts(command.strip(), seeds_of(systems))
    if trained not in ("", known["commit"]):
        known["commit"] += f" (scores); {trained} (training)"
    record = Record(known, rows, notes=[LEGEND, *verdicts, *notes])
    args.output.parent.mkdir(parents=True, exist_ok=True)
    record.write(args.output.with_suffix(".json"))
    with replace(args.output) as f:
        f.write(f"# Results\n\n{record.markdown()}")


if __name__ == "__main__":
    cli.run(main)
