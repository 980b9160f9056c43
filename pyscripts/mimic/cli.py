"""What every program in pyscripts/ does the same way: logging, one-line errors, progress lines."""

import argparse
import atexit
import errno
import itertools
import logging
import os
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from mimic import renamed
from mimic.allocator import keep_freed_memory
from mimic.errors import UserError
from mimic.progress import progress
from mimic.settings import Share, convert

__all__ = [
    "add_audio",
    "add_device",
    "add_jobs",
    "add_number",
    "add_ratio",
    "explain",
    "leave",
    "model_first",
    "progress",
    "run",
    "whole",
]
log = logging.getLogger(__name__)


def run(main: Callable[[], int | None]) -> None:
    """Run `main` and exit with what it returns (None: 0); a user's mistake is one line and 1, an interrupt 130."""
    prog = Path(sys.argv[0]).name
    keep_freed_memory()
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format=f"%(asctime)s.%(msecs)03d {prog}: %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S",
    )
    try:
        code = main() or 0
        sys.stdout.flush()
    except KeyboardInterrupt:
        log.error("interrupted")
        code = 130
    except UserError as error:
        log.error("error: %s", error)
        code = 1
    except BrokenPipeError:
        # The reader (head, less) has gone. Nobody wants the rest, and Python must not complain at its own exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except RuntimeError as error:
        from concurrent.futures import BrokenExecutor  # here: slow to load, and most programs start no processes

        if not isinstance(error, BrokenExecutor):
            raise
        log.error("error: a process beside this one was killed, maybe for lack of memory: run again to resume")
        code = 1
    except OSError as error:
        log.error("error: %s", explain(error))
        code = 1
    leave(code)


def whole(option: str, least: int) -> Callable[[str], int]:
    """Type of an argument that is a whole number from `least` on; anything else is a line with the option's name."""

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise UserError(f"{option} takes a whole number of at least {least}, got {text!r}")
        return value

    return convert


def leave(code: int) -> NoReturn:
    """Exit without taking to pieces what is loaded: with torch that takes as long as a fifth of a small job's work.

    What Python does before that is done, in its order, as multiprocessing does it in the processes that it forks.
    """
    # Before the exit functions, one of which waits for processes that a pool's thread has to end.
    threading._shutdown()  # type: ignore[attr-defined]  # the stubs lack it
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def explain(error: OSError) -> str:
    """One line for an error of the operating system: which path, and what to do about a full disk."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = os.path.dirname(os.path.abspath(error.filename)) if error.filename else os.getcwd()
        return f"disk full: free space in {where} and run again"
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


def add_number(parser: argparse.ArgumentParser, name: str, kind: Any, default: float, text: str, was: str = "") -> None:
    """An option with a range: `kind` is a type of settings.py. What is out of it is one line, as in a configuration.

    `was`: its former name, which works for one release, with a note.
    """
    help = f"{text} (default: %(default)s)"
    parser.add_argument(name, type=lambda value: convert(kind, value, name), default=default, help=help)
    if was:
        dest, hidden = name.lstrip("-").replace("-", "_"), argparse.SUPPRESS
        parser.add_argument(
            was, action=Former, dest=dest, type=lambda value: convert(kind, value, was), default=hidden, help=hidden
        )


class Former(argparse.Action):
    """An option under the name that it had; it is noted."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        renamed.note(option_string or "", f"--{self.dest.replace('_', '-')}")
        setattr(namespace, self.dest, values)


def add_jobs(parser: argparse.ArgumentParser) -> None:
    """--job and --nj: which part of the utterances this process works on."""
    parser.add_argument("--job", type=whole("--job", 1), default=1, metavar="N", help="this job, from 1")
    parser.add_argument("--nj", type=whole("--nj", 1), default=1, metavar="N", help="number of jobs (default: 1)")


def add_audio(parser: argparse.ArgumentParser, pipes: bool = True) -> None:
    """--channel and, with `pipes`, --allow-pipes: how audio is read."""
    text = "channel of audio that has several, from 0"
    parser.add_argument("--channel", type=whole("--channel", 0), metavar="N", help=text)
    if pipes:
        text = "run commands in wav.scp (default: false)"
        parser.add_argument("--allow-pipes", choices=("true", "false"), default="false", help=text)


def add_ratio(parser: argparse.ArgumentParser) -> None:
    """--enhancement-ratio: None where it is not given, a share, or auto."""
    text = "share of the enhanced signal in the output, 0 to 1; auto: by the SNR (default: the model's own)"
    parser.add_argument("--enhancement-ratio", "--enhance-ratio", type=_ratio, metavar="W", help=text)
    parser.add_argument("--dry-wet", action=Former, dest="enhancement_ratio", type=_ratio, help=argparse.SUPPRESS)


def _ratio(text: str) -> float | str:
    try:
        return text if text == "auto" else convert(Share, text, "--enhancement-ratio")
    except UserError as error:
        raise UserError(f"{error}; or auto") from None


def model_first(words: list[str], others: list[str], count: int) -> tuple[Path | None, list[str], list[str]]:
    """What argparse found of `[<model-dir>] PATH...`, with `count` paths: the model or None, paths, and settings.

    words: of a positional argument "*", which gets those before the first option; others: what was not known, which
    begins with the rest of them. Raises UserError for another number of words, and for a model in place of a path.
    """
    rest = list(itertools.takewhile(lambda word: not word.startswith("--"), others))
    words, settings = words + rest, others[len(rest) :]
    if len(words) == count + 1:
        return Path(words[0]), words[1:], settings
    if len(words) != count or (Path(words[0]) / "config.yaml").exists():
        raise UserError(f"expected [<model-dir>] and {count} paths, got {' '.join(words) or 'none'}; see --help")
    return None, words, settings


def add_device(parser: argparse.ArgumentParser) -> None:
    """--device: cpu, or cuda (cuda:1 is the second one) or mps (Apple's GPUs), where there is one."""
    parser.add_argument("--device", type=device, default="cpu", help="cpu, cuda or mps (default: %(default)s)")


def device(name: str) -> str:
    """Type of an argument that names a device of torch, which is there."""
    if not re.fullmatch(r"cpu|mps|cuda(:[0-9]+)?", name):
        raise UserError(f"--device {name}: expected cpu, cuda or mps")
    if name != "cpu":
        import torch  # here, because it takes seconds to load

        if name == "mps":
            if not torch.backends.mps.is_available():
                raise UserError(
                    "--device mps: there is no GPU of Apple's here that torch can use: --device cpu works everywhere"
                )
        elif int(name.partition(":")[2] or 0) >= torch.cuda.device_count():
            found = torch.cuda.device_count()
            raise UserError(f"--device {name}: {found} GPUs are here that torch can use: --device cpu works everywhere")
    return name
