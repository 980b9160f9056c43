#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""The former name of records.py, for one more release."""

from records import main

from mimic import cli, renamed


def former() -> None:
    renamed.note("results.py", "records.py")
    main()


if __name__ == "__main__":
    cli.run(former)
