#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Repair a Kaldi data directory, or a clean/noisy pair: order, repeated lines, line ends, blanks, spk2utt, and the
utterances that some file lacks. Old files go to DATA/.backup, dropped utterances with their reason to
DATA/skipped.tsv. A good directory is left as it is, byte for byte. Audio is never changed.
"""

import argparse

from mimic.cli import add_audio, run, whole
from mimic.corpus.fix import fix, keep_common, unreadable


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="steps/fix_data.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--drop-unreadable", action="store_true", help="also drop utterances whose audio is bad")
    add_audio(parser)
    text = "processes that read audio, for --drop-unreadable (1)"
    parser.add_argument("--nj", type=whole("--nj", 1), default=1, metavar="N", help=text)
    parser.add_argument("data", nargs="+", metavar="DATA", help="one data directory, or the clean and the noisy one")
    args = parser.parse_args()
    if len(args.data) > 2:
        parser.error("at most two directories: the clean and the noisy one")
    repaired = [fix(data) for data in args.data]
    if args.drop_unreadable:
        for one in repaired:
            one.add(fix(one.path, unreadable(one.path, args.nj, args.allow_pipes == "true", args.channel)))
    if len(repaired) == 2:
        for one, later in zip(repaired, keep_common(*args.data), strict=True):
            one.add(later)
    for one in repaired:
        for utt, why in list(one.dropped.items())[:20]:
            print(f"{one.path}: {utt}: dropped: {why}")
        if one.dropped:
            print(f"{one.path}: {len(one.dropped)} utterances dropped, all listed in {one.path}/skipped.tsv")
        files = ", ".join(one.files)
        print(
            f"{one.path}: repaired {files}; before: {one.path}/.backup" if files else f"{one.path}: nothing to repair"
        )


if __name__ == "__main__":
    run(main)
