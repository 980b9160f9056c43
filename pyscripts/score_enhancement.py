#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Score enhanced speech against clean speech: two data directories, or two folders with files of the same names.

    score_enhancement.py clean_wavs enhanced_wavs [scoring]
    score_enhancement.py --reference none --measures dnsmos-ovrl,distill-mos enhanced_wavs [scoring]
    score_enhancement.py --job 2 --nj 4 data/test_clean exp/enhance_mimic/enhanced/test exp/enhance_mimic/scoring/test

Prints means, 95 % bootstrap intervals, and how many utterances are NA; pairs that cannot be read or do not fit are
errors, and the exit code is 1 where there are more of them than --max-skip; with a scoring directory writes there
summary.json and utterances.jsonl, and for people per_utt.tsv, summary.tsv and breakdown.tsv. With --job it scores the
utterances of one job into scoring/jobs instead, and a call without --job then combines them.
"""

import argparse
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from mimic import cli
from mimic.errors import UserError
from mimic.io.atomic import replace
from mimic.io.tables import split
from mimic.judging.similarity import chosen
from mimic.metrics.enhancement import DNSMOS, ERROR, MEASURES, STANDARD, describe, score, write_rows
from mimic.metrics.figures import Row, Scores, breakdown, by_condition, means, summary
from mimic.metrics.identity import identify
from mimic.metrics.pairs import Pairs, Single
from mimic.metrics.pesq import EDITIONS, use
from mimic.metrics.scores import read_lines, utterance_lines, write_scores
from mimic.reporting.score_table import aligned, tsv
from mimic.settings import Share

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.usage = "%(prog)s [options] [<clean>] <enhanced> [<scoring>]"
    help = (
        "clean and enhanced side, data directories or folders of audio of equal lengths and rates; directory for tables"
    )
    parser.add_argument("paths", type=Path, nargs="+", help=help)
    help = "none: there is no clean speech (default: %(default)s)"
    parser.add_argument("--reference", choices=["clean", "none"], default="clean", help=help)
    help = (
        f"comma-separated, of {','.join(MEASURES)}; all: {','.join(STANDARD)}, without clean speech {','.join(DNSMOS)}"
    )
    parser.add_argument("--measures", default="all", help=f"{help} (default: %(default)s)")
    help = "which PESQ; corrigendum2 needs the package pesqc2 (default: %(default)s)"
    parser.add_argument("--pesq", choices=list(EDITIONS), default="default", help=help)
    parser.add_argument("--speaker-model", metavar="[NAME=]DIR", help="add spksim-NAME, speaker similarity by it")
    parser.add_argument("--phone-model", metavar="[NAME=]DIR", help="add lps-NAME, phone similarity by it")
    help = "add scores by models of yours: 'utmos=utmos.pt scoreq=adapt_nr_telephone.onnx'; NAME=cmd:PROGRAM"
    parser.add_argument("--mos-models", metavar="NAME=FILE...", default="", help=help)
    cli.add_number(parser, "--max-skip", Share, 0.01, "share of pairs that may be errors")
    parser.add_argument("--job", type=int, help="score only the utterances of this job, from 1")
    parser.add_argument("--nj", type=int, default=1, help="number of jobs (%(default)s)")
    parser.add_argument("--allow-pipes", choices=["true", "false"], default="false", help="run commands in wav.scp")
    parser.add_argument("--channel", type=int, help="channel of audio that has several, from 0")
    args = parser.parse_args()
    single = args.reference == "none"
    sides, places = args.paths[: 2 - single], args.paths[2 - single :]
    if len(sides) < 2 - single or len(places) > 1:
        raise UserError(f"expected {'' if single else '<clean> '}<enhanced> [<scoring>], got {len(args.paths)} paths")
    scoring = places[0] if places else None
    if args.job and not scoring:
        raise UserError("--job needs a scoring directory")

    use(args.pesq)
    measures, models = chosen(args.measures, not single, args.speaker_model, args.phone_model, args.mos_models)
    pairs = (Single if single else Pairs)(*sides, allow_pipes=args.allow_pipes == "true", channel=args.channel)
    jobs = scoring / "jobs" if scoring else None
    known = read_jobs(jobs, measures) if jobs else {}
    mine = split(pairs.utts, args.job, args.nj) if args.job else pairs.utts
    pending = [utt for utt in mine if utt not in known]
    for one in models.values() if pending else ():
        one.model  # noqa: B018 (a model that does not fit is one line, not a reason for each pair)
    scored = cli.progress(score(pairs, pending, measures, models), len(pending), "utterances") if pending else []
    known |= {row.utt: row for row in scored}
    rows = [known[utt] for utt in mine]
    if args.job:
        jobs.mkdir(parents=True, exist_ok=True)
        with replace(jobs / f"{args.job}-of-{args.nj}.jsonl") as f:
            f.writelines(utterance_lines(rows))
        return

    figures = means(rows, measures)
    table = summary(figures)
    about = describe(measures) + "".join(one.description for one in models.values())
    if scoring:
        write(scoring, rows, measures, sides, f"# {about}\n")
        shutil.rmtree(jobs, ignore_errors=True)
    unscored = [row for row in rows if row.reason != "-"]
    if unscored:
        log.warning("%d of %d have an NA, first %s: %s", len(unscored), len(rows), unscored[0].utt, unscored[0].reason)
    print(f"{len(rows)} utterances; {about}\n{aligned(table)}", end="")
    errors = [row for row in rows if ERROR in row.reason]
    if len(errors) > args.max_skip * len(rows):
        text = errors[0].reason.partition(ERROR)[2]
        raise UserError(
            f"{len(errors)} of {len(rows)} pairs are errors (allowed: --max-skip {args.max_skip:g}), first "
            f"{errors[0].utt}: {text}"
        )


def write(scoring: Path, rows: Sequence[Row], measures: tuple[str, ...], sides: Sequence[Path], head: str) -> None:
    """The files of a scoring directory; of two sides the clean one is first."""
    scoring.mkdir(parents=True, exist_ok=True)
    figures, with_clean = means(rows, measures), len(sides) > 1
    data = identify(sides[0], [row.utt for row in rows], noisy=sides[-1], clean=with_clean)
    conditions = by_condition(rows, measures, sides[::-1])
    write_rows(scoring / "per_utt.tsv", rows, measures)
    for name, lines in (("breakdown", breakdown(conditions)), ("summary", summary(figures))):
        with replace(scoring / f"{name}.tsv") as f:
            f.write(f"{head}# data: {data}\n{tsv(lines)}")
    write_scores(scoring, Scores(len(rows), figures, data, conditions), rows)


def read_jobs(folder: Path, measures: tuple[str, ...]) -> dict[str, Row]:
    """What earlier jobs have scored, also those of another number of jobs, less errors, which may be corrected."""
    rows = [row for path in sorted(folder.glob("*-of-*.jsonl")) for row in read_lines(path)]
    return {row.utt: row for row in rows if tuple(row.scores) == measures and ERROR not in row.reason}


if __name__ == "__main__":
    cli.run(main)
