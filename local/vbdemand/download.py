#!/usr/bin/env python3
"""Fetch VoiceBank-DEMAND; see download.sh."""

import argparse
from pathlib import Path

from layout import unpacked

from mimic.cli import run
from mimic.corpus.downloads import Source, fetch_all

ADVICE = "run local/vbdemand/download.sh DIR where it works, copy DIR here, pass --vbdemand-dir DIR"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=Path, required=True, help="list: name, bytes, md5, URLs")
    parser.add_argument("--base-url", default="", help="fetch BASE_URL/NAME instead")
    parser.add_argument("--tries", type=int, default=5)
    parser.add_argument("--pause", type=float, default=2.0, help="seconds before the second try")
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    source = Source(args.files, args.base_url, args.tries, args.pause)
    fetch_all(source, args.folder, lambda name: unpacked(args.folder, name), ADVICE)


if __name__ == "__main__":
    run(main)
