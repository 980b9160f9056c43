#!/usr/bin/env python3
"""Split recorded noises or RIRs into train, dev and test; see split_recordings.sh."""

import argparse
from pathlib import Path

from mimic.augment.recordings import split_recordings
from mimic.cli import run
from mimic.io.atomic import new_dir
from mimic.io.entries import found, stored
from mimic.io.tables import write_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--by-type", choices=["true", "false"], default="true")
    parser.add_argument("src", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    for name, files in split_recordings(args.src, args.by_type == "true").items():
        with new_dir(args.out / name) as folder:
            write_table(folder / "wav.scp", {key: stored(found(file)) for key, file in files.items()})


if __name__ == "__main__":
    run(main)
