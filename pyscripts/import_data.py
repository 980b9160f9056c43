#!/usr/bin/env -S sh -c 'p=${0%/*}/../.venv/bin/python3; [ -x "$p$MIMIC_FORKS" ] || p=python3; exec "$p" "$0" "$@"'
"""Import data made elsewhere: `read` for steps/import_data.sh, the other sub-commands for local/import_corpus.sh."""

import argparse
import json
import logging
from collections.abc import Callable
from pathlib import Path

from mimic.cli import add_audio, add_jobs, add_number, progress, run
from mimic.corpus.formats.detect import READERS, detect, read
from mimic.corpus.formats.directory import write_directory
from mimic.corpus.formats.utterance import Reading
from mimic.corpus.importing import Side, convert, finish, plan, utts_of_job
from mimic.corpus.lang import lang_lexicon, make_lang
from mimic.corpus.lexicon import TYPES
from mimic.errors import UserError
from mimic.io import atomic
from mimic.io.text import NORMALISERS
from mimic.settings import NotNegative, Share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb(verbs, "lang", lang, "lexicon and phone list for the words of all sources", sides=False)
    verb(verbs, "plan", make_plan, "tables; prints the number of utterances", sides=True)
    verb(verbs, "convert", run_convert, "audio of one job", sides=True)
    verb(verbs, "finish", run_finish, "write and check the directories", sides=True)
    add_read(verbs)
    args = parser.parse_args()
    args.function(args)


def verb(verbs: argparse._SubParsersAction, name: str, function: Callable, text: str, sides: bool) -> None:
    sub = verbs.add_parser(name, help=text, description=text)
    sub.set_defaults(function=function)
    sub.add_argument("--text-normaliser", choices=sorted(NORMALISERS), default="upper", help="default: upper")
    if not sides:
        sub.add_argument("--lexicon", default="", metavar="FILE")
        sub.add_argument("--lexicon-type", choices=TYPES, default="auto", help="what its columns are")
        sub.add_argument("--oov-policy", choices=["fail", "skip", "g2p"], default="fail")
        sub.add_argument("lang", help="directory to write")
        sub.add_argument("source", nargs="+", help="data directories with the words")
        return
    sub.add_argument("--lang", default="", help="directory that `lang` has written")
    add_audio(sub)
    add_jobs(sub)
    add_number(sub, "--max-skip", Share, 0.01, "largest share of utterances that may be left out")
    add_number(sub, "--min-dur", NotNegative, 0.0, "seconds of the shortest utterance")
    add_number(sub, "--max-dur", NotNegative, 0.0, "seconds of the longest utterance; 0: any")
    sub.add_argument("pair", nargs="+", metavar="SOURCE OUT", help="clean, then noisy where there is noisy speech")


def add_read(verbs: argparse._SubParsersAction) -> None:
    text = "a data directory from a corpus of another toolkit"
    sub = verbs.add_parser("read", help=text, description=text)
    sub.set_defaults(function=run_read)
    sub.add_argument("--from", choices=["auto", *READERS], default="auto", dest="kind")
    sub.add_argument("--split", default="", metavar="NAME")
    sub.add_argument("--columns", default="", metavar="'PART=NAME ...'")
    sub.add_argument("--mic", default="", metavar="NAME")
    sub.add_argument("--audio-dir", type=Path, metavar="DIR")
    add_audio(sub)
    add_number(sub, "--max-skip", Share, 0.01, "largest share of utterances that may be left out")
    sub.add_argument(
        "--messages", type=Path, metavar="FILE", help="JSON with what was read and how; else it is printed"
    )
    sub.add_argument("source", type=Path)
    sub.add_argument("out", type=Path)


class Messages(logging.Handler):
    """Keeps what the readers of formats log."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        logging.getLogger("mimic.corpus.formats").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def run_read(args: argparse.Namespace) -> None:
    messages = Messages()
    kind, why = (args.kind, "by --from") if args.kind != "auto" else detect(args.source)
    messages.lines.append(f"{args.source}: read as {kind} ({why})")
    pairs = [word.partition("=") for word in args.columns.split()]
    if wrong := [word for word, _, name in pairs if not name]:
        raise UserError(f"--columns: expected PART=NAME, such as text=sentence, got `{wrong[0]}`")
    columns = {part: name for part, _, name in pairs}
    options = Reading(args.split, columns, args.mic, args.audio_dir, args.channel)
    base = args.source if args.source.is_dir() else args.source.parent
    done = write_directory(
        read(kind, args.source, options), args.out, base, options, args.allow_pipes == "true", args.max_skip
    )
    counts = f"{done.utterances} utterances, {done.recordings} recordings, {done.speakers} speakers"
    messages.lines.append(f"{args.out}: {counts}, {done.hours:.2f} hours")
    if args.messages:
        with atomic.replace(args.messages) as f:
            json.dump({"messages": messages.lines}, f, indent=2)
    else:
        print(*messages.lines, sep="\n")


def lang(args: argparse.Namespace) -> None:
    make_lang(args.lang, args.source, args.lexicon, args.oov_policy, args.text_normaliser, args.lexicon_type)


def sides(args: argparse.Namespace) -> list[Side]:
    pairs = zip(args.pair[::2], args.pair[1::2], strict=True)
    return [Side(Path(source), Path(out), args.allow_pipes == "true", args.channel) for source, out in pairs]


def make_plan(args: argparse.Namespace) -> None:
    print(plan(sides(args), lang_lexicon(args.lang), args.text_normaliser))


def run_convert(args: argparse.Namespace) -> None:
    both = sides(args)
    total = len(utts_of_job(both, args.job, args.nj))
    for _ in progress(convert(both, args.job, args.nj), total, "utterances"):
        pass


def run_finish(args: argparse.Namespace) -> None:
    finish(sides(args), args.nj, args.max_skip, args.min_dur, args.max_dur)


if __name__ == "__main__":
    run(main)
