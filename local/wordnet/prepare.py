#!/usr/bin/env python3
"""Write the example sentences of WordNet's database, one per line; see prepare.sh."""

import argparse
import re
from pathlib import Path

from mimic.cli import run
from mimic.errors import UserError
from mimic.io.atomic import replace
from mimic.io.text import NORMALISERS, normaliser

FILES = ("data.noun", "data.verb", "data.adj", "data.adv")
EXAMPLE = re.compile(r'"([^"]+)"')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--normaliser", default="plain", help=f"{', '.join(NORMALISERS)} (default: %(default)s)")
    parser.add_argument("src", type=Path)
    parser.add_argument("text", type=Path)
    args = parser.parse_args()
    normalise = normaliser(args.normaliser)
    sentences = [normalise(sentence) for sentence in examples(args.src)]
    args.text.parent.mkdir(parents=True, exist_ok=True)
    with replace(args.text) as f:
        f.writelines(f"{sentence}\n" for sentence in dict.fromkeys(sentences) if " " in sentence)


def examples(src: Path) -> list[str]:
    """What stands in quotes in the glosses, which come after the bar of a line; lines of the licence have none."""
    folder = src / "dict" if (src / "dict").is_dir() else src
    found = []
    for name in FILES:
        if not (folder / name).is_file():
            raise UserError(f"{folder}/{name}: no such file: local/wordnet/download.sh {src} fetches it")
        for line in (folder / name).read_text(encoding="latin-1").splitlines():
            found += EXAMPLE.findall(line.partition("|")[2])
    return found


if __name__ == "__main__":
    run(main)
