#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""What became of the utterances of all jobs; the steps of GMM-HMMs and steps/decode_lattice.sh call it at their end.

summarise_jobs.py --nj 4 --max-skip 0.01 exp/tri1_ali

Writes skipped.tsv and prints a line; fails where more utterances have no result than the option allows, or all of them.
"""

import argparse
from pathlib import Path

from mimic import cli
from mimic.hmm.jobs import collect_summaries


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=Path, help="directory with summary.JOB.json")
    parser.add_argument("--nj", type=int, default=1, help="number of jobs (default: %(default)s)")
    parser.add_argument("--max-skip", type=float, default=0.01, help="share without result (default: %(default)s)")
    args = parser.parse_args()
    found = collect_summaries(args.dir, args.nj, args.max_skip)
    line = f"done {found['done']}, errors {found['errors']}"
    if found.get("frames"):
        like = found["log_like"] / found["frames"]
        line = f"Overall log-likelihood per frame is {like:.4f} over {found['frames']:.0f} frames; {line}"
    if found.get("partial"):
        line += f"; {found['partial']:.0f} without final state (partial output)"
    print(line)


if __name__ == "__main__":
    cli.run(main)
