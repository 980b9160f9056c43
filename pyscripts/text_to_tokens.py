#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Write text as the tokens of a trained recogniser, to estimate an n-gram model for --decode.ngram with.

text_to_tokens.py exp/asr_clean < sentences.txt > tokens.txt
"""

import argparse
import sys
from pathlib import Path

from mimic import cli
from mimic.io.lines import decoded
from mimic.io.text import composed
from mimic.io.tokens import Tokens
from mimic.models.config import read_config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="directory of a trained recogniser")
    arguments = parser.parse_args()
    tokens = Tokens.load(arguments.model, read_config(arguments.model).data.token_type)
    for number, raw in enumerate(sys.stdin.buffer, 1):
        line = composed(decoded(raw, f"standard input:{number}")).strip()
        print(" ".join(tokens.symbols[i] for i in tokens.encode(line)))


if __name__ == "__main__":
    cli.run(main)
