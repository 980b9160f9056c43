#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Export a trained enhancer or recogniser to ONNX.

    export.py exp/enhance_mimic onnx/enhance_mimic

Writes model.onnx, model.json, example.py and, for a recogniser, tokens.txt; log/difference.json: how far it is from
torch.
"""

import argparse
import json
import logging
from pathlib import Path

from mimic import cli
from mimic.errors import UserError
from mimic.io.atomic import replace

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="directory of a trained enhancer or recogniser")
    parser.add_argument("output", type=Path, help="folder to write")
    arguments = parser.parse_args()
    try:
        from mimic.deploy.onnx import export
    except ImportError as error:
        raise UserError(f"{error.name} is not installed: run steps/setup.sh") from None
    worst = export(arguments.model, arguments.output)
    log.info("largest difference between onnxruntime and torch: %.1e", worst)
    (arguments.output / "log").mkdir(exist_ok=True)
    with replace(arguments.output / "log/difference.json") as f:
        json.dump({"largest difference between onnxruntime and torch": f"{worst:.1e}"}, f)


if __name__ == "__main__":
    cli.run(main)
