"""One call of the launcher in Kaldi's calling convention: what to run, where its logs go, what went wrong."""

from __future__ import annotations

import re
import signal
import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

AGAIN = 75  # exit code of a program that has saved its state and wants to be started again (sysexits.h: EX_TEMPFAIL)
SHELL = ("|", "||", "|&", "&", "&&", ";", "<", ">", ">>", "2>", "2>&1", "&>")  # words that a shell would act on
OPTIONS = ("backend", "mem", "num_threads", "gpu", "time", "max_jobs_run", "config", "name", "num_nodes", "retries")


class Stopped(Exception):
    """A signal asked this program to end."""


class Refused(Exception):
    """A scheduler does not take a job; one line for the user."""


@dataclass
class Request:
    """One call: what to run and how. A back end takes a Request and returns the failures."""

    options: dict[str, str]
    job: str | None  # the word that stands for the number, mostly JOB
    first: int
    last: int
    log: str
    words: list[str]

    def command(self, number: int) -> list[str]:
        """The words that a job runs; they are its arguments as they stand, no shell reads them."""
        return [self.fill(word, number) for word in self.words]

    def fill(self, text: str, number: int) -> str:
        return text.replace(self.job, str(number)) if self.job else text

    def log_of(self, number: int) -> Path:
        return Path(self.fill(self.log, number))

    def count(self, name: str, default: int) -> int:
        value = self.options.get(name, str(default))
        if not value.isdigit():
            usage(f"--{name.replace('_', '-')} takes a whole number, got '{value}'")
        return int(value)

    @property
    def name(self) -> str:
        return self.options.get("name", Path(self.log).stem.replace(f".{self.job}", ""))

    @property
    def title(self) -> str:
        """What people are told about: the directory that it works in, and its name."""
        logs = Path(self.log).parent
        folder = logs.parent if logs.name == "log" else logs
        return self.name if str(folder) == "." else f"{folder}: {self.name}"

    @property
    def jobs(self) -> int:
        return self.last - self.first + 1


@dataclass
class Failure:
    """A job that did not end well: its exit code, or in words why it has none."""

    number: int
    code: int | None
    log: str
    why: str = ""


def usage(problem: str, code: int = 255) -> NoReturn:
    print(f"launch.py: {problem}", file=sys.stderr)
    sys.exit(code)


def say(text: str) -> None:
    print(f"launch.py: {text}", file=sys.stderr, flush=True)


def heed_signals() -> None:
    """From here on, a signal that asks this program to end raises Stopped."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup, or a shell's "&"
            signal.signal(number, stop)


def stop(number: int, frame: object) -> NoReturn:
    for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the first is obeyed, further ones would disturb it
        signal.signal(other, signal.SIG_IGN)
    raise Stopped


def keep_log(log: Path, tries: int) -> None:
    """Makes room for the log of another try: x.log becomes x.log.try1."""
    if log.exists():
        log.replace(log.with_name(f"{log.name}.try{tries}"))


def parse(words: list[str]) -> Request:
    options: dict[str, str] = {}
    job, first, last = None, 1, 1
    rest = deque(words)
    while rest and (rest[0].startswith("-") or (job is None and re.fullmatch(r"\w+=\d+(:\d+)?", rest[0]))):
        word = rest.popleft()
        if word.startswith("-"):
            name = "max_jobs_run" if word == "-tc" else word.lstrip("-").replace("-", "_")
            # A cluster has what its conf/ file describes.
            if name not in OPTIONS and (options.get("backend", "local") == "local" or not word.startswith("--")):
                usage(f"unknown option {word}")
            if not rest or rest[0].startswith("--"):
                usage(f"option {word} needs a value")
            options[name] = rest.popleft()
        else:
            job, _, span = word.partition("=")
            first, last = (int(n) for n in (span.split(":") * 2)[:2])
            if not 1 <= first <= last:
                usage(f"{word}: no jobs: numbers go from 1 up; is what they share empty?")
    if len(rest) < 2:
        usage("usage: launch.py [options] [JOB=1:N] LOG PROGRAM [ARGUMENTS]")
    log = rest.popleft()
    if job and last > first and job not in log:
        usage(f"{last - first + 1} jobs would share one log, {log}: put {job} into its name", code=1)
    if live := [word for word in rest if word in SHELL]:
        say(f"note: {live[0]} goes to {rest[0]} as a word; for a shell, all is one word: bash -c 'one {live[0]} two'")
    return Request(options, job, first, last, log, list(rest))
