#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Serve a page on which a browser records speech, plays it enhanced and shows its transcript.

serve.py --enhance true --recognise exp/asr_mimic
"""

import argparse
import logging
from pathlib import Path
from typing import Annotated

import torch

from mimic import cli
from mimic.deploy.server import Server
from mimic.deploy.service import Service
from mimic.deploy.transcriber import Transcriber
from mimic.models import find
from mimic.models.enhancer import Enhancer
from mimic.models.recogniser import Recogniser
from mimic.settings import Positive, Range

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--enhance", default="", help="trained enhancer; true: the default pretrained one")
    cli.add_ratio(parser)
    parser.add_argument("--recognise", default="", help="directory of a trained recogniser")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    cli.add_number(parser, "--port", Annotated[int, Range(0, 65535)], 8000, "0: any that is free")
    cli.add_number(parser, "--max-mb", Annotated[float, Range(above=0, most=4000)], 50.0, "largest recording")
    cli.add_number(parser, "--max-minutes", Positive, 10.0, "longest recording")
    cli.add_device(parser)
    arguments = parser.parse_args()

    torch.set_flush_denormal(True)  # decaying states of recurrent layers: half of their time on a CPU
    enhance, transcribe, names = None, None, ["", ""]
    if arguments.enhance not in ("", "false"):
        enhancer = Enhancer.load(find(arguments.enhance), (), arguments.device)
        enhance = enhancer.blocks(arguments.enhancement_ratio)
        names[0] = enhancer.directory.resolve().name
    if arguments.recognise:
        transcribe = Transcriber(Recogniser.load(arguments.recognise, (), arguments.device))
        names[1] = Path(arguments.recognise).resolve().name
    longest = 60 * arguments.max_minutes
    service = Service(enhance, transcribe, round(arguments.max_mb * 2**20), longest, (names[0], names[1]))
    with Server(arguments.host, arguments.port, service) as server:
        log.info("listening on %s: open it in a browser; Ctrl-C ends it", server.url)
        if not server.local:
            log.warning("everybody who reaches this machine can use it, and browsers record only on localhost or https")
        server.serve_forever()


if __name__ == "__main__":
    cli.run(main)
