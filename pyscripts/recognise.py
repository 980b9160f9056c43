#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Words of a table of wavs by a recogniser of steps/judge.sh, as whisper:DIR: `utterance words` lines."""

import argparse
from pathlib import Path

from mimic.cli import progress, run
from mimic.io.audio import AudioReader
from mimic.io.tables import write_table
from mimic.judging import recognisers
from mimic.judging.findings import RATE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--language", default="en", help="of Whisper; default: en")
    parser.add_argument("--check", action="store_true", help="only whether the recogniser is there")
    parser.add_argument("recogniser", help="whisper:DIR, sherpa:DIR, pocketsphinx or a model of this recipe")
    parser.add_argument("table", type=Path, metavar="wav.scp", nargs="?")
    parser.add_argument("text", type=Path, nargs="?")
    args = parser.parse_args()
    if not args.check and not args.text:
        parser.error("expected a recogniser, a wav.scp and the text to write")

    recognisers.require(args.recogniser, args.language)
    if args.check:
        return
    wavs = AudioReader(args.table.parent, RATE, table=args.table.name)
    found = recognisers.make(args.recogniser, args.language).words(wavs.items())
    write_table(args.text, {utt: words["hyp"] for utt, words in progress(found, len(wavs), "utterances")})


if __name__ == "__main__":
    run(main)
