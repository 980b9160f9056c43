#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Lattices of one job's share of a feature directory; steps/decode_lattice.sh calls it.

    decode_lattice.py --job 1 --nj 4 exp/tri3 exp/tri3/graph exp/mfcc/dev exp/tri3/decode_dev

Writes lat.JOB.gz, or the alignments of the best paths alone, best.JOB.gz. The model is a neural network where its
directory has model.pt, else Gaussian mixtures.
"""

import argparse
import logging
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # jobs are what runs in parallel here

from mimic import cli
from mimic.decoding.wfst.lattice_decoder import Decoder, SearchOptions
from mimic.decoding.wfst.lattice_io import write_lattices
from mimic.hmm.alignments import job_utts, write_ali
from mimic.hmm.jobs import write_summary
from mimic.io.tables import read_frames
from mimic.models.acoustic_scores import fused, gmm_scores, net_scores

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="directory of the model")
    parser.add_argument("graph", type=Path, help="directory with HCLG.fst")
    parser.add_argument("data", type=Path, help="feature directory")
    parser.add_argument("dir", type=Path, help="decode directory")
    parser.add_argument("--job", type=int, default=1, help="this job, from 1 (default: %(default)s)")
    parser.add_argument("--nj", type=int, default=1, help="number of jobs (default: %(default)s)")
    parser.add_argument("--beam", type=float, default=13.0, help="(default: %(default)s)")
    parser.add_argument("--lattice-beam", type=float, default=8.0, help="(default: %(default)s)")
    parser.add_argument("--max-active", type=int, default=7000, help="(default: %(default)s)")
    parser.add_argument("--min-active", type=int, default=200, help="(default: %(default)s)")
    parser.add_argument("--acwt", type=float, default=0.083333, help="acoustic scale (default: %(default)s)")
    parser.add_argument("--post-decode-acwt", type=float, default=1.0, help="of lattices (default: %(default)s)")
    parser.add_argument("--transform-dir", type=Path, help="directory with trans.JOB")
    parser.add_argument("--alimdl", choices=("true", "false"), default="false", help="search with final.alimdl")
    parser.add_argument("--also", nargs=2, action="append", default=[], type=Path, metavar=("MODEL", "DATA"),
                        help="a further network and its features: the scores are averaged")  # fmt: skip
    parser.add_argument("--best-path", choices=("true", "false"), default="false", help="no lattices")
    cli.add_device(parser)
    args = parser.parse_args()

    beams = args.beam, args.lattice_beam, args.acwt, args.max_active, args.min_active
    options = SearchOptions(*beams, post_decode_acwt=args.post_decode_acwt)
    if (args.model / "model.pt").exists():
        networks = [(args.model, args.data), *args.also]
        parts = [net_scores(directory, data, args.device, args.graph) for directory, data in networks]
        model, scores = fused(parts, [str(directory) for directory, _ in networks]) if args.also else parts[0]
    else:
        model, scores = gmm_scores(args.model, args.data, args.transform_dir, args.alimdl == "true", args.graph)
    decode = Decoder(args.graph, options, model)
    frames = read_frames(args.data)
    share = job_utts(args.data, args.job, args.nj)
    utts = [utt for utt in share if utt in frames]

    pending = cli.progress(utts, len(utts), "utterances")
    if args.best_path == "true":
        paths = {utt: decode.best_path(utt, scores(utt)) for utt in pending}
        best = {utt: path for utt, path in paths.items() if path is not None}
        write_ali(args.dir / f"best.{args.job}.gz", best)
        done = len(best)
    else:
        done = write_lattices(args.dir / f"lat.{args.job}.gz", ((utt, decode(utt, scores(utt))) for utt in pending))
    skipped = {utt: "no features" for utt in share if utt not in frames} | decode.failed
    write_summary(args.dir, args.job, len(share), skipped, partial=decode.partial)
    log.info("Done %d utterances, failed for %d", done, len(skipped))


if __name__ == "__main__":
    cli.run(main)
