#!/usr/bin/env python3
"""Fetch files of LibriSpeech; see download.sh."""

import argparse
from pathlib import Path

from mimic.cli import run
from mimic.data.downloads import Source, bring

ADVICE = "run local/librispeech/download.sh DIR where it works and copy DIR here"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=Path, required=True, help="list: name, bytes, md5, URLs")
    parser.add_argument("--base-url", default="", help="fetch BASE_URL/NAME instead")
    parser.add_argument("--tries", type=int, default=5)
    parser.add_argument("--pause", type=float, default=2.0, help="seconds before the second try")
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="+", help="files of the list")
    args = parser.parse_args()
    source = Source(args.files, args.base_url, args.tries, args.pause)
    speech = args.folder / "LibriSpeech"
    bring(source, args.folder, lambda name: (speech / name.removesuffix(".tar.gz")).is_dir(), ADVICE, args.names)


if __name__ == "__main__":
    run(main)
