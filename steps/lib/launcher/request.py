"""One call of the launcher in Kaldi's calling convention: options, JOB=1:N, log, command."""

from __future__ import annotations

import re
import signal
import sys
from collections import deque
from pathlib import Path

TYPE_CHECKING = False  # of typing, which takes as long to load as all else here; type checkers know the name
if TYPE_CHECKING:
    from typing import NoReturn

SHELL = ("|", "||", "|&", "&", "&&", ";", "<", ">", ">>", "2>", "2>&1", "&>")  # words that a shell would act on
OPTIONS = ("backend", "mem", "num_threads", "gpu", "time", "max_jobs_run", "config", "name", "num_nodes", "retries")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # each asks this program to end


class Interrupted(Exception):
    """A signal asked this program to end, or its caller is gone."""


class SubmissionError(Exception):
    """A scheduler does not accept a job; one line for the user."""


class Request:
    """What to run and how. A back end takes a Request and returns the failures."""

    def __init__(self, options: dict[str, str], job: str | None, first: int, last: int, log: str, words: list[str]):
        self.options, self.log, self.words = options, log, words
        self.job = job  # the word that is replaced by the job's number, mostly JOB
        self.first, self.last = first, last

    @property
    def jobs(self) -> int:
        return self.last - self.first + 1

    @property
    def name(self) -> str:
        return self.options.get("name", Path(self.log).stem.replace(f".{self.job}", ""))

    @property
    def title(self) -> str:
        """The name in messages: the directory of the step, and its name."""
        logs = Path(self.log).parent
        folder = logs.parent if logs.name == "log" else logs
        return self.name if str(folder) == "." else f"{folder}: {self.name}"

    def command(self, number: int) -> list[str]:
        """The program and its arguments, unchanged but for the number: no shell reads them."""
        return [self.fill(word, number) for word in self.words]

    def fill(self, text: str, number: int) -> str:
        return text.replace(self.job, str(number)) if self.job else text

    def log_of(self, number: int) -> Path:
        return Path(self.fill(self.log, number))

    def count(self, name: str, default: int) -> int:
        """The value of an option that is a whole number."""
        value = self.options.get(name, str(default))
        if not value.isdigit():
            usage(f"--{name.replace('_', '-')} takes a whole number, got '{value}'")
        return int(value)


class Failure:
    """A job that failed: its exit code, or the reason why it has none."""

    def __init__(self, number: int, code: int | None, log: str, why: str = ""):
        self.number, self.code, self.log, self.why = number, code, log, why


def message(text: str) -> None:
    print(f"launch.py: {text}", file=sys.stderr, flush=True)


def usage(problem: str, code: int = 255) -> NoReturn:
    message(problem)
    sys.exit(code)


def stop_on_signals() -> None:
    """From here on, a signal that asks this program to end raises Interrupted."""

    def stop(_number: int, _frame: object) -> NoReturn:
        for number in SIGNALS:  # further signals would disturb the clean-up
            signal.signal(number, signal.SIG_IGN)
        raise Interrupted

    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup, or a shell's "&"
            signal.signal(number, stop)


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
                usage(f"{word}: no jobs: numbers go from 1 up; is the input empty?")
    if len(rest) < 2:
        usage("usage: launch.py [options] [JOB=1:N] LOG PROGRAM [ARGUMENTS]")
    log = rest.popleft()
    if job and last > first and job not in log:
        usage(f"{last - first + 1} jobs would share one log, {log}: put {job} into its name", code=1)
    if live := [word for word in rest if word in SHELL]:
        message(f"note: {live[0]} is an argument of {rest[0]}; a pipe is one word: bash -c 'one {live[0]} two'")
    return Request(options, job, first, last, log, list(rest))
