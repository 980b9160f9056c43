#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Print word error rates of several systems by conditions, such as age and SNR, with 95 % intervals, as a table.

    breakdown_table.py --conditions age,snr "clean=exp/ligru/ligru_clean/clean" "noisy=exp/ligru/ligru_clean/noisy"

Each argument is name=asr_dir. Reads <dir>/scoring/test/summary.json; a condition that no set knows is left out. Of
SNRs it draws the curves, too: <output>_snr.svg, and for test sets (utt2set) <output>_snr_A.svg and <output>_snr_B.svg.
"""

import argparse
import shlex
import sys
from pathlib import Path

from mimic import cli
from mimic.errors import UserError
from mimic.io.atomic import replace
from mimic.metrics.figures import Mean
from mimic.metrics.scores import SUMMARY, read_scores
from mimic.reporting.page_plots import by_level
from mimic.reporting.records import Record, facts
from mimic.reporting.score_table import aligned
from mimic.settings import comma_separated

LEGEND = "Errors per 100 reference words, [95 % interval by bootstrap over utterances]; set: {}."


def figures(folder: Path, conditions: list[str]) -> dict[tuple[str, str], Mean]:
    """{(condition, value): word error rate} of a directory of scores, in its order."""
    if not (folder / SUMMARY).exists():
        raise UserError(f"{folder / SUMMARY} is missing: score the system: steps/score_asr.sh, with --force true")
    found = [c for c in read_scores(folder).conditions if c.condition in conditions and "wer" in c.figures]
    return {(c.condition, c.value): c.figures["wer"] for c in found}


def cell(rate: Mean | None) -> str:
    """Rate and interval."""
    if rate is None:
        return ""
    values = [f"{v:.2f}" if rate.n else "NA" for v in (rate.mean, rate.low, rate.high)]
    return f"{values[0]} [{values[1]}, {values[2]}]"


def curves(table: dict[str, dict[tuple[str, str], Mean]], condition: str, levels: list[str]) -> str:
    """The plot of WER against SNR of those systems that have some."""
    points = {
        name: [(r.mean, r.low, r.high) if (r := found.get((condition, level))) and r.n else None for level in levels]
        for name, found in table.items()
    }
    return by_level(levels, {name: curve for name, curve in points.items() if any(curve)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="+", metavar="NAME=ASR_DIR", help="rows of the table")
    parser.add_argument("--conditions", default="age,snr,snr_A,snr_B", help="columns (default: %(default)s)")
    parser.add_argument("--set", default="test", help="which set (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("exp/BREAKDOWN.md"), help="Markdown file (%(default)s)")
    parser.add_argument("--command", default="", help="the command that made the results, for the Markdown file")
    args = parser.parse_args()

    conditions = comma_separated(args.conditions)
    table = {}
    for system in args.systems:
        name, equals, folder = system.partition("=")
        if not equals or not name:
            raise UserError(f"'{system}': expected name=asr_dir")
        table[name] = figures(Path(folder) / "scoring" / args.set, conditions)
    columns = list(dict.fromkeys(key for found in table.values() for key in found))
    columns.sort(key=lambda key: conditions.index(key[0]))
    if not columns:
        print(f"{args.conditions}: no set tells these: utt2snr, utt2age or spk2age are missing")
        return
    rows = [["system", *(f"{condition} {value}" if condition != "age" else value for condition, value in columns)]]
    rows += [[name, *(cell(found.get(key)) for key in columns)] for name, found in table.items()]
    print(aligned(rows), LEGEND.format(args.set), sep="\n")
    command = args.command or shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    Record(facts(command.strip()), rows, notes=[LEGEND.format(args.set)]).publish(args.output, "Results by condition")
    for condition in conditions:
        levels = [value for name, value in columns if name == condition]
        if condition.startswith("snr") and len(levels) > 1:
            with replace(args.output.with_name(f"{args.output.stem}_{condition}.svg")) as f:
                f.write(curves(table, condition, levels))


if __name__ == "__main__":
    cli.run(main)
