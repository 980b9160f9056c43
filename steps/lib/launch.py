#!/usr/bin/env python3
"""Runs a command, or N of them, with their output in log files: Kaldi's run.pl, slurm.pl and queue.pl.

    launch.py [options] [JOB=1:N] LOG PROGRAM [ARGUMENTS]

As in Kaldi, JOB may be any identifier, and every JOB in LOG and in the words of the command is replaced by the job's
number, in names too: steps take an identifier that none of their names contains ($JOB of log.sh). The words are passed
to the program unchanged; no shell reads them, here or on a cluster, so names may contain spaces, quotes, $, ;, &,
brackets and *. (run.pl, queue.pl and slurm.pl give words without spaces to a shell.) A pipe or a redirection is one
word: bash -c 'one | two'. The log's first line is the command in a shell's quotes. Options, each with a value:

    --backend local|slurm|sge   where the jobs run; local, the default, is this machine
    --num-threads N             CPU threads of each job (default 1); sets OMP_NUM_THREADS
    --gpu N                     GPUs of each job
    --max-jobs-run N            jobs that run at a time; default: as many as the machine or the cluster holds
    --retries N                 slurm, sge: how often a job is started again whose node failed (default 1)
    --mem 4G  --time 4:0:0      slurm, sge: memory and time limit of each job; local ignores them
    --config FILE               slurm, sge: the words for sbatch or qsub that each option stands for (conf/slurm.conf,
                                conf/queue.conf); further options that it describes are accepted

A program that exits with 75 has saved its state and is started again. The log's "Accounting" line holds seconds,
threads and the most memory (MiB) that one process of the job held.

Exit codes: 0 all jobs ended well; 1 a job failed; 2 stopped by a signal, no job is left; 255 wrong usage.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

from launcher.request import Failure, Interrupted, Request, SubmissionError, message, parse, usage

BACKENDS = ("local", "slurm", "sge")


def main() -> int:
    if sys.argv[1:2] == ["--task"]:  # on a node of a cluster
        from launcher.node import run_task

        return run_task(*sys.argv[2:])
    request = parse(sys.argv[1:])
    name = request.options.get("backend", "local")
    if name not in BACKENDS:
        usage(f"--backend is {', '.join(BACKENDS[:-1])} or {BACKENDS[-1]}, got '{name}'")
    try:
        failures = run(name, request)
    except (Interrupted, KeyboardInterrupt):
        message(f"stopped, logs are in {request.log}")
        return 2
    except SubmissionError as error:
        message(str(error))
        return 1
    except OSError as error:
        message(f"{'disk full: free space and run again: ' if error.errno == errno.ENOSPC else ''}{error}")
        return 1
    if failures:
        report(request, failures, "lower --nj" if name == "local" else "ask for more --mem in cmd.sh, or lower --nj")
    return 1 if failures else 0


def run(backend: str, request: Request) -> list[Failure]:
    """Imports what the back end needs and no more: this program starts with every step."""
    if backend == "local":
        from launcher import local

        return local.run(request)
    from launcher.cluster import Call

    if backend == "slurm":
        from launcher.slurm import Slurm as Scheduler
    else:
        from launcher.sge import Sge as Scheduler
    return Call(request, Scheduler()).run()


def report(request: Request, failures: list[Failure], memory: str) -> None:
    """Prints what failed and the end of the log of the job that failed first."""
    first = failures[0]
    logs = request.log_of(request.first) if request.jobs == 1 else request.log.replace(request.job or "", "*")
    count = "job failed" if request.jobs == 1 else f"{len(failures)} / {request.jobs} failed"
    message(f"{count}, log is in {logs}")
    if first.why:
        message(f"{request.log_of(first.number)}: {first.why}")
    if Path(first.log).exists():
        message(f"the last lines of {first.log}{'' if first.code is None else f' (code {first.code})'}:")
        for line in last_lines(Path(first.log)):
            print(f"  {line}", file=sys.stderr)
    if first.code == 137:
        message(f"code 137: killed, as a machine out of memory does: {memory}")


def last_lines(log: Path, number: int = 20) -> list[str]:
    """The end of a log, less the launcher's own lines."""
    with open(log, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 65536))
        lines = file.read().decode(errors="replace").splitlines()
    return [line for line in lines if not line.startswith(("# Accounting: ", "# Ended "))][-number:]


if __name__ == "__main__":
    sys.exit(main())
