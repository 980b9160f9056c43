#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Score a decoding in Kaldi's files and formats; steps/score_asr.sh is the way to call it.

    score_asr.py --normaliser upper data/test_noisy exp/asr_mimic/decode_test exp/asr_mimic/scoring/test

Reads text and utt2spk of the data directory and text of the decode directory. A missing hypothesis counts as
deletions, a hypothesis without a reference is an error.
"""

import argparse
import logging
from pathlib import Path

from mimic import cli
from mimic.io.atomic import replace
from mimic.io.tables import read_text, read_utt2spk
from mimic.metrics.asr import LMWT, WIP, breakdown, score_files, write_files
from mimic.metrics.identity import identify
from mimic.metrics.normalise import NORMALISERS, normaliser
from mimic.metrics.wer import align_set, characters, characters_and_spaces, words
from mimic.reporting.layout import tsv

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
    parser.add_argument("--wip", default=WIP, help="likewise, its word insertion penalty (%(default)s)")
    parser.add_argument("--normaliser", default="none", help=f"of both texts: {', '.join(NORMALISERS)} (%(default)s)")
    args = parser.parse_args()

    normalise = normaliser(args.normaliser)
    refs = {utt: normalise(text) for utt, text in read_text(args.data / args.reference).items()}
    hyps = {utt: normalise(text) for utt, text in read_text(args.decode / "text").items()}
    utt2spk = read_utt2spk(args.data / "utt2spk")
    units = {"wer": ("words", words)}
    if args.cer == "true":
        with_spaces = args.cer_spaces == "true"
        units["cer"] = ("characters and spaces", characters_and_spaces) if with_spaces else ("characters", characters)

    scored = identify(args.data, refs, args.reference)
    files: dict[str, str] = {}
    for unit, (tokens, tokenise) in units.items():
        alignments = align_set(refs, hyps, tokenise)
        missing = [a.utt for a in alignments if not a.present]
        info = {"normaliser": args.normaliser, "tokens": tokens, "missing": f"{len(missing)}, counted as deletions"}
        info["data"] = str(scored)
        files |= score_files(alignments, utt2spk, unit, str(args.decode), info, args.lmwt, args.wip)
        with replace(args.scoring / f"breakdown_{unit}.tsv") as f:
            f.write(tsv(breakdown(alignments, [args.data])))
    write_files(files, args.decode, args.scoring)
    scored.write(args.scoring)
    if missing:
        log.warning("%d of %d hypotheses are missing, the first is %s", len(missing), len(refs), missing[0])
    for unit in units:
        print(f"{unit.upper()}: {files[f'scoring_kaldi/best_{unit}']}", end="")


if __name__ == "__main__":
    cli.run(main)
