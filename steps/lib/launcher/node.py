"""What a node of a cluster runs: the script of an array job, and in it `launch.py --task EXIT-FILE NUMBER [words]`.

The task leaves its exit code in EXIT-FILE. A scheduler announces that it will end a task: SIGUSR1 (Slurm some time
before the time limit or at preemption, SGE before it suspends), SIGUSR2 (SGE before it kills), SIGTERM. Processes of
the task that catch SIGUSR1 get that one; if there are none, those that catch SIGTERM get that; a program that catches
neither runs until it is killed. A program that the scheduler has ended leaves no exit file: the scheduler's report
decides then.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import time
from pathlib import Path

from .gpus import Gpus
from .job import Job, finish, start
from .processes import catches, end_groups, processes
from .request import Request, parse
from .scheduler import Scheduler

LAUNCHER = Path(__file__).resolve().parents[1] / "launch.py"
ANNOUNCED = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM)


def script(request: Request, scheduler: Scheduler, exits: Path, out: Path | None) -> str:
    """The text of the script. `out`: where its output goes, None when the scheduler directs it."""
    options = [word for name in ("num_threads", "gpu") if name in request.options
               for word in (f"--{name}", request.options[name])]  # fmt: skip
    if request.job:
        options.append(f"{request.job}={request.first}:{request.last}")
    redirect = f"exec >> {shlex.quote(str(out.absolute()))} 2>&1\n" if out else ""
    array, task = f"${{{scheduler.array}}}", f"${{{scheduler.task}}}"
    return (
        "#!/bin/bash\n"
        "# Made by launch.py: one task of the array.\n"
        f"{redirect}cd {shlex.quote(os.getcwd())} || exit 1\n"
        "if [ -f path.sh ]; then . ./path.sh; fi\n"
        f'exec {shlex.quote(str(LAUNCHER))} --task {shlex.quote(str(exits.absolute()))}/"{array}.{task}" "{task}" \\\n'
        f"  {shlex.join([*options, request.log, *request.words])}\n"
    )


def run_task(exit_file: str, number: str, *words: str) -> int:
    received: list[int] = []
    for announced in ANNOUNCED:
        signal.signal(announced, lambda which, frame: received.append(which))
    request = parse(list(words))
    gpus = Gpus(request.count("gpu", 0))
    while (devices := gpus.acquire()) is None:
        time.sleep(1.0)
    job = start(request, int(number), devices, None, f" Running on {socket.gethostname()}")
    passed_on, pause = 0, 0.02
    while not job.ended():
        if len(received) > passed_on:
            passed_on = len(received)
            if not announce(job) and signal.SIGUSR2 in received:
                end_groups({job.process.pid})
        time.sleep(pause)
        pause = min(0.5, pause * 1.1)
    end_groups({job.process.pid})  # processes that the program has left
    code = finish(job, request)
    if received and code in (128 + signal.SIGTERM, 128 + signal.SIGKILL):
        return 1
    write(Path(exit_file), code)
    return 1 if code else 0  # SGE gives other codes meanings of its own


def announce(job: Job) -> bool:
    """Passes the announcement on; whether a process of the job catches it."""
    family = descendants(job.process.pid)
    for number in (signal.SIGUSR1, signal.SIGTERM):
        catching = [pid for pid in family if catches(pid, number)]
        for pid in catching:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        if catching:
            return True
    return False


def descendants(root: int) -> set[int]:
    """A process and all that it has started, directly or not."""
    parents = {pid: parent for pid, parent, _ in processes()}
    found, new = set(), {root}
    while new:
        found |= new
        new = {pid for pid, parent in parents.items() if parent in new} - found
    return found


def write(path: Path, code: int) -> None:
    temporary = path.with_name(f"{path.name}.tmp")
    with open(temporary, "w", encoding="ascii") as file:
        file.write(f"{code}\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
