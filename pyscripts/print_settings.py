#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Print settings of a configuration, a line each; a list with spaces between its items. Recipes call it.

print_settings.py conf/hubert_demo.yaml model.layers=12 data.token_type

The value after `=` is the default; without it the default is that of the task's data section, and a setting that has
none is an error.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

from mimic import cli
from mimic.errors import UserError
from mimic.models import config as configuration
from mimic.settings import build
from mimic.tasks.config import LIGHT_SECTIONS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="YAML file: task, net and their sections")
    parser.add_argument("names", nargs="+", metavar="section.name[=default]")
    arguments = parser.parse_args()
    raw = configuration.read_raw(arguments.config)
    task = configuration.task_name(raw, str(arguments.config))
    data = build(LIGHT_SECTIONS[task]["data"], raw.get("data") or {}, "data")
    known = raw | {"data": asdict(data)}
    for word in arguments.names:
        name, _, default = word.partition("=")
        section, _, key = name.partition(".")
        value = (known.get(section) or {}).get(key, default)
        if value in ("", None):
            raise UserError(f"{arguments.config}: {name} is not set, and has no default here")
        print(*value if isinstance(value, list) else [value])


if __name__ == "__main__":
    cli.run(main)
