#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Transcribe audio files: the command `mimic transcribe`, which `--help` describes."""

from mimic import cli
from mimic.commands.transcribe import main

if __name__ == "__main__":
    cli.run(main)
