#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Check a Kaldi data directory, or a clean/noisy pair of them; stricter than Kaldi's validate_data_dir.sh.

Prints every problem on a line with its id and the fix; many of one type are shortened on the screen and listed in
full in DATA/problems.txt. Exit code 0 when there is none, else 1. Notes (another sampling rate, one speaker, clean
speech in spk1.scp) are not problems.
"""

import argparse
import logging
import sys

from mimic.cli import add_audio, run, whole
from mimic.corpus.lexicon import TYPES, first_pronunciations, read_pronunciations
from mimic.corpus.problems import Checked, lines
from mimic.corpus.validate import Options, validate, validate_pair
from mimic.io.atomic import replace

log = logging.getLogger(__name__)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="steps/validate_data.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--no-wav", action="store_true", help="do not read audio, nor ask for wav.scp")
    parser.add_argument("--no-text", action="store_true", help="do not ask for text")
    parser.add_argument("--lexicon", metavar="FILE", help="report words that are not in it")
    parser.add_argument("--lexicon-type", choices=TYPES, default="auto", help="what its columns are (auto)")
    parser.add_argument("--rate", type=whole("--rate", 1), default=16000, metavar="HZ", help="note other rates (16000)")
    add_audio(parser)
    parser.add_argument("--nj", type=whole("--nj", 1), default=1, metavar="N", help="processes that read audio (1)")
    parser.add_argument(
        "--limit", type=whole("--limit", 1), default=20, metavar="N", help="lines to print of each type (20)"
    )
    parser.add_argument("data", nargs="+", metavar="DATA", help="one data directory, or the clean and the noisy one")
    args = parser.parse_args()
    if len(args.data) > 2:
        parser.error("at most two directories: the clean and the noisy one")
    lexicon = None
    if args.lexicon:
        found = read_pronunciations(args.lexicon, args.lexicon_type)
        log.info("%s", found.taken_as)
        lexicon = first_pronunciations(args.lexicon, found)
    options = Options(
        wav=not args.no_wav,
        text=not args.no_text,
        lexicon=lexicon,
        rate=args.rate,
        allow_pipes=args.allow_pipes == "true",
        channel=args.channel,
        nj=args.nj,
    )
    found = [validate(args.data[0], options)] if len(args.data) == 1 else validate_pair(*args.data, options)
    return max(report(checked, args.limit) for checked in found)


def report(checked: Checked, limit: int) -> int:
    """Print what was found and give the exit code."""
    shown, everything = lines(checked.problems, limit), [p.line for p in checked.problems]
    full = checked.path / "problems.txt"
    if len(shown) > limit and shown != everything:
        try:
            with replace(full) as f:
                f.writelines(f"{line}\n" for line in everything)
            shown.append(f"all of them: {full}")
        except OSError:  # a corpus that may only be read
            shown = everything
    errors = sum(p.error for p in checked.problems)
    if errors:
        shown.append(f"{checked.path}: {errors} problems: not a valid data directory")
    else:
        full.unlink(missing_ok=True)
        hours = f", {sum(checked.samples.values()) / checked.rate / 3600:.2f} h" if checked.samples else ""
        shown.append(f"{checked.path}: {len(checked.utts)} utterances, {len(checked.speakers)} speakers{hours}")
        shown.append(f"Successfully validated data-directory {checked.path}")
    sys.stdout.writelines(f"{line}\n" for line in shown)
    return 1 if errors else 0


if __name__ == "__main__":
    run(main)
