#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Print the table of scores of the systems under exp/ and write it to a Markdown file.

    score_table.py clean=,exp/asr_clean noisy=exp/noisy,exp/asr_noisy MSE=exp/enhance_mse,exp/asr_mse \\
        "MSE + mimic=exp/enhance_mimic,exp/asr_mimic"

Each argument is name=enhance_dir,asr_dir, or name@2=... for another seed, 2, of the row of that name; several seeds are
shown as mean +- standard deviation. A third directory is for "fixed" and "foreign" columns: what a recogniser that is
not trained on the row's speech makes of it. Reads <dir>/scoring/{dev,test}/. Every "X + mimic" is compared with X, and
with --pair A B other rows that differ in one thing; no other two.
A record of the same goes into a JSON file beside it, which "records.py add" takes into results/ and RESULTS.md.
"""

import argparse
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from mimic import cli
from mimic.reporting.records import Record, facts
from mimic.reporting.score_table import (
    MAIN_COLUMNS,
    aligned,
    by_seed,
    parse_columns,
    parse_systems,
    read_published,
    seeds_of,
    table,
    trained_at,
)
from mimic.reporting.study import choices, read_study
from mimic.reporting.verdicts import LEGEND as VERDICTS
from mimic.reporting.verdicts import pairs_of, verdicts

LEGEND = (
    "PESQ: wide band, MOS-LQO. STOI, eSTOI: x 100. SI-SDR: dB. WER, CER: errors per 100 reference words, characters. "
    "n: utterances, for WER and CER reference words and characters. NA: utterances without a score, or without a "
    "hypothesis (those count as errors)."
)
OTHERS = {
    "fixed": "fixed: by the recogniser of clean speech, not trained on the row's.",
    "foreign": "foreign: by a recogniser that no training here has used.",
}
PUBLISHED = (
    "[in brackets]: published for VoiceBank-DEMAND, and no reference on another corpus; {path} names the sources. The"
    " published WER was counted over characters and spaces, so it stands beside CER."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="+", metavar="NAME=ENHANCE_DIR,ASR_DIR[,FIXED_DIR]", help="rows of the table")
    parser.add_argument("--output", type=Path, default=Path("exp/RESULTS.md"), help="Markdown file (%(default)s)")
    parser.add_argument("--columns", default=MAIN_COLUMNS, help="titles, or all (%(default)s)")
    parser.add_argument("--pair", nargs=2, action="append", default=[], metavar=("A", "B"), help="rows to compare")
    parser.add_argument("--published", type=Path, help="table of published values to print beside the measured ones")
    parser.add_argument("--study", type=Path, help="file of the settings of the rows, and of what is chosen among them")
    parser.add_argument("--command", default="", help="the command that made the results, for the Markdown file")
    args = parser.parse_args()

    systems = parse_systems(args.systems)
    columns = parse_columns(args.columns)
    published = read_published(args.published) if args.published else None
    legend = " ".join([LEGEND, *dict.fromkeys(OTHERS[word] for c in columns if (word := c.title.split()[0]) in OTHERS)])
    legend += f" {PUBLISHED.format(path=args.published)}" if args.published else ""
    rows, notes = table(systems, columns, published)
    found = [verdict for a, b in pairs_of(systems, args.pair) for verdict in verdicts(a, b, columns)]
    lines = [legend, *([VERDICTS] if found else []), *notes, *map(str, found)]
    print(aligned(rows), *lines, sep="\n")

    command = args.command or shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    trained = trained_at(systems)
    known = facts(command.strip(), seeds_of(systems))
    if trained not in ("", known["commit"]):
        known["commit"] += f" (scores); {trained} (training)"
    dirs = [line for system in systems for line in system.records(args.output.parent)]
    decided = [v.record() for v in found if v.low]
    seeds = {system.name: by_seed(system, columns) for system in systems if system.others}
    record = Record(known, rows, notes=lines, comparisons=decided, systems=dirs, by_seed=seeds)
    if args.study:
        study = read_study(args.study)
        settings = {system.name: study.settings.get(system.name, "") for system in systems}
        record = replace(record, settings=settings, choices=choices(study, systems, columns))
    record.publish(args.output, "Results")


if __name__ == "__main__":
    cli.run(main)
