#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""A data directory as manifests of another toolkit. steps/export_data.sh calls it.

export_data.py --to lhotse data/train_clean manifests
"""

import argparse
from pathlib import Path

from mimic.cli import add_audio, run
from mimic.corpus.formats.export import WRITERS, read_utterances


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", choices=WRITERS, default="lhotse")
    add_audio(parser)
    parser.add_argument("data", type=Path, help="data directory")
    parser.add_argument("out", type=Path, help="directory to write")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    utterances = read_utterances(args.data, args.allow_pipes == "true", args.channel)
    WRITERS[args.to](utterances, args.out)


if __name__ == "__main__":
    run(main)
