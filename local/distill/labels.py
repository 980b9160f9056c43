#!/usr/bin/env python3
"""Labels of probes. local/run_distill.sh calls it.

labels.py keywords "BOSTON CAIRO" data/train_clean out/keywords_train    utterances with exactly one of these words
labels.py speakers data/heldout data/train_clean out/speakers            speakers of utterances that are not held out
"""

import argparse
from pathlib import Path

from mimic.cli import run
from mimic.io.tables import read_table, write_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", choices=["keywords", "speakers"])
    parser.add_argument("which", help="keywords: the words; speakers: data directory of held-out utterances")
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    if args.labels == "keywords":
        words = set(args.which.split())
        found = {utt: [w for w in text.split() if w in words] for utt, text in read_table(args.data / "text").items()}
        table = {utt: hits[0] for utt, hits in found.items() if len(hits) == 1}
    else:
        heldout = read_table(Path(args.which) / "utt2spk")
        table = {utt: speaker for utt, speaker in read_table(args.data / "utt2spk").items() if utt not in heldout}
    write_table(args.out, table)


if __name__ == "__main__":
    run(main)
