#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Check --set of a recipe against the models that it trains, and print it as steps/train.sh is to get it.

recipe_settings.py TRAININGS train.epochs=3 'enhance_*:train.lr=1e-4'

TRAININGS is what steps/lib/list_trainings.sh wrote. A setting that not all of the models have is printed for each that
has it. A line for each error, and exit code 1.
"""

import argparse
import logging
from pathlib import Path

from mimic import cli
from mimic.tasks.overrides import read_trainings, resolve

log = logging.getLogger(__name__)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trainings", type=Path, help="list of trainings")
    parser.add_argument("settings", nargs="*", metavar="[NAME:]section.key=value")
    arguments = parser.parse_args()
    resolved, notes, errors = resolve(arguments.settings, read_trainings(arguments.trainings.read_text()))
    for note in notes:
        log.info(note)
    for error in errors:
        log.error("error: %s", error)
    print(*resolved)
    return int(bool(errors))


if __name__ == "__main__":
    cli.run(main)
