#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Print word error rates of several systems by conditions, such as age and SNR, with 95 % intervals, as a table.

    breakdown_table.py --conditions age,snr "clean=exp/ligru/ligru_clean/clean" "noisy=exp/ligru/ligru_clean/noisy"
    breakdown_table.py --seeds 5 --conditions snr,noise --data data/test_noisy noisy=exp/table/clean/noisy \\
        "MSE=exp/table/clean/mse<seed>" "MSE + mimic=exp/table/clean/mimic<seed>"

Each argument is name=asr_dir, with --seeds name=asr_dir<seed>, where the first seed has nothing in this place and the
others _seed<k>. Reads <dir>/scoring/test; a condition that no set knows is left out. Every "X + mimic" is compared with
X in each condition. Of SNRs it draws the curves, too: <output>_snr.svg, and for test sets (utt2set) <output>_snr_A.svg
and <output>_snr_B.svg. A record of the same goes into a JSON file beside the table.
"""

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from mimic import cli
from mimic.errors import UserError
from mimic.io.atomic import replace
from mimic.metrics.comparison import Comparison, System, Value, Values, bootstrap, check, data_of, of_seed, read_system
from mimic.metrics.conditions import grouped
from mimic.reporting.page_plots import by_level
from mimic.reporting.records import Record, facts
from mimic.reporting.score_table import aligned
from mimic.settings import comma_separated

LEGEND = "Errors per 100 reference words, [95 % interval by bootstrap over utterances{}]; set: {}."
Key = tuple[str, str]  # condition and value
Groups = Mapping[Key, Sequence[str]]  # utterances


def read_seeds(folder: str, name: str, seeds: range) -> list[Values]:
    """Words of a system from each seed; from one where its directory has no <seed>. UserError: not scored."""
    several = seeds if "<seed>" in folder else seeds[:1]
    systems: list[System] = [read_system(of_seed(folder, seed, seeds[0]), name) for seed in several]
    if not all("wer" in system for system in systems):
        raise UserError(f"{folder}: no word errors: score the system: steps/score_asr.sh")
    return [system["wer"] for system in systems]


def of_condition(a: Sequence[Values], b: Sequence[Values], utts: Sequence[str]) -> Comparison:
    """Word error rates of two systems, and their difference, over these utterances."""
    count = max(len(a), len(b))
    sides = [
        [{u: seed[u] for u in utts} for seed in (side if len(side) == count else [*side] * count)] for side in (a, b)
    ]
    return bootstrap("wer", list(zip(*sides, strict=True)))


def without_errors(seeds: Sequence[Values]) -> list[Values]:
    """A system of as many words that makes no errors: the difference to it is an error rate."""
    return [{utt: value and Value(0, value.weight) for utt, value in seed.items()} for seed in seeds]


def cell(rate: tuple[float, float, float] | None) -> str:
    """Rate and interval."""
    return "{:.2f} [{:.2f}, {:.2f}]".format(*rate) if rate else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="+", metavar="NAME=ASR_DIR", help="rows of the table")
    parser.add_argument("--conditions", default="age,snr,snr_A,snr_B", help="columns (default: %(default)s)")
    parser.add_argument("--set", default="test", help="which set (default: %(default)s)")
    parser.add_argument("--data", default="", help="directory that knows the conditions (default: what was scored)")
    parser.add_argument("--seed", type=int, default=1, help="the first seed (%(default)s)")
    parser.add_argument("--seeds", type=int, default=1, help="so many from there (%(default)s)")
    parser.add_argument("--output", type=Path, default=Path("exp/BREAKDOWN.md"), help="Markdown file (%(default)s)")
    parser.add_argument("--command", default="", help="the command that made the results, for the Markdown file")
    args = parser.parse_args()

    conditions = comma_separated(args.conditions)
    seeds = range(args.seed, args.seed + args.seeds)
    values: dict[str, list[Values]] = {}
    groups: dict[str, Groups] = {}
    for system in args.systems:
        name, equals, folder = system.partition("=")
        if not equals or not name:
            raise UserError(f"'{system}': expected name=asr_dir")
        values[name] = read_seeds(folder, args.set, seeds)
        places = [args.data] if args.data else data_of((of_seed(folder, args.seed, args.seed),) * 2, args.set)
        found = grouped(sorted(values[name][0]), str, places)
        groups[name] = {(condition, value): utts for condition, value, utts in found if condition in conditions}
    columns = list(dict.fromkeys(key for found in groups.values() for key in found))
    columns.sort(key=lambda key: conditions.index(key[0]))
    if not columns:
        print(f"{args.conditions}: no set tells these: utt2snr, utt2age or spk2age are missing")
        return
    table: dict[str, dict[Key, tuple[float, float, float]]] = {}
    for name, of_seeds in values.items():
        rates = {k: of_condition(without_errors(of_seeds), of_seeds, utts) for k, utts in groups[name].items()}
        table[name] = {key: (rate.b, rate.low, rate.high) for key, rate in rates.items() if rate.n}
    titles = {key: " ".join(key) if key[0] != "age" else key[1] for key in columns}
    rows = [["system", *titles.values()]]
    rows += [[name, *(cell(found.get(key)) for key in columns)] for name, found in table.items()]
    compared = []
    for a, b in ((name, f"{name} + mimic") for name in values if f"{name} + mimic" in values):
        check("wer", values[a][0], values[b][0], (a, b))
        for key in [key for key in columns if key in groups[a]]:
            pair = of_condition(values[a], values[b], groups[a][key])
            figures = zip(("difference", "low", "high"), pair.cells()[3:6], strict=True)
            compared.append({"column": titles[key], "a": a, "b": b} | dict(figures) | {"verdict": pair.verdict})
    legend = LEGEND.format(f" and {len(seeds)} seeds" if len(seeds) > 1 else "", args.set)
    notes = [
        legend,
        *("{column}: {b} against {a}: {difference} [{low}, {high}], {verdict}".format(**c) for c in compared),
    ]
    print(aligned(rows), *notes, sep="\n")
    command = args.command or shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    known = facts(command.strip(), ", ".join(map(str, seeds)) if len(seeds) > 1 else "")
    Record(known, rows, notes=notes, comparisons=compared).publish(args.output, "Results by condition")
    for condition in conditions:
        levels = [value for name, value in columns if name == condition]
        if condition.startswith("snr") and len(levels) > 1:
            curves = {name: [rates.get((condition, level)) for level in levels] for name, rates in table.items()}
            with replace(args.output.with_name(f"{args.output.stem}_{condition}.svg")) as f:
                f.write(by_level(levels, {name: curve for name, curve in curves.items() if any(curve)}))


if __name__ == "__main__":
    cli.run(main)
