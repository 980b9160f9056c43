#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Mix noises into clean speech, which RIRs make reverberant; local/mix_noise.sh explains the sub-commands."""

import argparse
from math import inf
from pathlib import Path

from mimic.augment.recordings import Corruption, Recordings
from mimic.cli import add_audio, add_jobs, add_number, progress, run
from mimic.corpus.copies import OF_AUDIO, prefixed, read_tables
from mimic.errors import UserError
from mimic.io.audio import AudioReader
from mimic.io.entries import stored, wav_file
from mimic.io.recording import write_wav
from mimic.io.tables import read_utt2spk, split, write_data_dir
from mimic.settings import Seed, Share

MOST_SNR = 100  # dB: more than 16 bit have
CLEAN = "clean"  # in place of an SNR: no noise
MADE = OF_AUDIO | {"utt2snr", "utt2noise", "utt2room"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=["mix", "collect"], help="the wavs of one job; the tables")
    add_jobs(parser)
    parser.add_argument("--snrs", default="0 5 10 15", help=f"dB, or {CLEAN}, drawn evenly")
    parser.add_argument("--snr-power", choices=["active", "all"], default="active", help="samples that count")
    parser.add_argument("--rir-dir", type=Path, help="folder or wav.scp of room impulse responses")
    add_number(parser, "--rir-prob", Share, 0.5, "share of mixtures that are reverberant")
    parser.add_argument("--rir-align", choices=["true", "false"], default="true", help="move direct paths to time 0")
    parser.add_argument("--babble-dir", type=Path, help="clean data directory whose speakers babble")
    parser.add_argument("--prefix", default="", help="before the ids of utterances and speakers")
    add_number(parser, "--seed", Seed, 1, "of all draws")
    add_audio(parser)
    parser.add_argument("clean", type=Path, help="data directory")
    parser.add_argument("noise", type=Path, help="folder or wav.scp of noises")
    parser.add_argument("out_noisy", type=Path)
    parser.add_argument("out_clean", type=Path)
    args = parser.parse_args()

    speech = AudioReader(args.clean, allow_pipes=args.allow_pipes == "true", channel=args.channel)
    mixer = make_mixer(args, speech)
    if args.verb == "collect":
        write_tables(args, speech, mixer)
        return
    for out in (args.out_noisy, args.out_clean):
        (out / "wav").mkdir(parents=True, exist_ok=True)
    utts = split(speech.utts, args.job, args.nj)
    for utt in progress(utts, len(utts), "mixtures"):
        noisy, clean = (wav_file(out, utt) for out in (args.out_noisy, args.out_clean))
        if not (noisy.exists() and clean.exists()):
            mixture = mixer(utt)
            write_wav(clean, mixture.target)
            write_wav(noisy, mixture.noisy)


def parse_snr(word: str) -> float:
    """An SNR in dB, infinite without noise. ValueError for what is neither."""
    if word == CLEAN:
        return inf
    if not abs(snr := float(word)) <= MOST_SNR:
        raise ValueError(word)
    return snr


def make_mixer(args: argparse.Namespace, speech: AudioReader) -> Corruption:
    try:
        snrs = [parse_snr(word) for word in args.snrs.split()]
    except ValueError:
        snrs = []
    if not snrs:
        raise UserError(
            f"--snrs '{args.snrs}': expected numbers from -{MOST_SNR} to {MOST_SNR} dB, e.g. '0 5 10 15', or {CLEAN}"
        )
    speaker_of = read_utt2spk(args.clean / "utt2spk")
    voices = None
    if args.babble_dir:
        voices = AudioReader(args.babble_dir, allow_pipes=args.allow_pipes == "true", channel=args.channel)
        speaker_of = {**speaker_of, **read_utt2spk(args.babble_dir / "utt2spk")}
    return Corruption(
        speech,
        speaker_of,
        Recordings(args.noise),
        snrs,
        args.seed,
        rirs=Recordings(args.rir_dir) if args.rir_dir else None,
        rir_prob=args.rir_prob,
        voices=voices,
        active=args.snr_power == "active",
        align=args.rir_align == "true",
    )


def write_tables(args: argparse.Namespace, speech: AudioReader, mixer: Corruption) -> None:
    """Give both sides the tables of the clean directory, and the noisy one utt2snr, utt2noise, utt2room."""
    kept = read_tables(args.clean, MADE)
    draws = {utt: mixer.draw(utt) for utt in speech.utts}
    drawn = {
        "utt2snr": {utt: CLEAN if draw.snr == inf else f"{draw.snr:g}" for utt, draw in draws.items()},
        "utt2noise": {utt: "none" if draw.snr == inf else draw.noise_type for utt, draw in draws.items()},
    }
    if args.rir_dir:
        drawn["utt2room"] = {utt: draw.rir or "none" for utt, draw in draws.items()}
    for out, extra in ((args.out_clean, {}), (args.out_noisy, drawn)):
        wavs = {utt: stored(wav_file(out, utt)) for utt in speech.utts}
        written = Recordings(wavs)
        durations = {utt: f"{written.info(utt).seconds:.4f}" for utt in written}
        tables = kept | extra | {"wav.scp": wavs, "utt2dur": durations}
        write_data_dir(out, prefixed(tables, args.prefix) if args.prefix else tables)


if __name__ == "__main__":
    run(main)
