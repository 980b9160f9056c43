#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""One act of training a GMM-HMM; steps/train_{mono,deltas,lda_mllt,sat}.sh and align_*.sh call it.

    train_gmm.py acc --job 1 --nj 4 --iter 10 --realign true exp/mfcc/train data/lang exp/tri1
    train_gmm.py est --nj 4 --iter 10 --mix-up 2000 exp/mfcc/train data/lang exp/tri1

Acts of a job: align-equal, align, acc, tree-stats, convert-ali, lda-stats, mllt-stats, fmllr, alimdl-stats; of the sums
of all jobs: init-mono, est, build-tree, lda, mllt, alimdl.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # jobs are what runs in parallel here

from mimic import cli  # noqa: E402
from mimic.hmm import update  # noqa: E402
from mimic.hmm.lang import Lang  # noqa: E402
from mimic.hmm.model import Model  # noqa: E402
from mimic.hmm.train import Job  # noqa: E402


def job_act(args: argparse.Namespace) -> None:
    job = Job(args.data, args.lang, args.dir, args.job, args.nj)
    model = Model.read(args.dir / f"{args.iter}.mdl") if args.act != "align-equal" else None
    match args.act:
        case "align-equal":
            job.align_equal()
        case "align":
            job.align(model, args.beam, args.retry_beam, args.boost_silence)
        case "acc":
            if args.realign == "true":
                job.align(model, args.beam, args.retry_beam, args.boost_silence)
            job.acc(args.iter, model)
        case "alimdl-stats":
            job.acc(args.iter, model, two_feats=True)
        case "tree-stats":
            job.tree_stats(model)
        case "lda-stats":
            job.lda_stats(model)
        case "mllt-stats":
            job.mllt_stats(f"mllt_{args.iter}", model)
        case "fmllr":
            job.fmllr(model, args.fmllr_min_count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("act", help="see above")
    parser.add_argument("data", type=Path, help="feature directory with transcripts")
    parser.add_argument("lang", type=Path, help="lang directory")
    parser.add_argument("dir", type=Path, help="training directory")
    parser.add_argument("--job", type=int, default=1, help="this job, from 1 (default: %(default)s)")
    parser.add_argument("--nj", type=int, default=1, help="number of jobs (default: %(default)s)")
    parser.add_argument("--iter", default="0", help="the model is ITER.mdl (default: %(default)s)")
    parser.add_argument("--out", default="", help="est: the new model is OUT.mdl (default: ITER + 1)")
    parser.add_argument("--ali-dir", type=Path, help="convert-ali: directory of the alignments")
    parser.add_argument("--realign", choices=("true", "false"), default="false", help="acc: align first")
    parser.add_argument("--beam", type=float, default=10.0, help="(default: %(default)s)")
    parser.add_argument("--retry-beam", type=float, default=40.0, help="(default: %(default)s)")
    parser.add_argument("--boost-silence", type=float, default=1.0, help="(default: %(default)s)")
    parser.add_argument("--mix-up", type=int, default=0, help="est: Gaussians to reach (default: as many as there are)")
    parser.add_argument("--power", type=float, default=0.25, help="est: of occupancies (default: %(default)s)")
    parser.add_argument("--min-gaussian-occupancy", type=float, default=10.0, help="est (default: %(default)s)")
    parser.add_argument("--numleaves", type=int, default=2000, help="build-tree (default: %(default)s)")
    parser.add_argument("--thresh", type=float, default=300.0, help="build-tree: least gain (default: %(default)s)")
    parser.add_argument("--dim", type=int, default=40, help="lda (default: %(default)s)")
    parser.add_argument("--fmllr-min-count", type=float, default=500.0, help="frames (default: %(default)s)")
    args = parser.parse_args()
    match args.act:
        case "init-mono":
            update.init_mono(args.data, Lang(args.lang), args.dir)
        case "est" | "alimdl":
            out = args.out or str(int(args.iter) + 1)
            update.est(args.dir, args.iter, out, args.nj, args.mix_up, args.power, args.min_gaussian_occupancy)
        case "build-tree":
            update.make_tree(Lang(args.lang), args.dir, args.nj, args.numleaves, args.thresh)
        case "convert-ali":
            update.convert_ali(args.ali_dir, args.dir, args.job)
        case "lda":
            update.make_lda(args.dir, args.nj, args.dim)
        case "mllt":
            update.make_mllt(args.dir, args.iter, args.nj)
        case "align-equal" | "align" | "acc" | "tree-stats" | "lda-stats" | "mllt-stats" | "fmllr" | "alimdl-stats":
            job_act(args)
        case _:
            parser.error(f"unknown act {args.act}")


if __name__ == "__main__":
    cli.run(main)
