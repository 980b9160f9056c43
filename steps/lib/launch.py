#!/usr/bin/env python3
"""Runs a command, or N of them, with their output in log files: Kaldi's run.pl for this machine.

    launch.py [options] [JOB=1:N] LOG PROGRAM [ARGUMENTS]

Every JOB in LOG and in the command becomes the job's number. Words without spaces go to bash as they are (so \\|
and '>' work), others in quotes. Options, each with a value: --num-threads (default 1; sets OMP_NUM_THREADS),
--gpu (GPUs of each job), --max-jobs-run (default: as many as this machine holds), --retries, --name;
--mem --time --config --num-nodes are for clusters and change nothing here. The log's "Accounting" line holds seconds,
threads and the most memory (MiB) that one process of the job held.

Exit codes: 0 all jobs ended well; 1 a job failed; 2 stopped by a signal, no job is left; 255 wrong usage.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from job_progress import Progress
from job_reaper import Reaper, alive

OPTIONS = ("mem", "num_threads", "gpu", "time", "max_jobs_run", "config", "name", "num_nodes", "retries")


@dataclass
class Request:
    """One call: what to run and how. A back end takes a Request and returns the failures."""

    options: dict[str, str]
    job: str | None  # the word that stands for the number, mostly JOB
    first: int
    last: int
    log: str
    command: str

    def fill(self, text: str, number: int) -> str:
        return text.replace(self.job, str(number)) if self.job else text

    def count(self, name: str, default: int) -> int:
        value = self.options.get(name, str(default))
        if not value.isdigit():
            usage(f"--{name.replace('_', '-')} takes a whole number, got '{value}'")
        return int(value)


@dataclass
class Failure:
    number: int
    code: int
    log: str


@dataclass
class Job:
    number: int
    log: Path
    slot: list[str]  # the GPUs it holds
    process: subprocess.Popen
    attempt: int
    started: float = field(default_factory=time.time)
    memory: int = 0  # MiB, the most that one of its processes held; known when it has ended

    def ended(self) -> bool:
        pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
        if pid:
            self.process.returncode = os.waitstatus_to_exitcode(status)
            self.memory = round(usage.ru_maxrss / 1024)
        return pid != 0


class Stopped(Exception):
    """A signal asked this program to end."""


def usage(problem: str, code: int = 255) -> NoReturn:
    print(f"launch.py: {problem}", file=sys.stderr)
    sys.exit(code)


def quoted(word: str) -> str:
    """As run.pl does it: a word without spaces stays live for bash, others lose at most $ and backquotes."""
    if re.fullmatch(r"\S+", word):
        return word
    return f"'{word}'" if '"' in word else f'"{word}"'


def parse(words: list[str]) -> Request:
    options: dict[str, str] = {}
    job, first, last = None, 1, 1
    rest = deque(words)
    while rest and (rest[0].startswith("-") or (job is None and re.fullmatch(r"\w+=\d+(:\d+)?", rest[0]))):
        word = rest.popleft()
        if word.startswith("-"):
            name = "max_jobs_run" if word == "-tc" else word.lstrip("-").replace("-", "_")
            if name not in OPTIONS:
                usage(f"unknown option {word}")
            if not rest or rest[0].startswith("--"):
                usage(f"option {word} needs a value")
            options[name] = rest.popleft()
        else:
            job, _, span = word.partition("=")
            first, last = (int(n) for n in (span.split(":") * 2)[:2])
            if not 1 <= first <= last:
                usage(f"invalid job range {word}")
    if len(rest) < 2:
        usage("usage: launch.py [options] [JOB=1:N] LOG PROGRAM [ARGUMENTS]")
    log = rest.popleft()
    if job and last > first and job not in log:
        usage(f"{last - first + 1} jobs would share one log, {log}: put {job} into its name", code=1)
    return Request(options, job, first, last, log, " ".join(quoted(word) for word in rest))


def gpus() -> list[str]:
    """The GPUs this process may use, as CUDA_VISIBLE_DEVICES names them."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True).stdout
    except OSError:
        return []
    return [str(n) for n in range(len(re.findall(r"^GPU \d", listed, re.MULTILINE)))]


def slots(request: Request) -> deque[list[str]]:
    """One entry per job that may run at a time: the GPUs it gets, none on a CPU."""
    per_job = request.count("gpu", 0)
    if per_job:
        found = gpus()
        if len(found) < per_job:
            usage(f"--gpu {per_job}, but this machine has {len(found)} GPUs to use: lower --ngpu (0 is the CPU)")
        places = [found[n : n + per_job] for n in range(0, len(found) - per_job + 1, per_job)]
    else:
        cores = len(os.sched_getaffinity(0))
        places = [[]] * max(1, cores // max(1, request.count("num_threads", 1)))
    limit = request.count("max_jobs_run", 0)
    if limit:
        places = places[:limit] if per_job else [[]] * limit
    return deque(places)


def start(request: Request, number: int, slot: list[str], attempt: int, reaper: Reaper) -> Job:
    log, command = Path(request.fill(request.log, number)), request.fill(request.command, number)
    log.parent.mkdir(parents=True, exist_ok=True)
    env = dict(os.environ, OMP_NUM_THREADS=request.options.get("num_threads", "1"))
    if slot:
        env |= {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": ",".join(slot)}
    with open(log, "wb") as file:
        file.write(f"# {command}\n# Started at {time.strftime('%a %b %e %H:%M:%S %Z %Y')}\n#\n".encode())
    with open(log, "ab") as file:
        process = subprocess.Popen(
            ["bash", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=env,
            start_new_session=True,  # its own process group: the job and all it starts can be ended together
            preexec_fn=reaper.adopt_me,
        )
    return Job(number, log, slot, process, attempt)


def finish(job: Job, threads: str) -> int:
    """Writes the log's last lines. A signal's number counts 128 more, as in a shell: 137 is kill -9."""
    code = job.process.returncode
    code = 128 - code if code < 0 else code
    seconds = round(time.time() - job.started)
    now = time.strftime("%a %b %e %H:%M:%S %Z %Y")
    with open(job.log, "ab") as file:
        file.write(f"# Accounting: time={seconds} threads={threads} memory={job.memory}M\n".encode())
        file.write(f"# Ended (code {code}) at {now}, elapsed time {seconds} seconds\n".encode())
    return code


def run_local(request: Request) -> list[Failure]:
    """Runs all jobs on this machine; failures in the order in which they happened."""
    free, retries = slots(request), request.count("retries", 0)
    waiting = deque((number, 0) for number in range(request.first, request.last + 1))
    running: list[Job] = []
    failures: list[Failure] = []
    parent = os.getppid()
    run_sh = int(os.environ.get("MIMIC_RUN_PID", parent))
    with Reaper() as reaper:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup, or a shell's "&"
                signal.signal(number, stop)
        name = request.options.get("name", Path(request.log).stem.replace(f".{request.job}", ""))
        with Progress(name, request.last - request.first + 1) as progress:
            while waiting or running:
                while waiting and free:
                    number, attempt = waiting.popleft()
                    running.append(start(request, number, free.popleft(), attempt, reaper))
                for job in [job for job in running if job.ended()]:
                    running.remove(job)
                    free.append(job.slot)
                    reaper.release(job.process.pid)
                    code = finish(job, request.options.get("num_threads", "1"))
                    if code and job.attempt < retries:
                        os.replace(job.log, f"{job.log}.try{job.attempt + 1}")
                        waiting.append((job.number, job.attempt + 1))
                        continue
                    if code:
                        failures.append(Failure(job.number, code, str(job.log)))
                    progress.ended(job.log, ok=not code)
                if os.getppid() != parent or not alive(run_sh):  # nobody waits for these jobs any more
                    raise Stopped
                progress.show([job.log for job in running])
                time.sleep(0.05)
    return failures


def stop(number: int, frame: object) -> NoReturn:
    raise Stopped


def report(request: Request, failures: list[Failure]) -> None:
    """Says what failed and shows the end of the log of the job that failed first."""
    first, jobs = failures[0], request.last - request.first + 1
    logs = first.log if jobs == 1 else request.log.replace(request.job or "", "*")
    count = "job failed" if jobs == 1 else f"{len(failures)} / {jobs} failed"
    print(f"launch.py: {count}, log is in {logs}", file=sys.stderr)
    with open(first.log, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 65536))
        lines = file.read().decode(errors="replace").splitlines()
    lines = [line for line in lines if not line.startswith(("# Accounting: ", "# Ended "))]
    print(f"launch.py: the last lines of {first.log} (code {first.code}):", file=sys.stderr)
    for line in lines[-20:]:
        print(f"  {line}", file=sys.stderr)
    if first.code == 137:
        print("launch.py: code 137: killed, as a machine out of memory does: lower --nj", file=sys.stderr)


def main() -> int:
    request = parse(sys.argv[1:])
    try:
        failures = run_local(request)
    except Stopped:
        print(f"launch.py: stopped, logs are in {request.log}", file=sys.stderr)
        return 2
    except OSError as error:
        full = error.errno == errno.ENOSPC
        print(f"launch.py: {'disk full: free space and run again: ' if full else ''}{error}", file=sys.stderr)
        return 1
    if failures:
        report(request, failures)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
