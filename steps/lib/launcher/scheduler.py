"""What a cluster back end has to know about its scheduler, and calls of the scheduler's programs."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .request import SubmissionError, message, usage
from .state import State


@dataclass(frozen=True)
class Report:
    """What a scheduler reports of a task."""

    state: State
    why: str = ""  # why it ended, or will not start
    code: int | None = None  # exit code of a task that could not leave one
    remove: bool = False  # it is still in the queue, where it would stay for ever


QUEUED = Report(State.QUEUED)
VANISHED = Report(State.VANISHED, "it is gone from the queue without an exit code")


class Scheduler(Protocol):
    name: str
    conf: str  # the file that describes the cluster
    own: tuple[str, ...]  # options that do not go through that file
    array: str  # environment variable of a task: the number of its array job
    task: str  # and its own number in the array
    hints: dict[str, str]  # pattern of a scheduler's message -> advice

    def submit(self, words: list[str], script: Path, out: Path, first: int, last: int, limit: int) -> int:
        """Submits an array job of tasks `first` to `last`, at most `limit` of them at a time; its number."""

    def reports(self, jobs: Iterable[int]) -> dict[tuple[int, int], Report] | None:
        """(array job, task) -> report, of all tasks that are listed; None when the scheduler does not answer."""

    def pending_reason(self, job: int) -> str: ...
    def cancel(self, jobs: Iterable[int]) -> None: ...
    def remove(self, job: int, number: int) -> None: ...


def hint(text: str, hints: dict[str, str]) -> str:
    """Advice on a scheduler's message, empty where there is none."""
    return next((f": {what}" for pattern, what in hints.items() if re.search(pattern, text, re.IGNORECASE)), "")


def ask(*words: object) -> subprocess.CompletedProcess:
    """One call of a scheduler's program, in a session of its own: a Ctrl-C in the terminal does not reach it."""
    try:
        return subprocess.run(list(map(str, words)), capture_output=True, text=True, start_new_session=True)
    except FileNotFoundError:
        usage(f"no {words[0]} here: run this where jobs are submitted, or with --cmd-backend local")


def submitted(scheduler: Scheduler, words: list[str | Path], busy: str) -> str:
    """The output of a program that submits a job.

    Tried again for a minute while the scheduler cannot be reached, which its message `busy` shows. Raises
    SubmissionError.
    """
    for pause in (2, 4, 8, 16, 32, 0):
        done = ask(*words)
        output = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
        if done.returncode == 0:
            return done.stdout
        if not pause or not re.search(busy, done.stderr):
            break
        message(f"{words[0]}: {output[-1]}: trying again")
        time.sleep(pause)
    what = " ".join(dict.fromkeys(line.strip() for line in output[:3]))
    raise SubmissionError(f"{words[0]} refused the job: {what}{hint(what, scheduler.hints)}")
