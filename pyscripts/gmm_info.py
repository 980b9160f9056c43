#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Print the sizes of a model, as Kaldi's gmm-info does.

gmm_info.py exp/tri1/final.mdl
"""

import argparse
from pathlib import Path

from mimic import cli
from mimic.hmm.model import Model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--number", choices=("pdfs", "gaussians"), help="print this number alone")
    args = parser.parse_args()
    model = Model.read(args.model)
    numbers = {"pdfs": model.transitions.num_pdfs, "transition-ids": model.transitions.num_transition_ids}
    if model.gmm:
        numbers |= {"gaussians": model.gmm.num_gauss, "feature dimension": model.gmm.dim}
    if args.number:
        print(numbers[args.number])
    else:
        print(f"{args.model}:", ", ".join(f"number of {name} {value}" for name, value in numbers.items()))


if __name__ == "__main__":
    cli.run(main)
