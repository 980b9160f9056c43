#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Some utterances of a data directory, evenly spread. steps/subset_data.sh calls it.

subset_data.py data/train_clean 100 data/train_clean_100
"""

import argparse
from pathlib import Path

from mimic.cli import run, whole
from mimic.corpus.copies import subset
from mimic.io.tables import read_utt2spk, write_data_dir


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="data directory")
    parser.add_argument("utterances", type=whole("<utterances>", 1), help="how many, all where there are fewer")
    parser.add_argument("out", type=Path, help="directory to write")
    args = parser.parse_args()
    utts = sorted(read_utt2spk(args.data / "utt2spk"))
    count = min(args.utterances, len(utts))
    write_data_dir(args.out, subset(args.data, [utts[len(utts) * i // count] for i in range(count)]))


if __name__ == "__main__":
    run(main)
