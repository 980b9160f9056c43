#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Find out whether enhancers help recognisers; steps/judge.sh is the way to call it.

    judge.py --enhancers pretrained --recognisers "whisper:models/tiny exp/asr_clean" data/test_noisy exp/judge/test

--part dev or test enhances, recognises and scores the utterances of one job, and keeps what was found in OUT/kept;
--part all writes OUT/results from that. --part inputs prints which files and directories count, and does nothing.
"""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from mimic import cli
from mimic.errors import UserError
from mimic.io.text import NORMALISERS
from mimic.judging.work import Options, Work
from mimic.models.ratio import AUTO
from mimic.settings import Share, convert

PARTS = ("inputs", "dev", "test", "all")


def main() -> None:
    args = parse()
    options = Options(
        args.data,
        args.out,
        words("--enhancers", args.enhancers),
        words("--recognisers", args.recognisers),
        [ratio(word) for word in args.ratios.split()],
        args.dev_share,
        args.text,
        args.language,
        args.normaliser,
        args.measures,
        args.max_skip,
        args.allow_pipes == "true",
        args.channel,
    )
    work = Work(options, args.part, args.job, args.nj)
    if args.part == "inputs":
        print(*work.inputs(), sep="\n")
    elif args.part == "all":
        work.results()
    else:
        work.run(dev=args.part == "dev")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="data directory, or folder of audio")
    parser.add_argument("out", type=Path, help="directory to write")
    help = "[NAME=]DIR of a model or of enhanced speech, or pretrained; several are separated by spaces"
    parser.add_argument("--enhancers", default="pretrained", help=help)
    help = "[NAME=]DIR, whisper:DIR, sherpa:DIR, pocketsphinx, cmd:'program {wav.scp} {text}'; several by spaces"
    parser.add_argument("--recognisers", default="", help=help)
    parser.add_argument("--ratios", default="0.3 0.5 0.7 1", help="of enhanced speech, or auto (default: %(default)s)")
    cli.add_number(parser, "--dev-share", Share, 0.3, "of the utterances, to choose the ratio on")
    parser.add_argument("--text", type=Path, help="Kaldi's table of transcripts, or a folder of <utterance>.txt")
    parser.add_argument("--language", default="en", help="of Whisper (default: %(default)s)")
    parser.add_argument("--normaliser", default="", help=f"{', '.join(NORMALISERS)} (default: english, others plain)")
    parser.add_argument("--measures", default="auto", help="scores without a reference (default: %(default)s)")
    cli.add_number(parser, "--max-skip", Share, 0.01, "share that may be unreadable, or lack a transcript")
    parser.add_argument("--part", choices=PARTS, default="all", help="(default: %(default)s)")
    cli.add_jobs(parser)
    cli.add_audio(parser)
    return parser.parse_args()


def words(option: str, text: str) -> Sequence[str]:
    """A list in the manner of a shell: cmd:'a program {wav.scp} {text}' is one word."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UserError(f"{option} {text}: {error}") from None


def ratio(text: str) -> float | str:
    return text if text == AUTO else convert(Share, text, "--ratios")


if __name__ == "__main__":
    cli.run(main)
