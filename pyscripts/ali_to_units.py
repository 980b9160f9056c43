#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Targets of encoders from alignments of one model; steps/ali_to_units.sh calls it.

    ali_to_units.py --frame-subsampling-factor 2 exp/tri3_ali exp/tri3_ali_synthetic exp/ssl/phones

Writes units.ark, units.scp (int32, a unit for each frame), units.txt (`PHONE_STATE number` lines), summary.json.
"""

import argparse
from pathlib import Path

import numpy as np

from mimic import cli
from mimic.corpus.targets import write_targets
from mimic.errors import UserError
from mimic.hmm.alignments import read_ali_dir
from mimic.hmm.lang import read_symbols
from mimic.hmm.model import Model
from mimic.hmm.units import PhoneStates
from mimic.io.atomic import replace
from mimic.settings import Count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("alignments", type=Path, nargs="+", help="directories of alignments")
    parser.add_argument("output", type=Path, help="directory to write")
    cli.add_number(parser, "--frame-subsampling-factor", Count, 2, "frames of an alignment for one target")
    args = parser.parse_args()
    names: list[str] = []
    found: dict[str, np.ndarray] = {}
    for directory in args.alignments:
        to_units = PhoneStates(Model.read(directory / "final.mdl"), read_symbols(directory / "phones.txt"))
        names = names or to_units.names
        if to_units.names != names:
            raise UserError(f"{directory}: its phones are not those of {args.alignments[0]}: align with one model")
        for utt, ali in read_ali_dir(directory).items():
            if utt in found:
                raise UserError(f"{utt} is in {directory} and in another directory: give each utterance once")
            found[utt] = to_units(ali, args.frame_subsampling_factor)
    write_targets(sorted(found.items()), len(names), args.output)
    with replace(args.output / "units.txt") as f:
        f.writelines(f"{name} {i}\n" for i, name in enumerate(names))


if __name__ == "__main__":
    cli.run(main)
