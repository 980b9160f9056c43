#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Copies of a data directory at other speeds; steps/perturb_speed.sh explains the sub-commands."""

import argparse
from pathlib import Path

import soxr

from mimic.cli import add_audio, add_jobs, progress, run
from mimic.corpus.copies import OF_AUDIO, check_whole, combined, prefixed, read_tables
from mimic.errors import UserError
from mimic.io.audio import AudioReader
from mimic.io.entries import stored, wav_file
from mimic.io.recording import write_wav
from mimic.io.tables import split, write_data_dir

SLOWEST, FASTEST = 0.5, 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=["perturb", "collect"], help="the wavs of one job; the tables")
    parser.add_argument("--speeds", required=True, help="factors, e.g. '0.9 1.1'")
    add_jobs(parser)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    add_audio(parser, pipes=False)
    args = parser.parse_args()
    speeds = parse_speeds(args.speeds)
    check_whole(args.data)
    reader = AudioReader(args.data, channel=args.channel)
    if args.verb == "collect":
        write_tables(reader, speeds, args.out)
        return
    (args.out / "wav").mkdir(parents=True, exist_ok=True)
    for utt in progress(mine := split(reader.utts, args.job, args.nj), len(mine), "utterances"):
        pending = {speed: path for speed in speeds if not (path := wav_file(args.out, f"sp{speed}-{utt}")).exists()}
        x = reader[utt] if pending else None
        for speed, path in pending.items():
            # Played faster, as a tape would be: of a recording at a higher rate, all samples are kept.
            write_wav(path, soxr.resample(x, float(speed) * reader.rate, reader.rate, quality="HQ"), reader.rate)


def parse_speeds(text: str) -> list[str]:
    """The factors as they were written, for they become part of ids, less those that are 1; UserError for bad ones."""
    try:
        factors = {float(word): word for word in text.split()}
    except ValueError:
        factors = {}
    if len(factors) < len(text.split()) or not all(SLOWEST <= factor <= FASTEST for factor in factors):
        factors = {}
    speeds = [word for factor, word in factors.items() if factor != 1]
    if not speeds:
        raise UserError(f"--speeds '{text}': expected different factors from {SLOWEST} to {FASTEST}, e.g. '0.9 1.1'")
    return speeds


def write_tables(reader: AudioReader, speeds: list[str], out: Path) -> None:
    """The originals as they are, and their tables again for every speed."""
    seconds = {utt: reader.info(utt).seconds for utt in reader.utts}
    tables = read_tables(reader.data_dir, OF_AUDIO)
    durations = {utt: f"{time:.4f}" for utt, time in seconds.items()}
    parts = [(str(reader.data_dir), tables | {"wav.scp": dict(reader.wavs), "utt2dur": durations})]
    for speed in speeds:
        wavs = {utt: stored(wav_file(out, f"sp{speed}-{utt}")) for utt in reader.utts}
        durations = {utt: f"{time / float(speed):.4f}" for utt, time in seconds.items()}
        parts.append((f"sp{speed}", prefixed(tables | {"wav.scp": wavs, "utt2dur": durations}, f"sp{speed}-")))
    write_data_dir(out, combined(parts))


if __name__ == "__main__":
    run(main)
