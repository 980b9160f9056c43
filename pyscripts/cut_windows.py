#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Windows of one length of a data directory; steps/cut_windows.sh explains the sub-commands.

cut_windows.py cut --window 1.024 --stride 0.512 --job 1 --nj 4 data/train_noisy data/train_noisy_windows
"""

import argparse
from pathlib import Path

from mimic.cli import add_jobs, add_number, progress, run
from mimic.corpus import windows
from mimic.errors import UserError
from mimic.io.audio import AudioReader
from mimic.io.tables import split, write_data_dir
from mimic.settings import Positive

RATE = 16000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["cut", "collect"], help="the archive of one job; the tables")
    add_number(parser, "--window", Positive, 1.024, "seconds")
    add_number(parser, "--stride", Positive, 0.512, "seconds from the beginning of a window to that of the next")
    add_jobs(parser)
    parser.add_argument("data", type=Path, help="data directory")
    parser.add_argument("out", type=Path, help="directory to write")
    args = parser.parse_args()
    window, stride = round(args.window * RATE), round(args.stride * RATE)
    if not 1 <= stride <= window:
        raise UserError(f"--stride {args.stride:g} has to be a sample or more, and at most --window {args.window:g}")
    folder = args.out / "archives"
    if args.verb == "collect":
        write_data_dir(args.out, windows.tables(args.data, folder, args.nj, window / RATE))
        return
    folder.mkdir(parents=True, exist_ok=True)
    reader = AudioReader(args.data, RATE)
    utts = split(reader.utts, args.job, args.nj)
    for _ in progress(windows.write_job(reader, utts, window, stride, folder, args.job), len(utts), "utterances"):
        pass


if __name__ == "__main__":
    run(main)
