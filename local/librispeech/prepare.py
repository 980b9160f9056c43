#!/usr/bin/env python3
"""Write a Kaldi data directory for some parts of LibriSpeech; see prepare.sh."""

import argparse
import re
from pathlib import Path

from mimic.cli import run
from mimic.errors import UserError
from mimic.io.atomic import new_dir
from mimic.io.entries import stored
from mimic.io.lines import read_lines
from mimic.io.tables import read_table, write_data_dir

UTTERANCE = re.compile(r"(\d+)-(\d+)-\d+")


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
            for utt, text in read_table(chapter).items():
                speaker, audio = speaker_of(utt, chapter), chapter.with_name(f"{utt}.flac")
                if not audio.exists():
                    raise UserError(f"{chapter}: {utt}: no {audio.name} beside it: unpack {part} again")
                if speaker not in genders:
                    raise UserError(f"{args.src}/SPEAKERS.TXT: no line for speaker {speaker} of {utt}")
                tables["wav.scp"][utt], tables["text"][utt] = stored(audio), text
                tables["utt2spk"][utt], tables["spk2gender"][speaker] = speaker, genders[speaker]
    with new_dir(args.out) as folder:
        write_data_dir(folder, tables)


def read_genders(path: Path) -> dict[str, str]:
    """{speaker: f or m} of `103 | F | train-clean-100 | 25.03 | name` lines; lines with `;` in front are comments."""
    lines = (line for _, line in read_lines(path, "file, which is in every archive of LibriSpeech"))
    fields = ([field.strip() for field in line.split("|")] for line in lines if line and not line.startswith(";"))
    return {speaker: gender.lower() for speaker, gender, *_ in fields}


def speaker_of(utt: str, chapter: Path) -> str:
    match = UTTERANCE.fullmatch(utt)
    if not match or [match[1], match[2]] != [chapter.parent.parent.name, chapter.parent.name]:
        raise UserError(f"{chapter}: `{utt}` is not an utterance of this speaker and chapter: the folders are mixed up")
    return match[1]


if __name__ == "__main__":
    run(main)
