#!/usr/bin/env python3
"""Runs a command, or N of them, with their output in log files: Kaldi's run.pl, slurm.pl and queue.pl.

    launch.py [options] [JOB=1:N] LOG PROGRAM [ARGUMENTS]

As in Kaldi, JOB may be any identifier, and every JOB in LOG and in the words of the command becomes the job's number,
in names too: steps take one that none of their names has ($JOB of log.sh). The words are the program's arguments as
they stand; no shell reads them, here or on a cluster, so that names may hold spaces, quotes, $, ;, &, brackets and *.
(run.pl, queue.pl and slurm.pl give words without spaces to a shell.) A pipe or a redirection is one word:
bash -c 'one | two'. The log's first line is the command as a shell takes it. Options, each with a value:

    --backend local|slurm|sge   where the jobs run; local, the default, is this machine
    --num-threads N             CPU threads of each job (default 1); sets OMP_NUM_THREADS
    --gpu N                     GPUs of each job
    --max-jobs-run N            jobs that run at a time; default: as many as the machine or the cluster holds
    --retries N                 slurm, sge: how often a job is started again whose node failed (default 1)
    --mem 4G  --time 4:0:0      slurm, sge: memory and time limit of each job; local takes and ignores them
    --config FILE               slurm, sge: how options become words for sbatch or qsub (conf/slurm.conf,
                                conf/queue.conf); all options that it describes may be given

A program that exits with 75 has saved its state and is started again. The log's "Accounting" line holds seconds,
threads and the most memory (MiB) that one process of the job held.

Exit codes: 0 all jobs ended well; 1 a job failed; 2 stopped by a signal, no job is left; 255 wrong usage.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from pathlib import Path

from job_request import Failure, Refused, Request, Stopped, parse, say, usage

BACKENDS = ("local", "slurm", "sge")


def last_lines(log: Path, number: int = 20) -> list[str]:
    """The end of what a job has said, less the launcher's own lines."""
    with open(log, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 65536))
        lines = file.read().decode(errors="replace").splitlines()
    return [line for line in lines if not line.startswith(("# Accounting: ", "# Ended "))][-number:]


def report(request: Request, failures: list[Failure], memory: str) -> None:
    """Says what failed and shows the end of the log of the job that failed first."""
    first = failures[0]
    logs = request.log_of(request.first) if request.jobs == 1 else request.log.replace(request.job or "", "*")
    count = "job failed" if request.jobs == 1 else f"{len(failures)} / {request.jobs} failed"
    say(f"{count}, log is in {logs}")
    if first.why:
        say(f"{request.log_of(first.number)}: {first.why}")
    if Path(first.log).exists():
        say(f"the last lines of {first.log}{'' if first.code is None else f' (code {first.code})'}:")
        for line in last_lines(Path(first.log)):
            print(f"  {line}", file=sys.stderr)
    if first.code == 137:
        say(f"code 137: killed, as a machine out of memory does: {memory}")


def main() -> int:
    request = parse(sys.argv[1:])
    name = request.options.get("backend", "local")
    if name not in BACKENDS:
        usage(f"--backend is {', '.join(BACKENDS[:-1])} or {BACKENDS[-1]}, got '{name}'")
    try:
        failures = importlib.import_module(f"backend_{name}").run(request)
    except (Stopped, KeyboardInterrupt):
        say(f"stopped, logs are in {request.log}")
        return 2
    except Refused as error:
        say(str(error))
        return 1
    except OSError as error:
        say(f"{'disk full: free space and run again: ' if error.errno == errno.ENOSPC else ''}{error}")
        return 1
    if failures:
        report(request, failures, "lower --nj" if name == "local" else "ask for more --mem in cmd.sh, or lower --nj")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
