#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Fit the enhancement ratio "auto" of a model to word errors on dev; steps/fit_ratio.sh is the way to call it.

    fit_ratio.py exp/enhance_mimic data/dev_noisy 0=exp/noisy/scoring/dev 1=exp/enhance_mimic/scoring/dev_asr

Writes ratio.json into the model directory.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from mimic import cli
from mimic.deploy.fit_ratio import fit, read_errors
from mimic.errors import UserError
from mimic.io.atomic import replace
from mimic.io.environment import revision
from mimic.models.enhancer import Enhancer
from mimic.models.ratio import RATIO
from mimic.settings import Count, Share, convert


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="directory of a trained enhancer")
    parser.add_argument("data", type=Path, help="data directory with the noisy speech of dev")
    parser.add_argument("scorings", nargs="+", metavar="RATIO=DIR", help="scoring directory at a ratio, two or more")
    cli.add_number(parser, "--replications", Count, 1000, "of the bootstrap")
    args = parser.parse_args()
    scorings: dict[float, Path] = {}
    for word in args.scorings:
        number, equals, place = word.partition("=")
        ratio = convert(Share, number, word) if equals and place else None
        if ratio is None or ratio in scorings:
            raise UserError(f"'{word}': expected RATIO=DIR, each ratio once, as 0.5=exp/half/scoring/dev")
        scorings[ratio] = Path(place)
    torch.set_flush_denormal(True)  # as in enhancement
    # Threads gain nothing with small networks, and beside another program they wait for each other: an utterance
    # took 1 s in place of 0.05.
    torch.set_num_threads(1)
    enhancer = Enhancer.load(args.model)
    found = fit(read_errors(enhancer, args.data, scorings), args.replications)
    found["fit"] |= {"data": str(args.data), "scorings": {f"{r:g}": str(p) for r, p in sorted(scorings.items())}}
    found["fit"]["revision"] = revision()
    with replace(args.model / RATIO) as f:
        f.write(json.dumps(found, indent=2) + "\n")
    report(found["curve"], found["fit"])


def report(curve: dict[str, float], facts: dict[str, Any]) -> None:
    for ratio, wer in facts["wer"].items():
        print(f"ratio {ratio:>5}: WER {wer:.2f} %")
    for name, found in facts["against"].items():
        limits = f"{found['difference']:+.2f} [{found['low']:+.2f}, {found['high']:+.2f}]"
        print(f"auto against {name}: {limits} on these utterances, which it was fitted to")
    test = facts["out_of_bag"]
    print(f"curve against ratio, out of bag: {test['difference']:+.2f} [{test['low']:+.2f}, {test['high']:+.2f}]")
    corners = [f"{curve[f'at_{end}']:g} {word} {curve[end]:g} dB" for end, word in (("low", "up to"), ("high", "from"))]
    print(f"kept: {facts['kept']}: {', '.join(corners)}")


if __name__ == "__main__":
    cli.run(main)
