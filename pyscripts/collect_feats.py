#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Make a feature directory from the archives of all jobs. steps/make_feats.sh calls it.

    collect_feats.py --nj 2 data/dev exp/fbank/dev

Writes the tables of the data directory, feats.scp, utt2num_frames, frame_shift, cmvn.scp, global_cmvn.ark, skipped.tsv.
"""

import argparse
from pathlib import Path

from mimic import cli
from mimic.corpus.features import collect
from mimic.settings import Count, Share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="data directory")
    parser.add_argument("output", type=Path, help="feature directory, with the files of the jobs in archives/")
    cli.add_number(parser, "--nj", Count, 1, "number of jobs")
    cli.add_number(parser, "--max-skip", Share, 0.01, "largest share of bad audio")
    args = parser.parse_args()
    collect(args.data, args.output, args.output / "archives", args.nj, args.max_skip)


if __name__ == "__main__":
    cli.run(main)
