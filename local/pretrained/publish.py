#!/usr/bin/env python3
"""Write a trained enhancer as a pretrained model, with its card; see publish.sh.

publish.py --noisy exp/pretrained/noisy exp/pretrained/fast pretrained/fast_t
"""

import argparse
import csv
import json
from pathlib import Path

from mimic.cli import run
from mimic.deploy.publish import publish
from mimic.io.atomic import replace
from mimic.models.enhancer import Enhancer
from mimic.models.ratio import RATIO
from mimic.reporting import card


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noisy", type=Path, required=True, help="directory with the same scores of noisy speech")
    parser.add_argument("experiment", type=Path, help="experiment directory of an enhancer")
    parser.add_argument("output", type=Path, help="directory to write; its name is that of the model")
    args = parser.parse_args()
    enhancer = Enhancer.load(args.experiment)
    training = card.training(args.experiment, enhancer.front)
    rows, worse = card.scores(args.experiment, args.noisy)
    model = publish(enhancer, args.output)
    facts = {
        "name": args.output.name,
        "model": model,
        "ratio": json.loads(enhancer.files[RATIO]) if RATIO in enhancer.files else None,
        "before": card.before(args.experiment, enhancer.front),
        "training": training,
        "data": card.data(args.experiment),
        "scores": rows,
        "worse": worse,
    }
    with open(Path(__file__).with_name("corpora.tsv"), encoding="utf-8", newline="") as table:
        corpora = list(csv.DictReader(table, delimiter="\t"))
    with replace(args.output / "card.json") as f:
        f.write(json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    with replace(args.output / "README.md") as f:
        f.write(card.text(facts, corpora))
    print(f"{args.output}: {model['parameters']:,} parameters, {len(rows)} scores")


if __name__ == "__main__":
    run(main)
