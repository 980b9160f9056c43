#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Put data directories together. steps/combine_data.sh calls it.

combine_data.py data/train_all data/train_noisy data/train_noisy_sp
"""

import argparse
from pathlib import Path

from mimic.cli import run
from mimic.corpus.copies import combined, read_tables
from mimic.io.tables import write_data_dir


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="directory to write")
    parser.add_argument("data", type=Path, nargs="+", help="data directories without segments")
    args = parser.parse_args()
    write_data_dir(args.out, combined([(str(data), read_tables(data)) for data in args.data]))


if __name__ == "__main__":
    run(main)
