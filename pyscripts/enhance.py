#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Enhance one job's share of a data directory.

    enhance.py --job 1 --nj 4 exp/enhance_mimic data/test_noisy exp/enhance_mimic/wav/test

Writes wav/<utterance>.wav (16 bit) and, when all of its files are there, wav.JOB.scp.
"""

import argparse
import logging
from pathlib import Path

import numpy as np
import torch

from mimic import cli
from mimic.io.audio import AudioReader
from mimic.io.batching import prefetch
from mimic.io.entries import stored, wav_file
from mimic.io.recording import write_wav
from mimic.io.tables import split, write_table
from mimic.models.enhancer import Enhancer
from mimic.models.ratio import mix
from mimic.settings import Count

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="directory of a trained enhancer")
    parser.add_argument("data", type=Path, help="data directory with noisy speech")
    parser.add_argument("output", type=Path, help="data directory to write")
    cli.add_number(parser, "--job", Count, 1, "this job, from 1")
    cli.add_number(parser, "--nj", Count, 1, "number of jobs")
    cli.add_number(parser, "--batch-size", Count, 8, "utterances at once", was="--batch-utterances")
    cli.add_ratio(parser)
    cli.add_device(parser)
    parser.add_argument("--channel", type=int, help="channel of audio that has several, from 0")
    arguments, overrides = parser.parse_known_args()

    torch.set_flush_denormal(True)  # decaying states of recurrent layers: half of their time on a CPU
    enhancer = Enhancer.load(arguments.model, overrides, arguments.device)
    front, ratio = enhancer.front, enhancer.ratio(arguments.enhancement_ratio)
    reader = AudioReader(arguments.data, front.rate, channel=arguments.channel)
    utterances = split(reader.utts, arguments.job, arguments.nj)
    size = arguments.batch_size
    batches = [utterances[i : i + size] for i in range(0, len(utterances), size)]
    waveforms = prefetch(lambda batch: [torch.from_numpy(reader[utt]) for utt in batch], batches)
    (arguments.output / "wav").mkdir(parents=True, exist_ok=True)
    paths, clipped = {}, 0
    with torch.inference_mode():
        for batch, noisy in cli.progress(zip(batches, waveforms, strict=True), len(batches), "batches"):
            enhanced = enhancer.net.enhance([waveform.to(arguments.device) for waveform in noisy], front)
            for utt, x, y in zip(batch, noisy, enhanced, strict=True):
                path = wav_file(arguments.output, utt)
                samples = mix(x.numpy(), y.cpu().numpy(), ratio)
                clipped += int(np.abs(samples).max(initial=0) > 1)
                write_wav(path, samples, front.rate)
                paths[utt] = stored(path)
    if clipped:
        log.warning("%d of %d utterances were louder than full scale and are clipped", clipped, len(utterances))
    write_table(arguments.output / f"wav.{arguments.job}.scp", paths)


if __name__ == "__main__":
    cli.run(main)
