#!/usr/bin/env python3
"""Recognise one job's share of a feature directory.

    decode.py --job 1 --nj 4 exp/asr exp/fbank/test_clean exp/asr/decode_test --decode.beam 20 --decode.lm exp/lm

Writes text.JOB: `utterance words` lines, an empty transcript leaving the utterance alone on its line.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from mimic import cli
from mimic.data import archives
from mimic.data.batching import make_batches, pad, prefetch
from mimic.data.kaldi_dir import read_frames, split, write_table
from mimic.decode import fusion
from mimic.decode.beam_search import search
from mimic.tasks.asr import AsrTask
from mimic.train import config as configuration


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="directory of a trained recogniser")
    parser.add_argument("features", type=Path, help="feature directory")
    parser.add_argument("output", type=Path, help="decode directory")
    parser.add_argument("--job", type=int, default=1, help="this job, from 1 (default: %(default)s)")
    parser.add_argument("--nj", type=int, default=1, help="number of jobs (default: %(default)s)")
    parser.add_argument("--batch-utterances", type=int, default=16, help="utterances at once (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    arguments, overrides = parser.parse_known_args()

    torch.set_flush_denormal(True)  # decaying states of recurrent layers: half of their time on a CPU
    config = configuration.read(arguments.model / "config.yaml", overrides)
    model, tokens = AsrTask.build(config, arguments.model)
    model.to(arguments.device)
    decode = replace(config.decode, nbest=1)
    models = fusion.load(decode, tokens, arguments.device)
    entries = archives.read_scp(arguments.features / "feats.scp")
    frames = read_frames(arguments.features)
    mine = {utt: frames[utt] for utt in split(sorted(entries), arguments.job, arguments.nj)}
    batches = make_batches(mine, arguments.batch_utterances, 0, "descending", 0, 0)
    texts = {}
    reader = prefetch(lambda utterances: pad([archives.load(entries[utt]) for utt in utterances]), batches)
    with torch.inference_mode():
        for utterances, (features, lengths) in cli.progress(zip(batches, reader, strict=True), len(batches), "batches"):
            encoded, lengths, ctc = model.encode(features.to(arguments.device), lengths.to(arguments.device))
            results = search(model.decoder, encoded, lengths, ctc, decode, models)
            for utt, best in zip(utterances, results, strict=True):
                texts[utt] = tokens.decode(best[0].tokens) if best else ""
    write_table(arguments.output / f"text.{arguments.job}", texts)


if __name__ == "__main__":
    cli.run(main)
