"""The back end of launch.py for this machine: as many jobs at once as it has cores or GPUs."""

from __future__ import annotations

import os
import time
from collections import deque

from job_gpus import Gpus
from job_progress import Progress
from job_reaper import Orphanage, Reaper, end_groups
from job_request import AGAIN, Failure, Request, Stopped, heed_signals, keep_log, say
from job_run import Job, finish, start


def at_once(request: Request, gpus: Gpus) -> int:
    """How many jobs may run at a time."""
    limit, threads = request.count("max_jobs_run", 0), max(1, request.count("num_threads", 1))
    if gpus.per_job:
        return limit or len(gpus.names) // gpus.per_job
    return limit or max(1, len(os.sched_getaffinity(0)) // threads)


def run(request: Request) -> list[Failure]:
    """Runs all jobs on this machine; failures in the order in which they happened."""
    gpus = Gpus(request.count("gpu", 0))
    limit = at_once(request, gpus)
    waiting = deque(range(request.first, request.last + 1))
    tries: dict[int, int] = {}
    running: list[Job] = []
    failures: list[Failure] = []
    orphaned = Orphanage()
    with Reaper(end_groups) as reaper:
        heed_signals()
        with Progress(request.title, request.jobs) as progress:
            while waiting or running:
                while waiting and len(running) < limit and (devices := gpus.take()) is not None:
                    running.append(start(request, waiting.popleft(), devices, reaper.adopt_me))
                for job in [job for job in running if job.ended()]:
                    running.remove(job)
                    gpus.give_back(job.gpus)
                    reaper.release(job.process.pid)
                    code = finish(job, request)
                    if code == AGAIN:
                        tries[job.number] = tries.get(job.number, 0) + 1
                        keep_log(job.log, tries[job.number])
                        say(f"{job.log}: stopped with its state saved (code {AGAIN}): starting it again")
                        waiting.append(job.number)
                        continue
                    if code:
                        failures.append(Failure(job.number, code, str(job.log)))
                    progress.ended(job.log, ok=not code)
                if orphaned():
                    raise Stopped
                progress.show([job.log for job in running])
                time.sleep(0.05)
    return failures
