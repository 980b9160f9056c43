#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Compare two systems on the same utterances by paired bootstrap; steps/compare.sh is the way to call it.

    compare.py --by "snr noise" exp/asr_mse exp/asr_mimic
    compare.py --set dev exp/enhance_mse,exp/asr_mse exp/enhance_mimic,exp/asr_mimic exp/compare/mse-mimic

Prints every measure that both have: A, B, their difference, its 95 % interval, and the probability that B is better.
With --seeds the directories have <seed> where those of the further seeds have _seed<k>. With a directory it writes
comparison.tsv there, with --by also comparison_by.tsv, and wer_bootci as Kaldi's compute-wer-bootci prints it.
"""

import argparse
from pathlib import Path

from mimic import cli
from mimic.io.atomic import replace
from mimic.metrics.comparison import (
    HEADER,
    RATES,
    REPLICATIONS,
    bootci_lines,
    check_identity,
    compare,
    conditions,
    data_of,
    of_seed,
    read_pairs,
)
from mimic.reporting.score_table import aligned, tsv


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a", help="scoring, decode or experiment directory; or several of one system, comma-separated")
    parser.add_argument("b", help="the same for the other system")
    parser.add_argument("output", type=Path, nargs="?", help="directory for the tables")
    parser.add_argument("--set", default="test", help="of experiment directories (%(default)s)")
    parser.add_argument("--replications", type=int, default=REPLICATIONS, help="of the bootstrap (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="the first seed (%(default)s)")
    parser.add_argument("--seeds", type=int, default=1, help="so many from there (%(default)s)")
    parser.add_argument("--by", default="", help="conditions to compare in, such as 'snr noise'")
    parser.add_argument("--data", default="", help="directory that knows them (default: what was scored)")
    args = parser.parse_args()
    if args.replications < 1:
        parser.error("--replications must be at least 1")

    seeds = range(args.seed, args.seed + args.seeds)
    names = (of_seed(args.a, args.seed, args.seed), of_seed(args.b, args.seed, args.seed))
    pairs = read_pairs((args.a, args.b), args.set, seeds)
    found = compare(pairs, names, args.replications)
    check_identity(names, args.set)
    tables = {"comparison.tsv": [HEADER, *(c.cells() for c in found)]}
    a, b = pairs[0]
    if args.by:
        groups = conditions(
            sorted(a[found[0].measure]), [args.data] if args.data else data_of(names, args.set), args.by.split()
        )
        rows = [[*c.condition, *c.cells()] for c in compare(pairs, names, args.replications, groups)]
        tables["comparison_by.tsv"] = [["condition", "value", *HEADER], *rows]
    drawn = f"seeds {', '.join(map(str, seeds))} and utterances" if len(seeds) > 1 else "utterances"
    about = f"paired bootstrap over {drawn}, {args.replications} replications; n: utterances, NA: left out"
    if args.output:
        args.output.mkdir(parents=True, exist_ok=True)
        for name, rows in tables.items():
            with replace(args.output / name) as f:
                f.write(f"# A: {args.a}; B: {args.b}; {about}\n{tsv(rows)}")
        for rate in (c.measure for c in found if c.measure in RATES):
            with replace(args.output / f"{rate}_bootci") as f:
                f.write(bootci_lines(a[rate], b[rate], args.replications))
    text = "\n".join(map(aligned, tables.values()))
    print(f"A: {args.a}\nB: {args.b}\n{text}{about}; undecided: the interval holds 0")


if __name__ == "__main__":
    cli.run(main)
