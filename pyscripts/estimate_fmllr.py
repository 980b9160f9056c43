#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""fMLLR transforms of one job's speakers from the best paths of a first pass; steps/decode_lattice.sh calls it.

    estimate_fmllr.py --job 1 --nj 4 exp/tri3 exp/tri3/graph exp/mfcc/dev exp/tri3/decode_dev exp/tri3/decode_dev

Writes trans.JOB. The alignments are the best paths of a search; the transcripts are not used.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # jobs are what runs in parallel here

from mimic import cli
from mimic.hmm.alignments import job_utts, read_ali
from mimic.hmm.feats import Features, read_trans, write_trans
from mimic.hmm.lang import read_symbols
from mimic.hmm.model import Model
from mimic.hmm.train import estimate_fmllr
from mimic.io.lines import fields, read_lines
from mimic.settings import NotNegative


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="directory of steps/train_sat.sh")
    parser.add_argument("graph", type=Path, help="graph directory, for its silence phones")
    parser.add_argument("data", type=Path, help="feature directory")
    parser.add_argument("first_pass", type=Path, help="directory with best.JOB.gz")
    parser.add_argument("dir", type=Path, help="directory for trans.JOB; posteriors come from those that are there")
    cli.add_jobs(parser)
    cli.add_number(parser, "--fmllr-min-count", NotNegative, 500.0, "least frames of a speaker")
    args = parser.parse_args()
    model = Model.read(args.model / "final.mdl")
    features = Features(args.data, args.model, read_trans(args.dir))
    alignments = dict(read_ali(args.first_pass / f"best.{args.job}.gz"))
    utts = [utt for utt in job_utts(args.data, args.job, args.nj) if utt in features]
    phones = read_symbols(args.graph / "phones.txt")
    silence = [phones[phone] for _, line in read_lines(args.graph / "phones/silence.txt") for phone in fields(line)]
    trans = estimate_fmllr(model, features, alignments, features.speakers, utts, silence, args.fmllr_min_count)
    write_trans(args.dir, args.job, trans)


if __name__ == "__main__":
    cli.run(main)
