#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Make a lang directory in Kaldi's layout; steps/prepare_lang.sh calls it.

prepare_lang.py data/lang/lexicon.txt '<UNK>' data/ligru/lang
"""

import argparse
import json
from pathlib import Path

from mimic import cli
from mimic.corpus.lexicon import TYPES, read_pronunciations
from mimic.hmm.lang import LangOptions, make_lang
from mimic.io.atomic import replace
from mimic.settings import Count, Finite


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lexicon", type=Path, help="lexicon.txt, lexiconp.txt, lexiconp_silprob.txt")
    parser.add_argument("oov", type=str.strip, help="word that stands for those that are not in the lexicon")
    parser.add_argument("lang", type=Path, help="directory to write")
    cli.add_number(parser, "--sil-prob", Finite, 0.5, "probability of silence between words")
    cli.add_number(parser, "--num-sil-states", Count, 5, "HMM states of a silence phone")
    cli.add_number(parser, "--num-nonsil-states", Count, 3, "HMM states of another phone")
    parser.add_argument("--lexicon-type", choices=TYPES, default="auto", help="what its columns are (default: auto)")
    args = parser.parse_args()
    options = LangOptions(args.oov, args.sil_prob, args.num_sil_states, args.num_nonsil_states, args.lexicon_type)
    make_lang(args.lexicon, args.lang, options)
    with replace(args.lang / "lang.json") as f:
        json.dump({"lexicon": read_pronunciations(args.lexicon, args.lexicon_type).taken_as}, f)


if __name__ == "__main__":
    cli.run(main)
