#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Recognise one job's share of a feature directory.

    decode.py --job 1 --nj 4 exp/asr exp/fbank/test_clean exp/asr/decode_test --decode.beam 20 --decode.lm exp/lm

Writes text.JOB: `utterance words` lines, an empty transcript leaving the utterance alone on its line; ctm.JOB: when
each word is spoken, and its confidence; with --decode.nbest above 1 nbest.JOB: a JSON record for each utterance.
"""

import argparse
import json
from pathlib import Path
from typing import NamedTuple

import torch

from mimic import cli
from mimic.decoding.decoder import Result
from mimic.decoding.nbest import ctm, record
from mimic.frontend.front_end import check_features
from mimic.io import archives, feature_dir
from mimic.io.atomic import replace
from mimic.io.batching import make_batches, pad, prefetch
from mimic.io.tables import read_frame_shift, split, write_table
from mimic.models.recogniser import Recogniser
from mimic.settings import Count


class Lines(NamedTuple):
    """What the files have of an utterance."""

    text: str
    ctm: str
    record: str  # of nbest

    @classmethod
    def of(cls, utt: str, results: list[Result], nbest: bool) -> "Lines":
        best = results[0] if results else None
        line = json.dumps(record(utt, results), ensure_ascii=False) + "\n" if nbest else ""
        return cls(best.text if best else "", ctm(utt, best) if best else "", line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="directory of a trained recogniser")
    parser.add_argument("features", type=Path, help="feature directory")
    parser.add_argument("output", type=Path, help="decode directory")
    cli.add_number(parser, "--job", Count, 1, "this job, from 1")
    cli.add_number(parser, "--nj", Count, 1, "number of jobs")
    cli.add_number(parser, "--batch-size", Count, 16, "utterances at once", was="--batch-utterances")
    cli.add_device(parser)
    arguments, overrides = parser.parse_known_args()

    torch.set_flush_denormal(True)  # decaying states of recurrent layers: half of their time on a CPU
    check_features(arguments.model, arguments.features)
    recogniser = Recogniser.load(arguments.model, overrides, arguments.device)
    decoder = recogniser.decoder
    entries, frames = feature_dir.read(arguments.features)
    shift = read_frame_shift(arguments.features)
    mine = split(sorted(entries), arguments.job, arguments.nj)
    short = {utt: frames[utt] for utt in mine if not decoder.is_long(frames[utt])}
    batches = make_batches(short, arguments.batch_size, 0, "descending", 0, 0)
    batches = [[utt] for utt in mine if utt not in short] + batches
    found: dict[str, Lines] = {}  # and no results: their words' times are many small objects
    reader = prefetch(
        lambda batch: pad(feature_dir.load_all(batch, entries, frames)) if batch[0] in short else None, batches
    )
    for utterances, batch in cli.progress(zip(batches, reader, strict=True), len(batches), "batches"):
        if batch is None:
            (utt,) = utterances
            results = [decoder.long(archives.rows(entries[utt]), frames[utt], shift)]
        else:
            results = decoder(*batch, shift)
        for utt, nbest in zip(utterances, results, strict=True):
            found[utt] = Lines.of(utt, nbest, decoder.config.nbest > 1)
    name = f".{arguments.job}"
    write_table(arguments.output / f"text{name}", {utt: lines.text for utt, lines in found.items()})
    with replace(arguments.output / f"ctm{name}") as f:
        f.writelines(found[utt].ctm for utt in mine)
    if decoder.config.nbest > 1:
        with replace(arguments.output / f"nbest{name}") as f:
            f.writelines(found[utt].record for utt in mine)


if __name__ == "__main__":
    cli.run(main)
