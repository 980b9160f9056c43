#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Clean magnitudes with noisy phases; steps/noisy_phase.sh explains the sub-commands."""

import argparse
from pathlib import Path

import torch

from mimic.cli import add_audio, add_jobs, progress, run
from mimic.corpus.copies import OF_AUDIO, read_tables
from mimic.errors import UserError
from mimic.frontend.stft import Stft, StftConfig
from mimic.io.audio import AudioReader
from mimic.io.entries import stored, wav_file
from mimic.io.recording import write_wav
from mimic.io.tables import split, write_data_dir


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=["exchange", "collect"], help="the wavs of one job; the tables")
    parser.add_argument("--stft-config", type=Path, required=True, help="option file in Kaldi's format")
    add_jobs(parser)
    parser.add_argument("clean", type=Path, help="data directory")
    parser.add_argument("noisy", type=Path, help="data directory with the same utterances")
    parser.add_argument("out", type=Path)
    add_audio(parser, pipes=False)
    args = parser.parse_args()

    torch.set_num_threads(1)  # jobs are what runs in parallel here
    stft = Stft(StftConfig.read(args.stft_config))
    clean, noisy = (AudioReader(data, stft.rate, channel=args.channel) for data in (args.clean, args.noisy))
    if clean.utts != noisy.utts:
        utt = min(set(clean.utts) ^ set(noisy.utts))
        raise UserError(f"{utt}: is in only one of {args.clean} and {args.noisy}")
    if args.verb == "collect":
        wavs = {utt: stored(wav_file(args.out, utt)) for utt in noisy.utts}
        durations = {utt: f"{noisy.info(utt).seconds:.4f}" for utt in noisy.utts}
        write_data_dir(args.out, read_tables(args.noisy, OF_AUDIO) | {"wav.scp": wavs, "utt2dur": durations})
        return
    (args.out / "wav").mkdir(parents=True, exist_ok=True)
    mine = split(noisy.utts, args.job, args.nj)
    for utt in progress(mine, len(mine), "utterances"):
        signals = [torch.from_numpy(reader[utt]) for reader in (clean, noisy)]
        if len(signals[0]) != len(signals[1]):
            raise UserError(f"{utt}: {len(signals[0])} samples in {args.clean}, {len(signals[1])} in {args.noisy}")
        spectra = [stft.transform(signal[None]) for signal in signals]  # (1, frames, bins)
        (samples,) = stft.resynthesise(stft.log1p_magnitude(spectra[0]), spectra[1], len(signals[0]))
        write_wav(wav_file(args.out, utt), samples.numpy(), stft.rate)


if __name__ == "__main__":
    run(main)
