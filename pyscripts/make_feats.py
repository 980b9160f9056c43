#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Extract the features of one job's part of a data directory. steps/make_feats.sh calls it.

    make_feats.py --type fbank --config conf/fbank.conf --job 1 --nj 2 data/dev exp/fbank/dev/archives

A job that finds its own archive finished does nothing.
"""

import argparse
import os
from pathlib import Path

# Jobs are what runs in parallel here, and sums over several threads have other last bits.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

from mimic import cli
from mimic.corpus.features import JobFiles, run_job
from mimic.frontend.extraction import EXTRACTORS, make_extractor
from mimic.io.archives import METHODS
from mimic.io.audio import AudioReader


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="data directory")
    parser.add_argument("output", type=Path, help="directory for the files of all jobs")
    parser.add_argument("--type", choices=EXTRACTORS, default="fbank", help="features (default: %(default)s)")
    parser.add_argument("--config", type=Path, required=True, help="option file in Kaldi's format")
    cli.add_jobs(parser)
    parser.add_argument("--compress", choices=METHODS, default="none", help="archive format (default: %(default)s)")
    cli.add_audio(parser)
    args = parser.parse_args()

    extractor = make_extractor(args.type, args.config)
    reader = AudioReader(args.data, extractor.rate, args.allow_pipes == "true", args.channel)
    run_job(reader, extractor, JobFiles(args.output, args.job), args.nj, args.compress)


if __name__ == "__main__":
    cli.run(main)
