#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""The former name of score_table.py, for one more release."""

from score_table import main

from mimic import cli, renamed


def former() -> None:
    renamed.note("results_table.py", "score_table.py")
    main()


if __name__ == "__main__":
    cli.run(former)
