#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Weights of the n-gram model and the word bonus on a development set; steps/tune_decode.sh is the way to call it.

tune_decode.py outputs --job 1 --nj 4 exp/ds2 exp/fbank/dev_clean exp/ds2/tune/outputs
tune_decode.py search --job 1 --nj 4 --lm-scales '0.5 1' --word-insertion-bonuses '0 1' exp/ds2 exp/fbank/dev_clean \
    exp/ds2/tune --decode.search lexicon --decode.ngram lm.arpa
tune_decode.py choose --nj 4 exp/ds2 exp/fbank/dev_clean exp/ds2/tune --decode.search lexicon ...

The first runs the network and keeps its CTC log-probabilities, the second decodes them with every pair of weights,
the third writes table.tsv and options, which steps/decode.sh takes.
"""

import argparse
import json
import logging
import shlex
from functools import partial
from pathlib import Path
from typing import Any

import torch

from mimic import cli
from mimic.decoding import tune
from mimic.decoding.decoder import choose, ctc_decoder
from mimic.errors import UserError
from mimic.frontend.front_end import check_features
from mimic.io import archives, feature_dir
from mimic.io.atomic import replace
from mimic.io.batching import make_batches, pad, prefetch
from mimic.io.tables import read_text, split
from mimic.io.tokens import Tokens
from mimic.models.config import read_config
from mimic.models.recogniser import Recogniser
from mimic.settings import Count, Finite, NotNegative, convert

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("outputs", "search", "choose"))
    parser.add_argument("model", type=Path, help="directory of a trained recogniser")
    parser.add_argument("features", type=Path, help="feature directory of a development set")
    parser.add_argument("output", type=Path, help="directory")
    cli.add_number(parser, "--job", Count, 1, "this job, from 1")
    cli.add_number(parser, "--nj", Count, 1, "number of jobs")
    cli.add_device(parser)
    cli.add_number(parser, "--batch-size", Count, 16, "utterances at once", was="--batch-utterances")
    parser.add_argument("--lm-scales", default="", help="weights of the n-gram model")
    parser.add_argument("--word-insertion-bonuses", default="", help="word bonuses")
    args, overrides = parser.parse_known_args()

    tune.refuse_test(args.features)
    {"outputs": outputs, "search": search, "choose": write}[args.verb](args, overrides)


@torch.inference_mode()
def outputs(args: argparse.Namespace, overrides: list[str]) -> None:
    check_features(args.model, args.features)
    model = Recogniser.load(args.model, overrides, args.device).net
    entries, frames = feature_dir.read(args.features)
    mine = {utt: frames[utt] for utt in split(sorted(entries), args.job, args.nj)}
    batches = make_batches(mine, args.batch_size, 0, "descending", 0, 0)
    reader = prefetch(lambda utterances: pad(feature_dir.load_all(utterances, entries, frames)), batches)
    with archives.ArkWriter(args.output / f"ctc.{args.job}.ark", args.output / f"ctc.{args.job}.scp") as writer:
        for utterances, (features, lengths) in cli.progress(zip(batches, reader, strict=True), len(batches), "batches"):
            _, kept, ctc = model.encode(features.to(args.device), lengths.to(args.device))
            for utt, row, n in zip(utterances, ctc.float().cpu().numpy(), kept.tolist(), strict=True):
                writer.write(utt, row[:n])


def search(args: argparse.Namespace, overrides: list[str]) -> None:
    config = read_config(args.model, overrides)
    tokens = Tokens.load(args.model, config.data.token_type)
    decode = config.decode
    if choose(decode, attention=False) == "greedy" or not decode.ngram:
        raise UserError("nothing to tune: give --decode.search lexicon or lexicon-free, and --decode.ngram")
    grid = [
        (weight, bonus)
        for weight in numbers("--lm-scales", args.lm_scales, NotNegative)
        for bonus in numbers("--word-insertion-bonuses", args.word_insertion_bonuses, Finite)
    ]
    texts = read_text(args.features / "text")
    entries = archives.read_scp(args.output / "outputs" / "ctc.scp")
    mine = {utt: partial(archives.load, entries[utt]) for utt in split(sorted(entries), args.job, args.nj)}
    steps = cli.progress(mine.items(), len(mine), "utterances")
    points = tune.search(ctc_decoder(decode, tokens), steps, texts, grid)
    with replace(args.output / f"points.{args.job}") as f:
        json.dump(points, f)


def write(args: argparse.Namespace, overrides: list[str]) -> None:
    names = [args.output / f"points.{job}" for job in range(1, args.nj + 1)]
    points = tune.total([tune.Point(*p) for p in json.loads(name.read_text())] for name in names)
    found = tune.best(points)
    options = dict(zip(overrides[::2], overrides[1::2], strict=True))
    tuned = {"ngram_lm_scale": f"{found.ngram_lm_scale:g}", "word_insertion_bonus": f"{found.word_insertion_bonus:g}"}
    options |= {f"--decode.{name}": value for name, value in tuned.items()}
    with replace(args.output / "table.tsv") as f:
        f.write(tune.table(points))
    with replace(args.output / "options") as f:
        f.write(shlex.join(word for pair in options.items() for word in pair) + "\n")
    print(tune.table(points), end="")
    print(f"best: WER {found.wer:.2f} ({found.errors} of {found.words}) with ngram_lm_scale {found.ngram_lm_scale:g}, "
          f"word_insertion_bonus {found.word_insertion_bonus:g}")  # fmt: skip


def numbers(option: str, text: str, kind: Any) -> list[float]:
    found = [convert(kind, word, option) for word in text.split()]
    if not found:
        raise UserError(f"{option} '{text}': expected numbers, such as '0.5 1 1.5'")
    return found


if __name__ == "__main__":
    cli.run(main)
