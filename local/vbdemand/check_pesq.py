#!/usr/bin/env python3
"""Compare the mean wide-band PESQ of a scoring directory with a published one; see check_pesq.sh."""

import argparse
from pathlib import Path
from statistics import fmean

from mimic.cli import run
from mimic.errors import UserError
from mimic.metrics.scores import read_rows

MEASURE = "wb-pesq"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", type=float, default=1.97, help="published mean")
    parser.add_argument("--tolerance", type=float, default=0.01, help="largest deviation from it")
    parser.add_argument("data", help="name of the test set, for messages")
    parser.add_argument("scoring", type=Path)
    args = parser.parse_args()
    rows = list(read_rows(args.scoring).values())
    scores = [score for row in rows if (score := row.scores[MEASURE]) is not None]
    if not scores:
        fix = "repair that, or give --skip-pesq-check true"
        raise UserError(f"PESQ check: no utterance of {args.data} has a wb-PESQ ({rows[0].reason}): {fix}")
    mean = fmean(scores)
    found = (
        f"PESQ check: wb-PESQ of {args.data} is {mean:.4f} over {len(scores)} utterances "
        f"({len(rows) - len(scores)} NA), published {args.target:g} +- {args.tolerance:g}"
    )
    if abs(round(mean, 4) - args.target) > args.tolerance + 1e-9:
        raise UserError(
            f"{found}: this is not the published test set. Is it p232 and p257, complete, 48 kHz resampled once, both "
            f"sides equally? See {args.scoring}/breakdown.tsv; --skip-pesq-check true continues with it"
        )
    print(found)


if __name__ == "__main__":
    run(main)
