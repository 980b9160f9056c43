"""The back end for this machine: as many jobs at once as it has cores or GPUs."""

from __future__ import annotations

import os
import time
from collections import Counter, deque

from .gpus import Gpus
from .job import Job, finish, keep_log, start
from .processes import Caller, Watchdog, end_groups
from .progress import Progress
from .request import Failure, Interrupted, Request, message, stop_on_signals
from .state import AGAIN, Action, State, transition


def max_jobs(request: Request, gpus: Gpus) -> int:
    """How many jobs may run at a time."""
    limit, threads = request.count("max_jobs_run", 0), max(1, request.count("num_threads", 1))
    if gpus.per_job:
        return limit or len(gpus.names) // gpus.per_job
    return limit or max(1, len(os.sched_getaffinity(0)) // threads)


def run(request: Request) -> list[Failure]:
    """Runs all jobs on this machine; failures in the order in which they happened."""
    gpus = Gpus(request.count("gpu", 0))
    limit = max_jobs(request, gpus)
    waiting = deque(range(request.first, request.last + 1))
    tries: Counter[int] = Counter()
    running: list[Job] = []
    failures: list[Failure] = []
    caller = Caller()
    with Watchdog(end_groups) as watchdog:
        stop_on_signals()
        with Progress(request.title, request.jobs) as progress:
            while waiting or running:
                while waiting and len(running) < limit and (devices := gpus.acquire()) is not None:
                    running.append(start(request, waiting.popleft(), devices, watchdog.adopt_me))
                for job in [job for job in running if job.ended()]:
                    running.remove(job)
                    gpus.release(job.gpus)
                    watchdog.release(job.process.pid)
                    code = finish(job, request)
                    action = transition(State.ENDED, code, settled=True, retries_left=False)
                    if action is Action.RESTART:
                        tries[job.number] += 1
                        keep_log(job.log, tries[job.number])
                        message(f"{job.log}: stopped with its state saved (code {AGAIN}): starting it again")
                        waiting.append(job.number)
                        continue
                    if action is Action.FAIL:
                        failures.append(Failure(job.number, code, str(job.log)))
                    progress.ended(job.log, ok=action is Action.SUCCEED)
                if caller.gone():
                    raise Interrupted
                progress.show([job.log for job in running])
                time.sleep(0.05)
    return failures
