#!/usr/bin/env python3
"""Write Kaldi data directories that point to the files of LJSpeech; see prepare.sh."""

import argparse
import unicodedata
from pathlib import Path

from mimic.cli import run
from mimic.corpus.formats.trees import lj_metadata
from mimic.errors import UserError
from mimic.io.atomic import new_dir
from mimic.io.entries import stored
from mimic.io.tables import write_data_dir
from mimic.io.text import plain

SPEAKER = "LJ"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dev-utterances", type=int, default=655, help="so many of the last ones (%(default)s)")
    parser.add_argument("src", type=Path, help="the folder LJSpeech-1.1")
    parser.add_argument("out", type=Path, help="where train_clean and dev_clean go")
    args = parser.parse_args()
    utterances = read_metadata(args.src / "metadata.csv")
    if args.dev_utterances >= len(utterances):
        raise UserError(f"--dev-utterances {args.dev_utterances}: the corpus has {len(utterances)} utterances in all")
    for name, part in (("train", utterances[: -args.dev_utterances]), ("dev", utterances[-args.dev_utterances :])):
        tables: dict[str, dict[str, str]] = {name: {} for name in ("wav.scp", "text", "utt2spk")}
        for recording, text in part:
            audio, utt = args.src / "wavs" / f"{recording}.wav", f"{SPEAKER}-{recording.removeprefix(SPEAKER)}"
            if not audio.exists():
                raise UserError(f"{args.src}/metadata.csv: {recording}: no wavs/{audio.name}: unpack the archive again")
            tables["wav.scp"][utt], tables["text"][utt] = stored(audio), text
            tables["utt2spk"][utt] = SPEAKER
        tables["spk2gender"] = {SPEAKER: "f"}
        with new_dir(args.out / f"{name}_clean") as folder:
            write_data_dir(folder, tables)


def read_metadata(path: Path) -> list[tuple[str, str]]:
    """(recording, transcript as words without marks), sorted."""
    found = []
    for _, recording, text in lj_metadata(path):
        bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
        found.append((recording, plain(bare)))
    return found


if __name__ == "__main__":
    run(main)
