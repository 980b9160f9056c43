#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Some utterances of a data directory: evenly spread, of some durations or speakers. steps/subset_data.sh calls it.

subset_data.py data/train_clean 100 data/train_clean_100
subset_data.py --min-dur 1 --max-dur 15 data/train_clean all data/train_clean_1_15
"""

import argparse
from pathlib import Path

from mimic.cli import add_number, run, whole
from mimic.corpus.copies import duration_problem, durations, of_speakers, subset
from mimic.errors import UserError
from mimic.io.tables import evenly, read_utt2spk, write_data_dir, write_skipped
from mimic.settings import NotNegative


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="data directory")
    parser.add_argument("utterances", help="how many, all where there are fewer; or all")
    parser.add_argument("out", type=Path, help="directory to write")
    add_number(parser, "--min-dur", NotNegative, 0.0, "seconds of the shortest utterance")
    add_number(parser, "--max-dur", NotNegative, 0.0, "seconds of the longest utterance; 0: any")
    parser.add_argument("--utt-list", type=Path, metavar="FILE", help="its lines begin with the utterances to take")
    parser.add_argument("--speakers", type=str.split, default=[], help="whose utterances are taken; none: everybody's")
    parser.add_argument("--less-speakers", type=str.split, default=[], help="whose utterances are left out")
    args = parser.parse_args()
    speaker_of = read_utt2spk(args.data / "utt2spk")
    if not speaker_of:
        raise UserError(f"{args.data / 'utt2spk'}: empty: no utterances")
    utts = of_speakers(args.data, speaker_of, args.speakers, args.less_speakers)
    if args.utt_list:
        listed = {line.split()[0] for line in args.utt_list.read_text(encoding="utf-8").splitlines() if line.strip()}
        utts = [utt for utt in utts if utt in listed]
        if not utts:
            raise UserError(f"{args.data}: has no utterance of {args.utt_list}")
    skipped: dict[str, str] = {}
    if args.min_dur or args.max_dur:
        seconds = durations(args.data, utts)
        problems = {utt: duration_problem(seconds[utt], args.min_dur, args.max_dur) for utt in utts}
        skipped = {utt: problem for utt, problem in problems.items() if problem}
        utts = [utt for utt in utts if utt not in skipped]
        if not utts:
            longest = f", at most {args.max_dur:g} s" if args.max_dur else ""
            raise UserError(f"{args.data}: no utterance of at least {args.min_dur:g} s{longest}")
    count = len(utts) if args.utterances == "all" else whole("<utterances>", 1)(args.utterances)
    write_data_dir(args.out, subset(args.data, evenly(utts, count)))
    write_skipped(args.out / "skipped.tsv", skipped)


if __name__ == "__main__":
    run(main)
