#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Compare two systems on the same utterances by paired bootstrap; steps/compare.sh is the way to call it.

    compare.py exp/asr_mse exp/asr_mimic
    compare.py --set dev exp/enhance_mse,exp/asr_mse exp/enhance_mimic,exp/asr_mimic exp/compare/mse-mimic

Prints every measure that both have: A, B, their difference, its 95 % interval, and the probability that B is better.
With a directory it writes comparison.tsv there, and wer_bootci as Kaldi's compute-wer-bootci prints it.
"""

import argparse
from pathlib import Path

from mimic import cli
from mimic.io.atomic import replace
from mimic.metrics.comparison import HEADER, RATES, REPLICATIONS, bootci_lines, check_identity, compare, read_system
from mimic.reporting.score_table import aligned, tsv


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a", help="scoring, decode or experiment directory; or several of one system, comma-separated")
    parser.add_argument("b", help="the same for the other system")
    parser.add_argument("output", type=Path, nargs="?", help="directory for the tables")
    parser.add_argument("--set", default="test", help="of experiment directories (%(default)s)")
    parser.add_argument("--replications", type=int, default=REPLICATIONS, help="of the bootstrap (%(default)s)")
    args = parser.parse_args()
    if args.replications < 1:
        parser.error("--replications must be at least 1")

    a, b = (read_system(system, args.set) for system in (args.a, args.b))
    found = compare(a, b, (args.a, args.b), args.replications)
    check_identity((args.a, args.b), args.set)
    rows = [HEADER, *(c.cells() for c in found)]
    about = f"paired bootstrap over utterances, {args.replications} replications; n: utterances, NA: left out"
    if args.output:
        args.output.mkdir(parents=True, exist_ok=True)
        with replace(args.output / "comparison.tsv") as f:
            f.write(f"# A: {args.a}; B: {args.b}; {about}\n{tsv(rows)}")
        for rate in (c.measure for c in found if c.measure in RATES):
            with replace(args.output / f"{rate}_bootci") as f:
                f.write(bootci_lines(a[rate], b[rate], args.replications))
    print(f"A: {args.a}\nB: {args.b}\n{aligned(rows)}{about}; undecided: the interval holds 0")


if __name__ == "__main__":
    cli.run(main)
