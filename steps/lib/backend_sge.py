"""The back end of launch.py for SGE (Grid Engine in its variants): qsub, qstat and qdel."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Iterable
from pathlib import Path

from backend_cluster import Call
from cluster_scheduler import State, ask, submitted
from job_request import Failure, Request

HINTS = {
    "unknown resource": "take it out of conf/queue.conf, or name it as this cluster does: qconf -sc lists resources",
    "parallel environment": "change 'option num_threads=*' in conf/queue.conf: qconf -spl lists parallel environments",
    "queue": "correct the queue (-q) in conf/queue.conf: qconf -sql lists them",
    "submit host": "run this on a machine where jobs are submitted: qconf -ss lists them",
    "not a valid project|project": "correct the project (-P) in conf/queue.conf: qconf -sprjl",
    "unknown option|invalid option": "correct the line it stands in, in conf/queue.conf",
    "no suitable|cannot run": "no host has what the options ask for, or all are busy: lower --mem or --num-threads in "
    "cmd.sh, or change their lines in conf/queue.conf (qhost -F)",
}


class Sge:
    name, conf, own = "sge", "conf/queue.conf", ()
    array, task, hints = "JOB_ID", "SGE_TASK_ID", HINTS
    cancelled = ()

    def submit(self, words: list[str], script: Path, out: Path, first: int, last: int, limit: int) -> int:
        if "$" in os.getcwd():  # SGE would read $HOME in it; the script goes there by itself
            words = [*words, "-wd", "/"]
        words = [*words, "-terse", "-o", out.absolute(), "-t", f"{first}-{last}", script]
        return int(re.findall(r"^(\d+)", submitted(self, words, "gdi request|qmaster|commlib"), re.MULTILINE)[-1])

    def states(self, jobs: Iterable[int]) -> dict[tuple[int, int], State] | None:
        done = ask("qstat", "-g", "d", "-u", getpass.getuser())
        if done.returncode:
            return None
        found = {}
        for line in done.stdout.splitlines():
            words = line.split()
            if len(words) > 5 and words[0].isdigit() and int(words[0]) in jobs and words[-1].isdigit():
                found[int(words[0]), int(words[-1])] = self.state(int(words[0]), int(words[-1]), words[4])
        return found

    @staticmethod
    def state(job: int, number: int, word: str) -> State:
        """What a state of qstat means: letters, of which several may stand together."""
        if "E" not in word:
            return State(word, alive=True, runs="r" in word or "t" in word)
        reasons = re.findall(rf"^error reason +{number}: +(.*)", ask("qstat", "-j", job).stdout, re.MULTILINE)
        reason = re.sub(r"^.*\]: (error: )?", "", reasons[-1]) if reasons else f"state {word}"
        return State(word, stuck=True, again=True, why=f"its node could not start it: {reason}")

    def waits_for(self, job: int) -> str:
        said = ask("qalter", "-w", "p", job).stdout
        reasons = re.findall(r"^Job \d+ (.*)", said, re.MULTILINE)
        return reasons[0] if "no suitable" in said and reasons else ""

    def cancel(self, jobs: Iterable[int]) -> None:
        ask("qdel", *jobs)

    def remove(self, job: int, number: int) -> None:
        ask("qdel", f"{job}.{number}")


def run(request: Request) -> list[Failure]:
    return Call(request, Sge()).run()
