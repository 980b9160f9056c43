#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Score enhanced speech against clean speech: two data directories, or two folders with files of the same names.

    score_enhancement.py clean_wavs enhanced_wavs [scoring]
    score_enhancement.py --job 2 --nj 4 data/test_clean exp/enhance_mimic/enhanced/test exp/enhance_mimic/scoring/test

Prints means, 95 % bootstrap intervals, and how many utterances are NA; with a scoring directory writes there
summary.json and utterances.jsonl, and for people per_utt.tsv, summary.tsv and breakdown.tsv. With --job it scores the
utterances of one job into scoring/jobs instead, and a call without --job then combines them.
"""

import argparse
import logging
import shutil
from pathlib import Path

from mimic import cli
from mimic.errors import UserError
from mimic.io.atomic import replace
from mimic.io.tables import split
from mimic.metrics.enhancement import MEASURES, describe, parse_measures, score, write_rows
from mimic.metrics.figures import Row, Scores, breakdown, by_condition, means, summary
from mimic.metrics.identity import identify
from mimic.metrics.pairs import Pairs
from mimic.metrics.scores import read_lines, utterances_text, write_scores
from mimic.reporting.score_table import aligned, tsv

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clean", type=Path, help="data directory, or folder of audio files")
    parser.add_argument("enhanced", type=Path, help="the same for the enhanced side; lengths and rates must be equal")
    parser.add_argument("scoring", type=Path, nargs="?", help="directory for the tables")
    parser.add_argument("--measures", default="all", help=f"comma-separated, of {','.join(MEASURES)} (%(default)s)")
    parser.add_argument("--job", type=int, help="score only the utterances of this job, from 1")
    parser.add_argument("--nj", type=int, default=1, help="number of jobs (%(default)s)")
    parser.add_argument("--allow-pipes", choices=["true", "false"], default="false", help="run commands in wav.scp")
    parser.add_argument("--channel", type=int, help="channel of audio that has several, from 0")
    args = parser.parse_args()
    if args.job and not args.scoring:
        raise UserError("--job needs a scoring directory")

    measures = parse_measures(args.measures)
    pairs = Pairs(args.clean, args.enhanced, args.allow_pipes == "true", args.channel)
    jobs = args.scoring / "jobs" if args.scoring else None
    known = read_jobs(jobs, measures) if jobs else {}
    mine = split(pairs.utts, args.job, args.nj) if args.job else pairs.utts
    pending = [utt for utt in mine if utt not in known]
    scored = cli.progress(score(pairs, pending, measures), len(pending), "utterances") if pending else []
    known |= {row.utt: row for row in scored}
    rows = [known[utt] for utt in mine]
    if args.job:
        jobs.mkdir(parents=True, exist_ok=True)
        with replace(jobs / f"{args.job}-of-{args.nj}.jsonl") as f:
            f.write(utterances_text(rows))
        return

    figures = means(rows, measures)
    table = summary(figures)
    if args.scoring:
        args.scoring.mkdir(parents=True, exist_ok=True)
        data = identify(args.clean, mine, noisy=args.enhanced, clean=True)
        conditions = by_condition(rows, measures, [args.enhanced, args.clean])
        write_rows(args.scoring / "per_utt.tsv", rows, measures)
        for name, lines in (("breakdown", breakdown(conditions)), ("summary", table)):
            with replace(args.scoring / f"{name}.tsv") as f:
                f.write(f"# {describe()}\n# data: {data}\n{tsv(lines)}")
        write_scores(args.scoring, Scores(len(rows), figures, data, conditions), rows)
        shutil.rmtree(jobs, ignore_errors=True)
    unscored = [row for row in rows if row.reason != "-"]
    if unscored:
        log.warning("%d of %d have an NA, first %s: %s", len(unscored), len(rows), unscored[0].utt, unscored[0].reason)
    print(f"{len(rows)} utterances; {describe()}\n{aligned(table)}", end="")


def read_jobs(folder: Path, measures: tuple[str, ...]) -> dict[str, Row]:
    """What earlier jobs have scored, also those of a run with another number of jobs."""
    rows = [row for path in sorted(folder.glob("*-of-*.jsonl")) for row in read_lines(path)]
    return {row.utt: row for row in rows if tuple(row.scores) == measures}


if __name__ == "__main__":
    cli.run(main)
