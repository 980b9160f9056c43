"""The back end for clusters: one array job per call; its tasks are watched until each has ended, and some start again.

A task ends by leaving its exit code in a file, which is cheap to look for. The scheduler is asked now and then, about
tasks that ended without one; `state.transition` decides what follows. Beside the logs (exp/x/log/y.JOB.log) lie, as
with Kaldi's scripts, exp/x/q/y.sh, which every task runs, and exp/x/q/y.out, the scheduler's messages.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from . import conf
from .job import keep_log
from .node import script
from .processes import Caller, Watchdog
from .progress import Progress
from .request import SIGNALS, Failure, Interrupted, Request, message, stop_on_signals
from .scheduler import QUEUED, VANISHED, Report, Scheduler, hint
from .state import AGAIN, Action, State, transition

DISK_DELAY = 10.0  # seconds that a network disk may hide a file which is there
ASK_FIRST, ASK_LATER = 1.0, 15.0  # seconds between questions to the scheduler: at first, in the long run
CANCEL_TIMEOUT = 60.0  # seconds that cancelled tasks get to end


@dataclass
class Task:
    number: int
    job: int = 0  # the array job that it is in
    tries: int = 0  # how often it was started again
    faults: int = 0  # how often because of its node
    code: int | None = None  # its exit code
    report: Report = QUEUED  # the scheduler's latest
    ended: float | None = None  # when the scheduler first reported its end
    settled: bool = False  # that is so long ago that the disk would show an exit code


class Call:
    """One request on a cluster."""

    def __init__(self, request: Request, scheduler: Scheduler) -> None:
        self.request, self.scheduler = request, scheduler
        self.words = conf.submission(request, Path(request.options.get("config", scheduler.conf)), scheduler.own)
        self.retries, self.limit = request.count("retries", 1), request.count("max_jobs_run", 0)
        logs = Path(request.log).parent
        folder = logs.parent / "q" if logs.name == "log" else logs / "q"
        name = Path(request.log).name.removesuffix(".log")
        name = (name.replace(f".{request.job}", "") if request.job else name) or "job"
        self.script, self.out, self.exits = (folder / f"{name}.{suffix}" for suffix in ("sh", "out", "tasks"))
        plain = re.fullmatch(r"[\w./+-]+", str(self.out.absolute()), re.ASCII)
        self.scheduler_out = self.out if plain else Path(os.devnull)  # schedulers expand %, $ and more in a name
        self.tasks: dict[int, Task] = {}  # those that have not ended
        self.jobs: list[int] = []  # array jobs
        self.failures: list[Failure] = []
        self.pending_reason = ""

    def run(self) -> list[Failure]:
        caller = Caller()
        self.prepare()
        try:
            with Watchdog(self.cancel) as self.watchdog:
                stop_on_signals()
                with Progress(self.request.title, self.request.jobs) as self.progress:
                    self.progress.every = max(self.progress.every, 2.0)
                    self.submit([Task(n) for n in range(self.request.first, self.request.last + 1)])
                    self.wait(caller)
                    for job in self.jobs:
                        self.watchdog.release(job)
        finally:
            shutil.rmtree(self.exits, ignore_errors=True)
        return self.failures

    def prepare(self) -> None:
        """Writes the script; cancels array jobs of an earlier call whose machine died."""
        left = {int(path.suffix[1:]) for path in self.exits.glob(f"{self.scheduler.name}.*")}
        if left:
            message(f"cancelling array jobs of an earlier call: {' '.join(map(str, sorted(left)))}")
            self.cancel(left)
        shutil.rmtree(self.exits, ignore_errors=True)
        self.exits.mkdir(parents=True)
        self.out.unlink(missing_ok=True)
        redirect = None if self.scheduler_out == self.out else self.out
        self.script.write_bytes(os.fsencode(script(self.request, self.scheduler, self.exits, redirect)))

    def submit(self, tasks: list[Task]) -> None:
        """Puts tasks into the queue, those with consecutive numbers as one array job."""
        for _, group in groupby(enumerate(tasks), key=lambda pair: pair[1].number - pair[0]):
            members = [task for _, task in group]
            first, last = members[0].number, members[-1].number
            before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            try:  # no signal may come between the submission and the record of its number
                job = self.scheduler.submit(self.words, self.script, self.scheduler_out, first, last, self.limit)
                self.watchdog.adopt(job)
                self.jobs.append(job)
                (self.exits / f"{self.scheduler.name}.{job}").touch()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            for task in members:
                self.tasks[task.number] = Task(task.number, job, task.tries, task.faults)

    def wait(self, caller: Caller) -> None:
        """Until all tasks have ended."""
        begun = asked = time.monotonic()
        pause, interval = 0.1, ASK_FIRST
        while self.tasks:
            self.read_exit_codes()
            if time.monotonic() - asked > interval:
                self.read_reports()
                asked = time.monotonic()
                in_doubt = any(task.ended for task in self.tasks.values())
                interval = ASK_FIRST if in_doubt else min(ASK_LATER, interval * 1.2)
                if asked - begun > 10:
                    self.print_pending_reason()
            self.advance()
            if caller.gone():
                raise Interrupted
            self.progress.show([self.request.log_of(number) for number in self.tasks])
            time.sleep(pause)
            pause = min(2.0, pause * 1.05)

    def read_exit_codes(self) -> None:
        for entry in os.scandir(self.exits):  # files <array job>.<task>
            job, _, number = entry.name.partition(".")
            task = self.tasks.get(int(number)) if job.isdigit() and number.isdigit() else None
            if task and task.job == int(job) and task.code is None:
                text = Path(entry.path).read_text(encoding="ascii")
                task.code = int(text) if text else None  # a network disk may show the file before its contents

    def read_reports(self) -> None:
        """Asks the scheduler for all tasks that have not ended."""
        reports = self.scheduler.reports({task.job for task in self.tasks.values()})
        if reports is None:  # no answer: nothing is known about the tasks
            return
        refresh(self.exits)
        self.read_exit_codes()
        now = time.monotonic()
        for task in self.tasks.values():
            task.report = reports.get((task.job, task.number), VANISHED)
            listed = task.report.state in (State.QUEUED, State.RUNNING)
            task.ended = None if listed else task.ended or now
            task.settled = task.ended is not None and now - task.ended > DISK_DELAY

    def advance(self) -> None:
        """Takes every task from its state to what follows from it."""
        again: list[Task] = []
        for task in list(self.tasks.values()):
            left = task.faults < self.retries
            action = transition(task.report.state, task.code, settled=task.settled, retries_left=left)
            if action is Action.WAIT:
                continue
            del self.tasks[task.number]
            if task.report.remove:
                self.scheduler.remove(task.job, task.number)
            if action is Action.RESTART:
                self.announce_restart(task)
                again.append(task)
            else:
                self.finish(task, action)
        self.submit(sorted(again, key=lambda task: task.number))

    def announce_restart(self, task: Task) -> None:
        task.tries += 1
        task.faults += task.code is None
        why = task.report.why if task.code is None else f"stopped with its state saved (code {AGAIN})"
        log = self.request.log_of(task.number)
        keep_log(log, task.tries)
        message(f"{log}: {why}: starting it again")

    def finish(self, task: Task, action: Action) -> None:
        """Records a task that has ended for good."""
        log = self.request.log_of(task.number)
        if action is Action.FAIL:
            by_itself = task.code not in (None, AGAIN)
            code, why = (task.code, "") if by_itself else (task.report.code, task.report.why)
            deadline = time.monotonic() + DISK_DELAY
            while code is not None and not log.exists() and time.monotonic() < deadline:
                refresh(log.parent)
                time.sleep(0.5)
            if not (log.exists() or self.out.exists()):
                why += f": does its node see {os.getcwd()}? It has to be on a disk that all nodes share"
            shown = log if code is not None and log.exists() else self.out
            self.failures.append(Failure(task.number, code, str(shown), why))
        self.progress.ended(log, ok=action is Action.SUCCEED)

    def print_pending_reason(self) -> None:
        """Prints, once, why no task has started yet."""
        if len(self.tasks) < self.request.jobs or any(t.report.state is State.RUNNING for t in self.tasks.values()):
            return
        reason = self.scheduler.pending_reason(self.jobs[-1])
        if reason and reason != self.pending_reason:
            self.pending_reason = reason
            message(f"{self.request.title}: waiting in the queue: {reason}{hint(reason, self.scheduler.hints)}")

    def cancel(self, jobs: set[int]) -> None:
        """Cancels array jobs and waits until the last of their tasks is gone."""
        self.scheduler.cancel(jobs)
        deadline = time.monotonic() + CANCEL_TIMEOUT
        while time.monotonic() < deadline:
            reports = self.scheduler.reports(jobs)
            alive = (State.QUEUED, State.RUNNING)
            if reports is not None and not any(r.state in alive or r.remove for r in reports.values()):
                return
            time.sleep(0.5)


def refresh(folder: Path) -> None:
    """Makes this machine read a directory on a network disk again: it does so after a change."""
    if folder.is_dir():
        probe = folder / f".refresh.{os.getpid()}"
        probe.touch()
        probe.unlink()
