#!/usr/bin/env python3
"""Write a Kaldi data directory for some parts of LibriSpeech; see prepare.sh."""

import argparse
from pathlib import Path

from mimic.cli import run
from mimic.corpus.formats.trees import chapter_utterances, read_genders
from mimic.errors import UserError
from mimic.io.atomic import new_dir
from mimic.io.entries import stored
from mimic.io.tables import write_data_dir


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("src", type=Path, help="the folder LibriSpeech, with SPEAKERS.TXT")
    parser.add_argument("out", type=Path)
    parser.add_argument("parts", nargs="+", help="e.g. train-clean-100")
    args = parser.parse_args()
    genders = read_genders(args.src / "SPEAKERS.TXT")
    tables: dict[str, dict[str, str]] = {name: {} for name in ("wav.scp", "text", "utt2spk", "spk2gender")}
    for part in args.parts:
        chapters = sorted((args.src / part).glob("*/*/*.trans.txt"))
        if not chapters:
            raise UserError(
                f"{args.src / part}: no transcripts: local/librispeech/download.sh --parts {part} fetches it"
            )
        for chapter in chapters:
            for utt in chapter_utterances(chapter, genders):
                if not Path(utt.audio).exists():
                    raise UserError(f"{chapter}: {utt.id}: no {Path(utt.audio).name} beside it: unpack {part} again")
                if not utt.gender:
                    raise UserError(f"{args.src}/SPEAKERS.TXT: no line for speaker {utt.speaker} of {utt.id}")
                tables["wav.scp"][utt.id], tables["text"][utt.id] = stored(utt.audio), utt.text or ""
                tables["utt2spk"][utt.id], tables["spk2gender"][utt.speaker] = utt.speaker, utt.gender
    with new_dir(args.out) as folder:
        write_data_dir(folder, tables)


if __name__ == "__main__":
    run(main)
