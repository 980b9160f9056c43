#!/usr/bin/env python3
"""Simulate the RIRs of one job; `collect` writes the tables. See simulate_rirs.sh."""

import argparse
from pathlib import Path

from mimic.augment.rirs import simulate
from mimic.cli import progress, run
from mimic.io.entries import stored, wav_file
from mimic.io.recording import write_wav
from mimic.io.tables import read_table, split, write_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=["simulate", "collect"])
    parser.add_argument("--job", type=int, default=1)
    parser.add_argument("--nj", type=int, default=1)
    parser.add_argument("--rirs", type=int, default=100)
    parser.add_argument("--shortest", type=float, default=0.15, help="reverberation time by Sabine, s")
    parser.add_argument("--longest", type=float, default=0.5, help="reverberation time by Sabine, s")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    names = [f"room{number:04d}-simulated" for number in range(1, args.rirs + 1)]  # names seed the draws
    paths = {name: wav_file(args.out, name) for name in names}
    if args.verb == "collect":
        write_table(args.out / "wav.scp", {name: stored(path) for name, path in paths.items()})
        facts = [read_table(args.out / f"rirs.{job}") for job in range(1, args.nj + 1)]
        write_table(args.out / "rirs.tsv", {name: line for table in facts for name, line in table.items()})
        return
    (args.out / "wav").mkdir(parents=True, exist_ok=True)
    facts = {}
    for name in progress(mine := split(names, args.job, args.nj), len(mine), "RIRs"):
        simulated = simulate(name, args.seed, args.shortest, args.longest)
        write_wav(paths[name], simulated.rir)
        facts[name] = f"{simulated.rt60:.3f}\t{simulated.volume:.1f}\t{simulated.distance:.2f}"
    write_table(args.out / f"rirs.{args.job}", facts)


if __name__ == "__main__":
    run(main)
