#!/usr/bin/env python3
"""Write the Kaldi data directories of speechocean762 from its table of utterances; see prepare.sh."""

import argparse
import csv
from collections import defaultdict
from pathlib import Path

from mimic.cli import run
from mimic.corpus.lexicon import read_lexicon
from mimic.errors import UserError
from mimic.io.atomic import new_dir
from mimic.io.entries import stored
from mimic.io.tables import write_data_dir, write_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("src", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    tables: dict[str, dict[str, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
    audio = args.src / "audio"
    with open(args.src / "utterances.tsv", encoding="utf-8", newline="") as f:
        for row in csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE):
            utt, speaker, table = f"{row['speaker']}-{row['utt']}", row["speaker"], tables[row["split"]]
            table["wav.scp"][utt] = stored(audio / f"{row['utt']}.opus")
            table["text"][utt] = row["text"].upper()
            table["utt2spk"][utt] = speaker
            table["spk2gender"][speaker] = row["gender"]
            table["spk2age"][speaker] = row["age"]
    if set(tables) != {"train", "dev", "test"}:
        raise UserError(f"{args.src}/utterances.tsv: expected the splits train, dev, test, got {sorted(tables)}")
    for split, table in tables.items():
        with new_dir(args.out / f"{split}_clean") as folder:
            write_data_dir(folder, table)
    with new_dir(args.out / "lang") as folder:
        lexicon = read_lexicon(args.src / "lexicon.txt")
        write_table(folder / "lexicon.txt", {word: " ".join(phones) for word, phones in lexicon.items()})


if __name__ == "__main__":
    run(main)
