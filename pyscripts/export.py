#!/usr/bin/env python3
"""Export a trained enhancer or recogniser to ONNX.

    export.py exp/enhance_mimic onnx/enhance_mimic

Writes model.onnx, model.json, example.py and, for a recogniser, tokens.txt.
"""

import argparse
import logging
from pathlib import Path

from mimic import cli
from mimic.use.onnx import export

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="directory of a trained enhancer or recogniser")
    parser.add_argument("output", type=Path, help="folder to write")
    arguments = parser.parse_args()
    worst = export(arguments.model, arguments.output)
    if worst is None:
        log.warning("onnxruntime is not installed, so the graph has not been compared: pip install onnxruntime")
    else:
        log.info("largest difference between onnxruntime and torch: %.1e", worst)


if __name__ == "__main__":
    cli.run(main)
