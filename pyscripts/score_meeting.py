#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""cpWER and tcpWER of transcripts with speakers: STM, SegLST JSON or CTM; steps/score_meeting.sh is the way to call it.

    score_meeting.py ref.stm hyp.json scoring

Sessions of the reference without a hypothesis count as deletions. One with a line that is wrong is NA; the exit code
is 1 where there are more of these than --max-skip. Writes summary.json, utterances.jsonl, summary.tsv, per_session.tsv.
"""

import argparse
import hashlib
import logging
from pathlib import Path

from mimic import cli
from mimic.errors import NotScored, UserError
from mimic.inputs import split_paths
from mimic.io.atomic import replace
from mimic.io.text import NORMALISERS, normaliser
from mimic.metrics.figures import Row, Scores, summary
from mimic.metrics.identity import Identity
from mimic.metrics.meeting import RATES, describe, rate_of, score_session
from mimic.metrics.scores import write_scores
from mimic.metrics.speaker_transcripts import read_transcripts
from mimic.metrics.wer import rate_line
from mimic.reporting.score_table import tsv
from mimic.settings import NotNegative, Share

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", help="file .stm, .json (SegLST) or .ctm, or several, comma-separated")
    parser.add_argument("hypothesis", help="the same of what is scored")
    parser.add_argument("scoring", type=Path, help="directory to write")
    cli.add_number(parser, "--collar", NotNegative, 5.0, "seconds by which times may differ, of tcpWER")
    cli.add_number(parser, "--max-skip", Share, 0.01, "share of sessions that may be errors")
    parser.add_argument("--normaliser", default="none", help=f"of both texts: {', '.join(NORMALISERS)} (%(default)s)")
    args = parser.parse_args()

    about = describe(args.collar)
    normalise = normaliser(args.normaliser)
    ref, hyp = (
        read_transcripts([Path(p) for p in split_paths(side, ",")], normalise)
        for side in (args.reference, args.hypothesis)
    )
    if unknown := sorted(hyp.sessions.keys() - ref.sessions.keys()):
        raise UserError(f"{unknown[0]}: session without a reference ({len(unknown)} such): is it another set's?")
    if not any(s["words"] for segments in ref.sessions.values() for s in segments):
        raise UserError(f"{args.reference}: no session has a word: there is nothing to score")
    rows, lines, errors = [], [["session", "rate", "errors", "words", "ins", "del", "sub", "speakers", "reason"]], {}
    for session in sorted(ref.sessions):
        alignments = {}
        for rate in RATES:
            reason, speakers = ref.problems.get(session) or hyp.problems.get(session) or "", ""
            try:
                if reason:
                    raise NotScored(reason)
                sides = (ref.sessions[session], hyp.sessions.get(session, []))
                alignments[rate], assigned = score_session(*sides, rate, args.collar)
                speakers = " ".join(f"{a or '-'}={b or '-'}" for a, b in assigned)
            except NotScored as problem:
                reason = str(problem)
            except Exception as error:  # of meeteval
                reason = f"{type(error).__name__}: {error}"
            if reason:
                errors[session] = reason
            ops = [op for _, _, op in alignments.get(rate, [])]
            counts = [sum(op != "C" for op in ops), sum(op != "I" for op in ops), *(ops.count(op) for op in "IDS")]
            cells = map(str, counts) if rate in alignments else ["NA"] * 5
            lines.append([session, rate, *cells, speakers or "-", reason or "-"])
        rows.append(Row(session, alignments=alignments, present=session in hyp.sessions))

    figures = {rate: rate_of(rows, rate).rounded() for rate in RATES}
    words = "".join(f"{s} {' '.join(x['words'] for x in ref.sessions[s])}\n" for s in sorted(ref.sessions))
    data = Identity(args.reference, len(rows), hashlib.sha256(words.encode()).hexdigest()[:12])
    args.scoring.mkdir(parents=True, exist_ok=True)
    for name, table in (("summary", summary(figures)), ("per_session", lines)):
        with replace(args.scoring / f"{name}.tsv") as f:
            f.write(f"# {about}\n# data: {data}\n{tsv(table)}")
    write_scores(args.scoring, Scores(len(rows), figures, data), rows)
    if missing := [row.utt for row in rows if not row.present]:
        log.warning("%d of %d sessions have no hypothesis, the first is %s", len(missing), len(rows), missing[0])
    for rate, mean in figures.items():
        c = mean.counts
        print(f"{rate}: {rate_line(mean.n, len(missing), c['ins'], c['del'], c['sub'])}")
    if len(errors) > args.max_skip * len(rows):
        first = min(errors)
        raise UserError(
            f"{len(errors)} of {len(rows)} sessions are errors (allowed: --max-skip {args.max_skip:g}), first {first}: "
            f"{errors[first]}"
        )


if __name__ == "__main__":
    cli.run(main)
