#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Text, word times and n best of lattices, at the scale with the fewest errors; steps/score_lattices.sh calls it.

    score_lattices.py --min-lmwt 7 --max-lmwt 17 data/dev exp/tri3/graph exp/tri3 exp/tri3/decode_dev
    score_lattices.py --from exp/tri3/decode_dev data/test exp/tri3/graph exp/tri3 exp/tri3/decode_test

Writes text, ctm, nbest, lmwt and wip into the decode directory; while it searches, wer_<lmwt>_<wip> too.
"""

import argparse
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np

from mimic import cli
from mimic.decoding.wfst import mbr
from mimic.decoding.wfst.lattice import Lattice, word_times
from mimic.decoding.wfst.lattice_io import read_decode_dir
from mimic.errors import UserError
from mimic.hmm.chain import FACTOR
from mimic.hmm.lang import FILTERED, read_symbols
from mimic.hmm.model import Model
from mimic.io.atomic import replace
from mimic.io.lines import fields, read_lines
from mimic.io.tables import read_frame_shift, read_text, read_utt2spk, write_table
from mimic.metrics.wer import compute_wer, wer_lines

log = logging.getLogger(__name__)


def penalties(text: str) -> list[float]:
    return [float(value) for value in text.replace(",", " ").split()]  # as steps/lib/option_ranges.txt has it


def lattices(args: argparse.Namespace, names: dict[int, str], utts: Mapping[str, str], ids: int) -> Iterator:
    """(utterance, lattice) of the decode directory; UserError where they do not fit words, utterances or model."""
    for utt, lattice in read_decode_dir(args.dir):
        word, tids = int(lattice.word.max(initial=0)), np.frombuffer(b"".join(lattice.tids), np.int32)
        if word and word not in names:
            raise UserError(
                f"{args.dir}: {utt}: word {word} is not in {args.graph}/words.txt: decoded with another graph?"
            )
        if tids.max(initial=0) > ids:
            raise UserError(
                f"{args.dir}: {utt}: {args.model}/final.mdl has {ids} transition ids: decoded with another model?"
            )
        if utt not in utts:
            raise UserError(f"{args.dir}: {utt}: not in {args.data}/utt2spk: is it another set's directory?")
        yield utt, lattice


def search(
    args: argparse.Namespace, refs: Mapping[str, str], found: Iterator, names: dict[int, str]
) -> tuple[int, float]:
    """The pair with the lowest WER; each one's in wer_<lmwt>_<wip>.

    Of equal ones the first counts, penalties before weights, as in Kaldi's score_kaldi_wer.sh and best_wer.sh.
    """
    if not refs:
        raise UserError(f"{args.data}/text: no transcripts to search a scale with: give --from")
    if not 1 <= args.min_lmwt <= args.max_lmwt:
        raise UserError(f"--min-lmwt {args.min_lmwt} has to be from 1 to --max-lmwt, which is {args.max_lmwt}")
    weights = range(args.min_lmwt, args.max_lmwt + 1)
    pairs = [(lmwt, wip) for wip, lmwt in product(args.word_ins_penalty, weights)]
    hyps: list[dict[str, str]] = [{} for _ in pairs]
    for utt, lattice in cli.progress(found, len(refs), "lattices"):
        for hyp, words in zip(hyps, words_of(args, lattice, pairs), strict=True):
            hyp[utt] = spoken(words, names)
    rates = []
    for (lmwt, wip), hyp in zip(pairs, hyps, strict=True):
        lines = wer_lines(compute_wer((ref.split(), hyp.get(utt, "").split(), True) for utt, ref in refs.items()))
        rates.append(float(lines.split()[1]))  # what is written decides, rounded as it is
        with replace(args.dir / f"wer_{lmwt}_{wip:.1f}") as f:
            f.write(lines)
    return pairs[rates.index(min(rates))]


def read_number(path: Path) -> float:
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        raise UserError(f"{path}: no number: score the development set again, without --from") from None


def frames_at_once(model: Path) -> int:
    """Frames of the features for one of the lattice: of LF-MMI more than 1."""
    path = model / FACTOR
    return int(read_number(path)) if path.exists() else 1


def words_of(args: argparse.Namespace, lattice: Lattice, pairs: Sequence[tuple[float, float]]) -> list[list[int]]:
    lmwts, penalties = zip(*pairs, strict=True)
    if args.mbr_beam is not None:
        return [[word for word, _ in found] for found in mbr.decode(lattice, lmwts, penalties, args.mbr_beam)]
    return [lattice.words(path) for path in lattice.best_paths(lmwts, penalties)]


def spoken(words: Iterable[int], names: dict[int, str]) -> str:
    return " ".join(names[word] for word in words if names[word] not in FILTERED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="directory with text and frame_shift")
    parser.add_argument("graph", type=Path, help="graph directory")
    parser.add_argument("model", type=Path, help="directory with final.mdl")
    parser.add_argument("dir", type=Path, help="decode directory")
    parser.add_argument("--min-lmwt", type=int, default=7, help="(default: %(default)s)")
    parser.add_argument("--max-lmwt", type=int, default=17, help="(default: %(default)s)")
    parser.add_argument("--word-ins-penalty", type=penalties, default=[0.0, 0.5, 1.0], help="(default: 0.0,0.5,1.0)")
    parser.add_argument("--from", dest="source", type=Path, help="take the pair that was found for this directory")
    parser.add_argument("--mbr-beam", type=float, help="the words with the fewest expected errors, of paths within it")
    parser.add_argument("--nbest", type=int, default=0, help="write so many to nbest (default: none)")
    args = parser.parse_args()

    names = {number: word for word, number in read_symbols(args.graph / "words.txt").items()}
    utts = read_utt2spk(args.data / "utt2spk")
    refs = read_text(args.data / "text") if (args.data / "text").exists() else {}
    model = Model.read(args.model / "final.mdl")
    read = partial(lattices, args, names, utts, model.transitions.num_transition_ids)
    if args.source:
        lmwt, wip = (read_number(args.source / name) for name in ("lmwt", "wip"))
    else:
        lmwt, wip = search(args, refs, read(), names)
    places = [fields(line) for _, line in read_lines(args.graph / "phones/word_boundary.int")]
    boundary = {int(phone): position for phone, position in places}
    shift = read_frame_shift(args.data) * frames_at_once(args.model)
    texts: dict[str, str] = {}
    ctm: dict[str, list[str]] = {}
    nbest: dict[str, list[str]] = {}
    for utt, lattice in read():
        (path,) = lattice.best_paths([lmwt], [wip])
        words = lattice.words(path)
        rows: Sequence[tuple] = word_times(model, boundary, lattice.alignment(path), words)
        if args.mbr_beam is not None:
            (found,) = mbr.decode(lattice, [lmwt], [wip], args.mbr_beam)
            words, rows = [word for word, _ in found], mbr.timed(found, rows)
        texts[utt] = spoken(words, names)
        ctm[utt], nbest[utt] = [], []
        for word, start, frames, *confidence in rows:
            if names[word] not in FILTERED:
                line = f"{utt} 1 {start * shift:.2f} {frames * shift:.2f} {names[word]}"
                ctm[utt].append(" ".join([line, *(f"{p:.2f}" for p in confidence)]) + "\n")
        for rank, (cost, sentence) in enumerate(lattice.nbest(args.nbest, lmwt, wip) if args.nbest else (), 1):
            nbest[utt].append(f"{utt}-{rank} {cost:.4f} {' '.join(names[word] for word in sentence)}".rstrip() + "\n")
    missing = len(utts) - len(texts)
    if missing:
        log.warning("%d of %d utterances have no lattice: no words", missing, len(utts))
    for name, lines in (("ctm", ctm), ("nbest", nbest)):
        with replace(args.dir / name) as f:
            f.writelines(line for utt in sorted(lines) for line in lines[utt])
    for name, value in (("lmwt", f"{lmwt:g}"), ("wip", f"{wip:.1f}")):
        with replace(args.dir / name) as f:
            f.write(f"{value}\n")
    write_table(args.dir / "text", dict.fromkeys(utts, "") | texts)


if __name__ == "__main__":
    cli.run(main)
