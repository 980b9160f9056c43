#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Write the HTML report of an experiment tree; steps/report.sh is the way to call it.

    report.py exp exp/report
    report.py --compare ../other/exp exp exp/report

Reads scores, alignments, training logs, configurations and job logs; audio of picked utterances is copied.
"""

import argparse
import logging
from pathlib import Path

from mimic import cli
from mimic.errors import UserError
from mimic.reporting.build import build
from mimic.reporting.tree import Tree

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exp", type=Path, help="experiment tree")
    parser.add_argument("output", type=Path, help="directory to write")
    parser.add_argument("--compare", type=Path, help="another experiment tree, shown beside the first")
    parser.add_argument("--num-utts", type=int, default=3, help="utterances of each kind with audio (%(default)s)")
    parser.add_argument("--data", type=Path, help="data directories (default: data beside exp)")
    parser.add_argument("--utts", default="", help="more utterances with audio, separated by spaces")
    args = parser.parse_args()

    paths = [args.exp, *([args.compare] if args.compare else [])]
    for path in paths:
        if not path.is_dir():
            raise UserError(f"{path}: no such directory: run.sh makes it")
    labels = [str(path) for path in paths] if args.compare else [""]
    if len(set(labels)) < len(labels):
        raise UserError(f"--compare {args.compare}: that is the tree itself: name another one")
    colours: dict[str, int] = {}  # a system has the same colour in both trees
    trees = [
        Tree(path, (place == 0 and args.data) or path.parent / "data", label, second=place > 0, colours=colours)
        for place, (path, label) in enumerate(zip(paths, labels, strict=True))
    ]
    wanted = args.utts.split()
    known = {utt for tree in trees for utt in tree.utts}
    for utt in wanted:
        if utt not in known:
            raise UserError(f"--utts {utt}: no such utterance in the test set of {args.exp}")
    count = build(trees, args.output, args.num_utts, wanted)
    log.info("%d utterances, %d of them with audio: %s", len(known), count, args.output / "index.html")


if __name__ == "__main__":
    cli.run(main)
