#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""A model of the mean weights of some epochs, of those that a training has kept.

average_checkpoints.py exp/enhance_mimic exp/enhance_mimic_18_20 18 19 20     after --train.keep_ckpts 3
"""

import argparse
import logging
from pathlib import Path

from mimic import cli, models
from mimic.errors import UserError

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, help="experiment directory of steps/train.sh")
    parser.add_argument("output", type=Path, help="model directory to write")
    parser.add_argument("epochs", nargs="+", type=cli.whole("<epochs>", 1), help="epochs, from 1")
    args = parser.parse_args()
    kept = {int(path.stem[6:]): path for path in (args.directory / "weights").glob("epoch-*.pt")}
    if missing := sorted(set(args.epochs) - kept.keys()):
        there = " ".join(map(str, sorted(kept))) or "none"
        raise UserError(
            f"{args.directory}: no weights of epoch {missing[0]}: --train.keep_ckpts keeps more; there: {there}"
        )
    if (args.output / "config.yaml").exists():
        raise UserError(f"{args.output} holds a model: name another directory")
    from mimic.training import checkpoint  # here: it loads torch, which takes seconds; wrong words need not wait for it

    model = models.load(args.directory)
    model.net.load_state_dict(checkpoint.average(kept[epoch] for epoch in sorted(set(args.epochs))))
    model.save(args.output)
    log.info("%s: mean of epochs %s of %s", args.output, " ".join(map(str, sorted(set(args.epochs)))), args.directory)


if __name__ == "__main__":
    cli.run(main)
