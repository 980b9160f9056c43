#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Print the numbers of an encoder's hidden states.

ssl_layers.py exp/distill/robust
"""

import argparse
from pathlib import Path

from mimic import cli


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="as of steps/extract_ssl.sh")
    arguments = parser.parse_args()
    from mimic.models.encoder import Encoder  # here, because it loads torch

    print(*range(Encoder.load(arguments.model).num_layers + 1))


if __name__ == "__main__":
    cli.run(main)
