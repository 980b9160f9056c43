#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""N best of one job's lattices with the language model of a network; steps/lmrescore_nbest.sh calls it.

    rescore_lattices.py --job 1 exp/lm exp/lm.arpa exp/tri3/graph exp/tri3/decode_dev exp/tri3/decode_dev_lm

Writes lat.JOB.gz with the n best paths of each lattice. Of their graph costs the share --weight of the n-gram
model's is replaced by the network's.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from mimic import cli
from mimic.decoding.ngram.ngram import Ngram
from mimic.decoding.wfst.lattice import Lattice
from mimic.decoding.wfst.lattice_io import read_lattices, write_lattices
from mimic.decoding.wfst.rescoring import log_prob, of_paths
from mimic.errors import UserError
from mimic.hmm.lang import FILTERED, read_symbols
from mimic.models.language_model import LanguageModel
from mimic.settings import Count, Positive, Share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lm", type=Path, help="directory of a trained language model")
    parser.add_argument("ngram", type=Path, help="lm.arpa of the graph")
    parser.add_argument("graph", type=Path, help="graph directory")
    parser.add_argument("decode", type=Path, help="decode directory with lattices")
    parser.add_argument("output", type=Path, help="decode directory to write")
    cli.add_number(parser, "--job", Count, 1, "this job, from 1")
    cli.add_number(parser, "--nbest", Count, 100, "paths of each lattice")
    cli.add_number(parser, "--weight", Share, 0.5, "share of the network")
    cli.add_number(parser, "--lmwt", Positive, 10.0, "language model weight by which the paths are chosen")
    cli.add_device(parser)
    args = parser.parse_args()

    names = {number: word for word, number in read_symbols(args.graph / "words.txt").items()}
    network, ngram = LanguageModel.load(args.lm, device=args.device), Ngram(args.ngram)

    def rescored() -> Iterator[tuple[str, Lattice]]:
        for utt, lattice in read_lattices(args.decode / f"lat.{args.job}.gz"):
            paths = lattice.nbest_paths(args.nbest, args.lmwt)
            words = [[names.get(word, "") for word in lattice.words(path)] for path in paths]
            if not all(map(all, words)):
                raise UserError(
                    f"{args.decode}: {utt}: a word is not in {args.graph}/words.txt: is it another graph's?"
                )
            sentences = [" ".join(word for word in line if word not in FILTERED) for line in words]
            new, old = network.score(sentences), [log_prob(ngram, " ".join(line)) for line in words]
            yield utt, of_paths(lattice, paths, [args.weight * (b - a) for a, b in zip(new, old, strict=True)])

    write_lattices(args.output / f"lat.{args.job}.gz", rescored())


if __name__ == "__main__":
    cli.run(main)
