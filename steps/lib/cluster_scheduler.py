"""What a back end for a cluster knows about its scheduler, and how the scheduler's programs are called."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from job_request import Refused, say, usage


@dataclass(frozen=True)
class State:
    """What a scheduler says of a task. How it ended counts only for a task that has left no exit code."""

    word: str
    alive: bool = False
    runs: bool = False
    stuck: bool = False  # in the queue for ever
    again: bool = False  # a fault of its node, not its own
    why: str = ""
    code: int | None = None
    final: bool = True  # no exit code will come any more


GONE = State("gone", again=True, why="it is gone from the queue without an exit code", final=False)


class Scheduler(Protocol):
    """What a back end has to know about its scheduler."""

    name: str
    conf: str  # the file that describes the cluster
    own: tuple[str, ...]  # options that do not go through that file
    cancelled: tuple[str, ...]  # its words for a task that a person has ended
    array: str  # the variable with the number of the array job, in a task
    task: str  # and the one with the task's number
    hints: dict[str, str]  # pattern of what the scheduler says -> what to do

    def submit(self, words: list[str], script: Path, out: Path, first: int, last: int, limit: int) -> int: ...
    def states(self, jobs: Iterable[int]) -> dict[tuple[int, int], State] | None: ...
    def waits_for(self, job: int) -> str: ...
    def cancel(self, jobs: Iterable[int]) -> None: ...
    def remove(self, job: int, number: int) -> None: ...


def hint(text: str, hints: dict[str, str]) -> str:
    """What to do about something that a scheduler says, empty where that is unknown."""
    return next((f": {what}" for pattern, what in hints.items() if re.search(pattern, text, re.IGNORECASE)), "")


def ask(*words: object) -> subprocess.CompletedProcess:
    """One call of a scheduler's program; a Ctrl-C in the terminal is not meant for it."""
    try:
        return subprocess.run(list(map(str, words)), capture_output=True, text=True, start_new_session=True)
    except FileNotFoundError:
        usage(f"no {words[0]} here: run this where jobs are submitted, or with --cmd-backend local")


def submitted(scheduler: Scheduler, words: list[str | Path], busy: str) -> str:
    """What a program says that takes a job; tried again for a minute while the scheduler cannot be reached."""
    for pause in (2, 4, 8, 16, 32, 0):
        done = ask(*words)
        said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
        if done.returncode == 0:
            return done.stdout
        if not pause or not re.search(busy, done.stderr):
            break
        say(f"{words[0]}: {said[-1]}: trying again")
        time.sleep(pause)
    what = " ".join(dict.fromkeys(line.strip() for line in said[:3]))
    raise Refused(f"{words[0]} refused the job: {what}{hint(what, scheduler.hints)}")
