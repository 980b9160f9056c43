#!/usr/bin/env python3
"""Fetch files of a corpus and check them; local/*/download.sh call it.

    fetch.py --files local/ljspeech/files.tsv --script "$0" downloads/ljspeech LJSpeech-1.1.tar.bz2=LJSpeech-1.1

An archive is not fetched when the folder that it unpacks to is there.
"""

import argparse
from pathlib import Path

from mimic.cli import run
from mimic.corpus.downloads import Source, fetch_all


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=Path, required=True, help="list: name, bytes, md5, URLs")
    parser.add_argument("--base-url", default="", help="fetch BASE_URL/NAME instead")
    parser.add_argument("--tries", type=int, default=5)
    parser.add_argument("--pause", type=float, default=2.0, help="seconds before the second try")
    parser.add_argument("--script", required=True, help="what a user would run where there is a network")
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="+", metavar="NAME[=FOLDER]", help="file of the list; what it unpacks to")
    args = parser.parse_args()
    source = Source(args.files, args.base_url, args.tries, args.pause)
    folders = dict(name.split("=", 1) if "=" in name else (name, "") for name in args.names)
    advice = f"run {args.script} DIR where it works and copy DIR here"

    def unpacked(name: str) -> bool:
        return bool(folders[name]) and (args.folder / folders[name]).is_dir()

    fetch_all(source, args.folder, unpacked, advice, folders)


if __name__ == "__main__":
    run(main)
