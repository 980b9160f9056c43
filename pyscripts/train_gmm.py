#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""One sub-command of the training of a GMM-HMM; steps/train_{mono,deltas,lda_mllt,sat}.sh and align_*.sh call it.

    train_gmm.py acc --job 1 --nj 4 --iter 10 --realign true exp/mfcc/train data/lang exp/tri1
    train_gmm.py est --nj 4 --iter 10 --mix-up 2000 exp/mfcc/train data/lang exp/tri1

Sub-commands of a job: align-equal, align, acc, tree-stats, convert-ali, lda-stats, mllt-stats, fmllr, alimdl-stats; of
the sums of all jobs: init-mono, est, build-tree, build-chain-tree, lda, mllt, alimdl.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # jobs are what runs in parallel here

from mimic import cli
from mimic.hmm import update
from mimic.hmm.lang import Lang
from mimic.hmm.model import Model
from mimic.hmm.train import Job
from mimic.settings import Count, CountOrZero, NotNegative, Positive


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", help="see above")
    parser.add_argument("data", type=Path, help="feature directory with transcripts")
    parser.add_argument("lang", type=Path, help="lang directory")
    parser.add_argument("dir", type=Path, help="training directory")
    cli.add_jobs(parser)
    parser.add_argument("--iter", default="0", help="the model is ITER.mdl (default: %(default)s)")
    parser.add_argument("--out", default="", help="est: the new model is OUT.mdl (default: ITER + 1)")
    parser.add_argument("--ali-dir", type=Path, help="convert-ali: directory of the alignments")
    parser.add_argument("--realign", choices=("true", "false"), default="false", help="acc: align first")
    cli.add_number(parser, "--beam", Positive, 10.0, "align: beam of scaled costs")
    cli.add_number(parser, "--retry-beam", Positive, 40.0, "align: beam where nothing survives --beam")
    cli.add_number(parser, "--boost-silence", Positive, 1.0, "align: factor of the likelihoods of silence phones")
    cli.add_number(parser, "--mix-up", CountOrZero, 0, "est: Gaussians to reach; 0: as many as there are")
    cli.add_number(parser, "--power", NotNegative, 0.25, "est: of occupancies")
    cli.add_number(parser, "--min-gaussian-occupancy", NotNegative, 10.0, "est: frames; below, a Gaussian is removed")
    cli.add_number(parser, "--numleaves", Count, 2000, "build-tree: most leaves")
    cli.add_number(parser, "--thresh", NotNegative, 300.0, "build-tree: least gain of a split")
    cli.add_number(parser, "--factor", CountOrZero, 0, "tree-stats: of LF-MMI, input frames per output frame")
    cli.add_number(parser, "--dim", Count, 40, "lda: dimensions that remain")
    cli.add_number(parser, "--fmllr-min-count", NotNegative, 500.0, "fmllr: least frames of a speaker")
    args = parser.parse_args()
    match args.command:
        case "init-mono":
            update.init_mono(args.data, Lang(args.lang), args.dir)
        case "est" | "alimdl":
            out = args.out or str(int(args.iter) + 1)
            update.est(args.dir, args.iter, out, args.nj, args.mix_up, args.power, args.min_gaussian_occupancy)
        case "build-tree":
            update.make_tree(Lang(args.lang), args.dir, args.nj, args.numleaves, args.thresh)
        case "build-chain-tree":
            update.make_chain_tree(Lang(args.lang), args.dir, args.nj, args.numleaves, args.thresh)
        case "convert-ali":
            update.convert_ali(args.ali_dir, args.dir, args.job)
        case "lda":
            update.make_lda(args.dir, args.nj, args.dim)
        case "mllt":
            update.make_mllt(args.dir, args.iter, args.nj)
        case "align-equal":
            Job(args.data, args.lang, args.dir, args.job, args.nj).align_equal()
        case "align" | "acc" | "tree-stats" | "lda-stats" | "mllt-stats" | "fmllr" | "alimdl-stats":
            with_model(args)
        case _:
            parser.error(f"unknown sub-command {args.command}")


def with_model(args: argparse.Namespace) -> None:
    """The sub-commands of a job that use ITER.mdl."""
    job = Job(args.data, args.lang, args.dir, args.job, args.nj)
    model = Model.read(args.dir / f"{args.iter}.mdl")
    if args.command == "align" or args.realign == "true":
        job.align(model, args.beam, args.retry_beam, args.boost_silence)
    match args.command:
        case "acc":
            job.acc(args.iter, model)
        case "alimdl-stats":
            job.acc(args.iter, model, two_feats=True)
        case "tree-stats":
            job.tree_stats(model, args.factor)
        case "lda-stats":
            job.lda_stats(model)
        case "mllt-stats":
            job.mllt_stats(f"mllt_{args.iter}", model)
        case "fmllr":
            job.fmllr(model, args.fmllr_min_count)


if __name__ == "__main__":
    cli.run(main)
