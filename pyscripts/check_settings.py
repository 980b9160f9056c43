#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Check settings of a trained model before anything is written. Steps call it; it says nothing when all is well.

check_settings.py exp/asr_clean --decode.beam 20
"""

import argparse
from pathlib import Path

from mimic import cli
from mimic.decoding.config import DecodeConfig
from mimic.models.config import pairs, read_raw
from mimic.settings import build
from mimic.tasks import config as configuration


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="directory of a trained model")
    arguments, overrides = parser.parse_known_args()
    path = arguments.model / "config.yaml"
    if all(word.startswith("--decode.") for word in overrides[::2]):  # without torch, which takes seconds to load
        raw = read_raw(path, pairs(overrides))
        build(DecodeConfig, raw.get("decode") or {}, f"{path}: decode")
    else:
        configuration.read(path, overrides)


if __name__ == "__main__":
    cli.run(main)
