#!/usr/bin/env python3
"""What a node of a cluster runs: one task of a call of launch.py, whose exit code it leaves in a file.

    job_task.py EXIT-FILE NUMBER [words of launch.py]

A scheduler announces that it will end a task: SIGUSR1 (Slurm some time before the time limit or at preemption, SGE
before it suspends), SIGUSR2 (SGE before it kills), SIGTERM. Processes of the task that catch SIGUSR1 get that one, if
there are none, those that catch SIGTERM get that; a program that knows neither goes on until it is killed. A program
that the scheduler has ended leaves no exit file: then the scheduler has to say what became of it.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from pathlib import Path

from job_gpus import Gpus
from job_reaper import catches, end_groups, processes
from job_request import parse
from job_run import Job, finish, start

ANNOUNCED = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM)


def descendants(root: int) -> set[int]:
    """A process and all that it has started, directly or not."""
    parents = {pid: parent for pid, parent, _ in processes()}
    found, more = set(), {root}
    while more:
        found |= more
        more = {pid for pid, parent in parents.items() if parent in more} - found
    return found


def announce(job: Job) -> bool:
    """Passes the announcement on; whether a process of the job heeds it."""
    family = descendants(job.process.pid)
    for number in (signal.SIGUSR1, signal.SIGTERM):
        heeding = [pid for pid in family if catches(pid, number)]
        for pid in heeding:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        if heeding:
            return True
    return False


def write(path: Path, code: int) -> None:
    temporary = path.with_name(f"{path.name}.tmp")
    with open(temporary, "w", encoding="ascii") as file:
        file.write(f"{code}\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


def main(exit_file: str, number: str, *words: str) -> int:
    heard: list[int] = []
    for announced in ANNOUNCED:
        signal.signal(announced, lambda which, frame: heard.append(which))
    request = parse(list(words))
    gpus = Gpus(request.count("gpu", 0))
    while (devices := gpus.take()) is None:
        time.sleep(1.0)
    job = start(request, int(number), devices, None, f" Running on {socket.gethostname()}")
    answered, pause = 0, 0.02
    while not job.ended():
        if len(heard) > answered:
            answered = len(heard)
            if not announce(job) and signal.SIGUSR2 in heard:
                end_groups({job.process.pid})
        time.sleep(pause)
        pause = min(0.5, pause * 1.1)
    end_groups({job.process.pid})  # what the program has left behind
    code = finish(job, request)
    if heard and code in (128 + signal.SIGTERM, 128 + signal.SIGKILL):
        return 1
    write(Path(exit_file), code)
    return 1 if code else 0  # SGE has meanings of its own for other codes


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
