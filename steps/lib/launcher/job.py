"""One job on this machine: its process group, the first and the last lines of its log, and its record.

The record of x.log is x.log.jsonl, for the report, the plan and the progress bar: an event a line, "start" (the
command), "end" (exit code, seconds, MiB) and between them what the program adds, which finds its name in MIMIC_JOB.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from .request import Request


class Job:
    """A job that runs on this machine, and the GPUs that it holds."""

    def __init__(self, number: int, log: Path, gpus: list[str], process: subprocess.Popen) -> None:
        self.number, self.log, self.gpus, self.process = number, log, gpus, process
        self.started = time.time()
        self.memory = 0  # MiB, the most that one of its processes held; known when it has ended

    def ended(self) -> bool:
        pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
        if pid:
            self.process.returncode = os.waitstatus_to_exitcode(status)
            self.memory = round(usage.ru_maxrss / 1024)
        return pid != 0


def start(request: Request, number: int, gpus: list[str], before: Callable[[], None] | None, where: str = "") -> Job:
    """Starts one job in a process group of its own. `before` runs in that process before its program does."""
    log, words = request.log_of(number), request.command(number)
    log.parent.mkdir(parents=True, exist_ok=True)
    env = dict(
        os.environ, OMP_NUM_THREADS=request.options.get("num_threads", "1"), MIMIC_JOB=str(record_of(log).absolute())
    )
    if gpus:
        env |= {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": ",".join(gpus)}
    record_of(log).unlink(missing_ok=True)
    add_event(log, "start", command=words)
    with open(log, "wb") as file:
        file.write(os.fsencode(f"# {shlex.join(words)}\n# Started at {date()}\n#{where}\n"))
    with open(log, "ab") as file:
        process = subprocess.Popen(
            ["bash", "-c", 'exec -- "$@"', "launch.py", *words],  # a command that cannot start has a shell's exit code
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=env,
            start_new_session=True,  # the job and all it starts can be signalled together
            preexec_fn=before,
        )
    return Job(number, log, gpus, process)


def finish(job: Job, request: Request) -> int:
    """Writes the log's last lines. A signal's number counts 128 more, as in a shell: 137 is kill -9."""
    code = job.process.returncode
    code = 128 - code if code < 0 else code
    seconds, threads = round(time.time() - job.started), request.options.get("num_threads", "1")
    with open(job.log, "ab") as file:
        file.write(f"# Accounting: time={seconds} threads={threads} memory={job.memory}M\n".encode())
        file.write(f"# Ended (code {code}) at {date()}, elapsed time {seconds} seconds\n".encode())
    add_event(job.log, "end", code=code, seconds=seconds, threads=int(threads), memory=job.memory)
    return code


def record_of(log: Path) -> Path:
    return log.with_name(f"{log.name}.jsonl")


def add_event(log: Path, name: str, **values: object) -> None:
    with open(record_of(log), "a", encoding="utf-8", errors="surrogateescape") as file:
        file.write(json.dumps({"event": name, "time": round(time.time(), 3)} | values) + "\n")


def keep_log(log: Path, tries: int) -> None:
    """Keeps the log of an earlier try: x.log becomes x.log.try1."""
    if log.exists():
        log.replace(log.with_name(f"{log.name}.try{tries}"))


def date() -> str:
    return time.strftime("%a %b %e %H:%M:%S %Z %Y")
