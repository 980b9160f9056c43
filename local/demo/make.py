#!/usr/bin/env python3
"""The work of local/demo/prepare.sh: several jobs make `speech`, then `mix` it; one writes the `tables`."""

import argparse
from pathlib import Path

from corpus import corruptions, make_noise, noise_files, pair, speak, write_audio, write_sets
from espeak import Espeak
from sentences import Utterance, plan

from mimic.augment.recordings import Corruption
from mimic.cli import progress, run


def make_speech(args: argparse.Namespace, script: list[Utterance]) -> None:
    files = {args.audio / "speech" / utterance.set / f"{utterance.utt}.wav": utterance for utterance in script}
    noises = {} if args.noise_dir else noise_files(args.audio)
    mine = sorted(files.keys() | noises.keys())[args.job - 1 :: args.nj]
    espeak = Espeak()
    for path in progress(mine, len(mine), "recordings"):
        if path.exists():
            continue
        if path in files:
            write_audio(path, speak(files[path], args.seed, espeak))
        else:
            write_audio(path, make_noise(path, *noises[path], args.seed))


def make_mixtures(args: argparse.Namespace, script: list[Utterance], mixers: dict[str, Corruption]) -> None:
    mine = script[args.job - 1 :: args.nj]
    for utterance in progress(mine, len(mine), "mixtures"):
        paths = pair(args.audio, utterance)
        if not all(path.exists() for path in paths.values()):
            mixture = mixers[utterance.set](utterance.utt)
            write_audio(paths["clean"], mixture.target)
            write_audio(paths["noisy"], mixture.noisy)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["speech", "mix", "tables"])
    parser.add_argument("--job", type=int, default=1, help="number of this job, from 1")
    parser.add_argument("--nj", type=int, default=1, help="number of jobs that share the work")
    parser.add_argument("--hours", type=float, default=0.5, help="hours of training speech")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--noise-dir", type=Path, help="recorded noises instead of synthesised ones")
    parser.add_argument("--rir-dir", type=Path, help="RIRs")
    parser.add_argument("--rir-prob", type=float, default=0.5, help="share of reverberant mixtures")
    parser.add_argument("data", type=Path, help="where the data directories and demo_audio go")
    args = parser.parse_args()
    args.audio = args.data / "demo_audio"

    script = plan(args.seed, args.hours)
    if args.part == "speech":
        make_speech(args, script)
        return
    mixers = corruptions(args.audio, script, args.seed, args.noise_dir, args.rir_dir, args.rir_prob)
    if args.part == "mix":
        make_mixtures(args, script, mixers)
    else:
        write_sets(args.data, args.audio, script, mixers)


if __name__ == "__main__":
    run(main)
