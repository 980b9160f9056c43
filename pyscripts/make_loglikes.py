#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Log-likelihoods of all pdfs for one job's share of a feature directory; steps/make_loglikes.sh calls it.

make_loglikes.py --job 1 --nj 4 exp/ligru/ligru_clean exp/fmllr/test exp/ligru/ligru_clean/loglikes_test
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # jobs are what runs in parallel here

from mimic import cli
from mimic.hmm.alignments import job_utts
from mimic.hmm.jobs import write_summary
from mimic.io.archives import ArkWriter
from mimic.io.tables import read_frames
from mimic.models.acoustic_scores import gmm_scores, net_scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="directory of the model")
    parser.add_argument("data", type=Path, help="feature directory")
    parser.add_argument("dir", type=Path, help="directory to write")
    cli.add_jobs(parser)
    parser.add_argument("--priors", choices=("true", "false"), default="true", help="of a network: false: posteriors")
    parser.add_argument("--transform-dir", type=Path, help="directory with trans.JOB, for Gaussian mixtures")
    parser.add_argument("--alimdl", choices=("true", "false"), default="false", help="final.alimdl, for no adaptation")
    parser.add_argument("--compress", choices=("none", "int16", "uint8"), default="none", help="(default: %(default)s)")
    cli.add_device(parser)
    args = parser.parse_args()
    if (args.model / "model.pt").exists():
        _, scores = net_scores(args.model, args.data, args.device, priors=args.priors == "true")
    else:
        _, scores = gmm_scores(args.model, args.data, args.transform_dir, alimdl=args.alimdl == "true")
    frames, share = read_frames(args.data), job_utts(args.data, args.job, args.nj)
    utts = sorted(utt for utt in share if utt in frames)
    args.dir.mkdir(parents=True, exist_ok=True)
    name = f"loglikes.{args.job}"
    with ArkWriter(args.dir / f"{name}.ark", args.dir / f"{name}.scp", args.compress) as writer:
        for utt in cli.progress(utts, len(utts), "utterances"):
            writer.write(utt, scores(utt))
    write_summary(args.dir, args.job, len(share), {utt: "no features" for utt in share if utt not in frames})


if __name__ == "__main__":
    cli.run(main)
