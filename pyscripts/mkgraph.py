#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Compose HCLG.fst; steps/mkgraph.sh calls it.

mkgraph.py data/ligru/lang exp/lm/lm.arpa exp/ligru/tri3 exp/ligru/tri3/graph
"""

import argparse
from pathlib import Path

from mimic import cli
from mimic.decoding.wfst.graph import make_graph
from mimic.hmm.lang import Lang
from mimic.hmm.model import Model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lang", type=Path, help="lang directory")
    parser.add_argument("lm", type=Path, help="ARPA file, plain or gzipped")
    parser.add_argument("model", type=Path, help="directory with final.mdl and tree")
    parser.add_argument("graph", type=Path, help="directory to write")
    parser.add_argument("--self-loop-scale", type=float, default=0.1, help="(default: %(default)s)")
    args = parser.parse_args()
    make_graph(Lang(args.lang), args.lm, Model.read(args.model / "final.mdl"), args.graph, args.self_loop_scale)


if __name__ == "__main__":
    cli.run(main)
