#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Features after LDA, MLLT and fMLLR, of one job; steps/make_fmllr_feats.sh calls it.

make_fmllr_feats.py --job 1 --nj 4 exp/mfcc/dev exp/tri3 exp/tri3/decode_dev exp/fmllr/dev/archives
"""

import argparse
from pathlib import Path

from mimic import cli
from mimic.corpus.features import JobFiles
from mimic.errors import UserError
from mimic.hmm.alignments import job_utts
from mimic.hmm.feats import Features, read_trans


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="MFCC directory")
    parser.add_argument("model", type=Path, help="directory of the model with final.mat")
    parser.add_argument("transforms", type=Path, help="directory with trans.JOB")
    parser.add_argument("output", type=Path, help="directory for the files of all jobs")
    cli.add_jobs(parser)
    args = parser.parse_args()
    trans = read_trans(args.transforms)
    if not trans:
        raise UserError(f"{args.transforms}: no trans.JOB: steps/align_fmllr.sh or steps/decode_lattice.sh make them")
    features, files = Features(args.data, args.model, trans), JobFiles(args.output, args.job)
    utts = [utt for utt in job_utts(args.data, args.job, args.nj) if utt in features]
    made = ((utt, features(utt)) for utt in cli.progress(utts, len(utts), "utterances"))
    files.write(made, features.speakers, (args.data / "frame_shift").read_text().strip(), {})


if __name__ == "__main__":
    cli.run(main)
