#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Score enhanced speech against clean speech: two data directories, or two folders with files of the same names.

    score_enhancement.py clean_wavs enhanced_wavs [scoring]
    score_enhancement.py --job 2 --nj 4 data/test_clean exp/enhance_mimic/enhanced/test exp/enhance_mimic/scoring/test

Prints means, 95 % bootstrap intervals, and how many utterances are NA; with a scoring directory writes per_utt.tsv,
summary.tsv and breakdown.tsv there. With --job it scores one share into scoring/shares instead, and a call without
--job then puts the shares together.
"""

import argparse
import logging
import shutil
from pathlib import Path

from mimic import cli
from mimic.errors import UserError
from mimic.io.atomic import replace
from mimic.io.tables import split
from mimic.metrics.enhancement import MEASURES, Row, describe, parse_measures, read_rows, score, write_rows
from mimic.metrics.identity import identify
from mimic.metrics.pairs import Pairs
from mimic.metrics.summary import breakdown, summary
from mimic.reporting.layout import aligned, tsv

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clean", type=Path, help="data directory, or folder of audio files")
    parser.add_argument("enhanced", type=Path, help="the same for the enhanced side; lengths and rates must be equal")
    parser.add_argument("scoring", type=Path, nargs="?", help="directory for the tables")
    parser.add_argument("--measures", default="all", help=f"comma-separated, of {','.join(MEASURES)} (%(default)s)")
    parser.add_argument("--job", type=int, help="score only this share, from 1")
    parser.add_argument("--nj", type=int, default=1, help="number of shares (%(default)s)")
    parser.add_argument("--allow-pipes", choices=["true", "false"], default="false", help="run commands in wav.scp")
    parser.add_argument("--channel", type=int, help="channel of audio that has several, from 0")
    args = parser.parse_args()
    if args.job and not args.scoring:
        raise UserError("--job needs a scoring directory")

    measures = parse_measures(args.measures)
    pairs = Pairs(args.clean, args.enhanced, args.allow_pipes == "true", args.channel)
    shares = args.scoring / "shares" if args.scoring else None
    known = read_shares(shares, measures) if shares else {}
    mine = split(pairs.utts, args.job, args.nj) if args.job else pairs.utts
    todo = [utt for utt in mine if utt not in known]
    scored = cli.progress(score(pairs, todo, measures), len(todo), "utterances") if todo else []
    known |= {row.utt: row for row in scored}
    rows = [known[utt] for utt in mine]
    if args.job:
        shares.mkdir(parents=True, exist_ok=True)
        write_rows(shares / f"{args.job}-of-{args.nj}.tsv", rows, measures)
        return

    means = summary(rows, measures)
    if args.scoring:
        args.scoring.mkdir(parents=True, exist_ok=True)
        scored = identify(args.clean, mine, noisy=args.enhanced, clean=True)
        write_rows(args.scoring / "per_utt.tsv", rows, measures)
        for name, lines in (("breakdown", breakdown(rows, measures, [args.enhanced, args.clean])), ("summary", means)):
            with replace(args.scoring / f"{name}.tsv") as f:
                f.write(f"# {describe()}\n# data: {scored}\n{tsv(lines)}")
        scored.write(args.scoring)
        shutil.rmtree(shares, ignore_errors=True)
    unscored = [row for row in rows if row.reason != "-"]
    if unscored:
        log.warning("%d of %d have an NA, first %s: %s", len(unscored), len(rows), unscored[0].utt, unscored[0].reason)
    print(f"{len(rows)} utterances; {describe()}\n{aligned(means)}", end="")


def read_shares(shares: Path, measures: tuple[str, ...]) -> dict[str, Row]:
    """What earlier jobs have scored, also those of a run with another number of jobs."""
    tables = [read_rows(path) for path in sorted(shares.glob("*-of-*.tsv"))]
    return {row.utt: row for rows, names in tables if names == measures for row in rows}


if __name__ == "__main__":
    cli.run(main)
