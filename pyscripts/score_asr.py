#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Score a decoding: JSON for later steps, and Kaldi's files; steps/score_asr.sh is the way to call it.

    score_asr.py --normaliser upper data/test_noisy exp/asr_mimic/decode_test exp/asr_mimic/scoring/test

Reads text and utt2spk of the data directory and text of the decode directory. A missing hypothesis counts as
deletions, a hypothesis without a reference is an error. summary.json holds all figures, utterances.jsonl alignments.
"""

import argparse
import logging
from collections.abc import Iterable
from pathlib import Path

from mimic import cli
from mimic.io.atomic import replace
from mimic.io.tables import read_text, read_utt2spk
from mimic.io.text import NORMALISERS, normaliser
from mimic.metrics.figures import Row, Scores
from mimic.metrics.identity import identify
from mimic.metrics.kaldi_files import (
    INNER,
    LMWT,
    WIP,
    aligned_pairs,
    breakdown,
    by_condition,
    rate,
    score_files,
    write_files,
)
from mimic.metrics.scores import SUMMARY, UTTERANCES, summary_text, utterance_lines
from mimic.metrics.wer import align_set, characters, characters_and_spaces, compute_wer, interval, words
from mimic.reporting.score_table import tsv

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="data directory with the references")
    parser.add_argument("decode", type=Path, help="decode directory: reads text, writes wer_* and scoring_kaldi/")
    parser.add_argument("scoring", type=Path, help="directory for the same files and breakdowns by condition")
    parser.add_argument("--reference", default="text", help="table of the data directory (%(default)s)")
    parser.add_argument("--cer", choices=["true", "false"], default="true", help="score characters too (%(default)s)")
    parser.add_argument("--cer-spaces", choices=["true", "false"], default="false", help="count spaces (%(default)s)")
    parser.add_argument("--lmwt", default=LMWT, help="of the decoding, for names of files (%(default)s)")
    parser.add_argument("--wip", default=WIP, help="of the decoding, its word insertion penalty (%(default)s)")
    parser.add_argument("--normaliser", default="none", help=f"of both texts: {', '.join(NORMALISERS)} (%(default)s)")
    args = parser.parse_args()

    normalise = normaliser(args.normaliser)
    refs = read_text(args.data / args.reference, normalise)
    # It reads text once more: before the memory of hypotheses is taken.
    data = identify(args.data, refs, args.reference)
    hyps = read_text(args.decode / "text", normalise)
    utt2spk = read_utt2spk(args.data / "utt2spk")
    units = {"wer": ("words", words)}
    if args.cer == "true":
        with_spaces = args.cer_spaces == "true"
        units["cer"] = ("characters and spaces", characters_and_spaces) if with_spaces else ("characters", characters)

    aligned = {unit: align_set(refs, hyps, tokenise) for unit, (_, tokenise) in units.items()}
    missing = [a.utt for a in aligned["wer"] if not a.present]
    files: dict[str, Iterable[str]] = {}
    figures = {}
    for unit, alignments in aligned.items():
        info = {"normaliser": args.normaliser, "tokens": units[unit][0]}
        info |= {"missing": f"{len(missing)}, counted as deletions", "data": str(data)}
        total = compute_wer((a.ref, a.hyp, a.present) for a in alignments)
        limits = interval(alignments)
        figures[unit] = rate(alignments, total, limits)
        files |= score_files(alignments, utt2spk, unit, str(args.decode), info, args.lmwt, args.wip, total, limits)
    conditions = by_condition(aligned, [args.data])
    rows = (
        Row(both[0].utt, alignments=dict(zip(aligned, map(aligned_pairs, both), strict=True)), present=both[0].present)
        for both in zip(*aligned.values(), strict=True)
    )
    files[f"{INNER}/{SUMMARY}"] = [
        summary_text(Scores(len(refs), figures, data, conditions, f"{args.lmwt}_{args.wip}"))
    ]
    files[f"{INNER}/{UTTERANCES}"] = utterance_lines(rows)
    for unit in units:
        with replace(args.scoring / f"breakdown_{unit}.tsv") as f:
            f.write(tsv(breakdown(conditions, unit)))
    write_files(files, args.decode, args.scoring)
    if missing:
        log.warning("%d of %d hypotheses are missing, the first is %s", len(missing), len(refs), missing[0])
    for unit in units:
        print(f"{unit.upper()}: {''.join(files[f'{INNER}/best_{unit}'])}", end="")


if __name__ == "__main__":
    cli.run(main)
