"""What the back ends for clusters share: one array job per call, what becomes of its tasks, which start again.

Beside the logs (exp/x/log/y.JOB.log) lie, where Kaldi's scripts have them too, exp/x/q/y.sh, which every task runs,
exp/x/q/y.out, what the scheduler says about it, and as long as the call lasts exp/x/q/y.tasks/ with the exit codes.
These files say that a task has ended; the scheduler is asked now and then, for tasks that cannot say so themselves.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import time
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import cluster_conf
from cluster_scheduler import GONE, Scheduler, State, hint
from job_progress import Progress
from job_reaper import Orphanage, Reaper
from job_request import AGAIN, Failure, Request, Stopped, heed_signals, keep_log, say

LIB = Path(__file__).resolve().parent
GRACE = 10.0  # seconds that a network disk may hide a file which is there
LOOKS = 1.0, 15.0  # seconds between questions to the scheduler: at first, in the long run
ENDING = 60.0  # seconds that cancelled tasks get to end


@dataclass
class Task:
    number: int
    job: int = 0  # the array that it is in
    tries: int = 0  # how often it was started again
    faults: int = 0  # how often because of its node
    code: int | None = None
    unseen: float | None = None  # when the scheduler was first heard not to have it any more
    runs: bool = False


def refresh(folder: Path) -> None:
    """Makes this machine read a directory on a network disk anew, which a change does."""
    if folder.is_dir():
        kick = folder / f".kick.{os.getpid()}"
        kick.touch()
        kick.unlink()


class Call:
    """One request on a cluster."""

    def __init__(self, request: Request, scheduler: Scheduler) -> None:
        self.request, self.scheduler = request, scheduler
        conf = Path(request.options.get("config", scheduler.conf))
        self.words = cluster_conf.submission(request, conf, scheduler.own)
        self.retries, self.limit = request.count("retries", 1), request.count("max_jobs_run", 0)
        logs = Path(request.log).parent
        self.folder = logs.parent / "q" if logs.name == "log" else logs / "q"
        name = Path(request.log).name.removesuffix(".log")
        self.name = (name.replace(f".{request.job}", "") if request.job else name) or "job"
        self.out, self.exits = self.folder / f"{self.name}.out", self.folder / f"{self.name}.tasks"
        self.tasks: dict[int, Task] = {}
        self.jobs: list[int] = []
        self.failures: list[Failure] = []
        self.said = ""

    def run(self) -> list[Failure]:
        self.prepare()
        orphaned = Orphanage()
        try:
            with Reaper(self.end) as self.reaper:
                heed_signals()
                with Progress(self.request.title, self.request.jobs) as self.progress:
                    self.progress.every = max(self.progress.every, 2.0)
                    self.submit([Task(n) for n in range(self.request.first, self.request.last + 1)])
                    begun, pause, looked, between = time.monotonic(), 0.1, time.monotonic(), LOOKS[0]
                    while self.tasks:
                        self.read_codes()
                        if time.monotonic() - looked > between:
                            self.look(time.monotonic() - begun)
                            looked = time.monotonic()
                            doubtful = any(task.unseen for task in self.tasks.values())
                            between = LOOKS[0] if doubtful else min(LOOKS[1], between * 1.2)
                        if orphaned():
                            raise Stopped
                        self.progress.show([self.request.log_of(task.number) for task in self.tasks.values()])
                        time.sleep(pause)
                        pause = min(2.0, pause * 1.05)
                    for job in self.jobs:
                        self.reaper.release(job)
        finally:
            shutil.rmtree(self.exits, ignore_errors=True)
        return self.failures

    def prepare(self) -> None:
        """Writes the script; ends what a call has left in the queue whose machine has died."""
        left = {int(path.suffix[1:]) for path in self.exits.glob(f"{self.scheduler.name}.*")}
        if left:
            say(f"ending what an earlier call has left in the queue: {' '.join(map(str, sorted(left)))}")
            self.end(left)
        shutil.rmtree(self.exits, ignore_errors=True)
        self.exits.mkdir(parents=True)
        self.out.unlink(missing_ok=True)
        request = self.request
        given = [name for name in ("num_threads", "gpu") if name in request.options]
        options = [word for name in given for word in (f"--{name}", request.options[name])]
        if request.job:
            options.append(f"{request.job}={request.first}:{request.last}")
        array, task = f"${{{self.scheduler.array}}}", f"${{{self.scheduler.task}}}"
        runner, exits = shlex.quote(str(LIB / "job_task.py")), shlex.quote(str(self.exits.absolute()))
        self.script = self.folder / f"{self.name}.sh"
        plain = re.fullmatch(r"[\w./+-]+", str(self.out.absolute()), re.ASCII)
        redirection = "" if plain else f"exec >> {shlex.quote(str(self.out.absolute()))} 2>&1\n"
        self.given_out = self.out if plain else Path(os.devnull)  # schedulers read %, $, commas and more in its name
        text = (
            "#!/bin/bash\n"
            "# Made by launch.py: one task of the array.\n"
            f"{redirection}cd {shlex.quote(os.getcwd())} || exit 1\n"
            "if [ -f path.sh ]; then . ./path.sh; fi\n"
            f'exec {runner} {exits}/"{array}.{task}" "{task}" \\\n'
            f"  {shlex.join([*options, request.log, *request.words])}\n"
        )
        self.script.write_bytes(os.fsencode(text))

    def submit(self, tasks: list[Task]) -> None:
        """Puts tasks into the queue, neighbours as one array."""
        for _, group in groupby(enumerate(tasks), key=lambda pair: pair[1].number - pair[0]):
            members = [task for _, task in group]
            first, last = members[0].number, members[-1].number
            before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
            try:  # nothing may come between the job and the note of its number
                job = self.scheduler.submit(self.words, self.script, self.given_out, first, last, self.limit)
                self.reaper.adopt(job)
                self.jobs.append(job)
                (self.exits / f"{self.scheduler.name}.{job}").touch()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            for task in members:
                task.job, task.code, task.unseen, task.runs = job, None, None, False
                self.tasks[task.number] = task

    def read_codes(self) -> None:
        """Takes note of the tasks that have left an exit code."""
        for entry in os.scandir(self.exits):
            job, _, number = entry.name.partition(".")
            task = self.tasks.get(int(number)) if job.isdigit() and number.isdigit() else None
            if task and task.job == int(job) and task.code is None:
                text = Path(entry.path).read_text(encoding="ascii")
                if not text:  # a network disk may show the file before what is in it
                    continue
                task.code = int(text)
                if task.code != AGAIN:  # what asks for another start has to be out of the queue first
                    self.over(task, task.code)

    def look(self, elapsed: float) -> None:
        """Asks the scheduler for the tasks that have not ended by themselves."""
        states = self.scheduler.states({task.job for task in self.tasks.values()})
        if states is None:  # no answer says nothing about the tasks
            return
        refresh(self.exits)
        self.read_codes()
        again: list[Task] = []
        for task in list(self.tasks.values()):
            state = states.get((task.job, task.number), GONE)
            task.runs = task.runs or state.runs
            if state.stuck:
                self.scheduler.remove(task.job, task.number)
            elif state.alive:
                task.unseen = None
                continue
            task.unseen = task.unseen or time.monotonic()
            if task.code is None and not state.final and time.monotonic() - task.unseen < GRACE:
                continue
            if self.starts_again(task, state):
                del self.tasks[task.number]
                again.append(task)
            else:
                self.over(task, state.code, state.why)
        self.submit(sorted(again, key=lambda task: task.number))
        if elapsed > 10 and len(self.tasks) == self.request.jobs and not any(t.runs for t in self.tasks.values()):
            self.say_why(self.jobs[-1])

    def starts_again(self, task: Task, state: State) -> bool:
        """Whether a task that has ended gets another try; makes room for it."""
        log = self.request.log_of(task.number)
        if task.code == AGAIN and state.word not in self.scheduler.cancelled:
            what = f"stopped with its state saved (code {AGAIN})"
        elif task.code is None and state.again and task.faults < self.retries:
            task.faults += 1
            what = state.why
        else:
            return False
        task.tries += 1
        keep_log(log, task.tries)
        say(f"{log}: {what}: starting it again")
        return True

    def over(self, task: Task, code: int | None, why: str = "") -> None:
        del self.tasks[task.number]
        log = self.request.log_of(task.number)
        if code != 0:
            deadline = time.monotonic() + GRACE
            while code is not None and not log.exists() and time.monotonic() < deadline:
                refresh(log.parent)
                time.sleep(0.5)
            if not (log.exists() or self.out.exists()):
                why += f": does its node see {os.getcwd()}? It has to be on a disk that all nodes share"
            shown = log if code is not None and log.exists() else self.out
            self.failures.append(Failure(task.number, code, str(shown), why))
        self.progress.ended(log, ok=code == 0)

    def say_why(self, job: int) -> None:
        """Says once for what the tasks wait."""
        reason = self.scheduler.waits_for(job)
        if reason and reason != self.said:
            self.said = reason
            say(f"{self.request.title}: waiting in the queue: {reason}{hint(reason, self.scheduler.hints)}")

    def end(self, jobs: set[int]) -> None:
        """Cancels jobs and waits until the last of their tasks is gone."""
        self.scheduler.cancel(jobs)
        deadline = time.monotonic() + ENDING
        while time.monotonic() < deadline:
            states = self.scheduler.states(jobs)
            if states is not None and not any(state.alive for state in states.values()):
                return
            time.sleep(0.5)
