#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""The former name of records.py, for one more release."""

import logging

from records import main

from mimic import cli


def former() -> None:
    logging.getLogger(__name__).info("results.py is now records.py; the old name will be removed in the next release")
    main()


if __name__ == "__main__":
    cli.run(former)
