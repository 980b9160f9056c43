"""SGE (Grid Engine in its variants): qsub, qstat and qdel."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Iterable
from pathlib import Path

from .scheduler import Report, ask, submitted
from .state import State

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

    def submit(self, words: list[str], script: Path, out: Path, first: int, last: int, limit: int) -> int:
        if "$" in os.getcwd():  # SGE would expand $HOME in it; the script changes to it
            words = [*words, "-wd", "/"]
        words = [*words, "-terse", "-o", out.absolute(), "-t", f"{first}-{last}", script]
        return int(re.findall(r"^(\d+)", submitted(self, words, "gdi request|qmaster|commlib"), re.MULTILINE)[-1])

    def reports(self, jobs: Iterable[int]) -> dict[tuple[int, int], Report] | None:
        done = ask("qstat", "-g", "d", "-u", getpass.getuser())
        if done.returncode:
            return None
        found = {}
        for line in done.stdout.splitlines():
            words = line.split()
            if len(words) > 5 and words[0].isdigit() and int(words[0]) in jobs and words[-1].isdigit():
                found[int(words[0]), int(words[-1])] = self.report(int(words[0]), int(words[-1]), words[4])
        return found

    @staticmethod
    def report(job: int, number: int, word: str) -> Report:
        """What a state of qstat means: letters, of which several may stand together."""
        if "E" not in word:
            return Report(State.RUNNING if "r" in word or "t" in word else State.QUEUED)
        reasons = re.findall(rf"^error reason +{number}: +(.*)", ask("qstat", "-j", job).stdout, re.MULTILINE)
        reason = re.sub(r"^.*\]: (error: )?", "", reasons[-1]) if reasons else f"state {word}"
        return Report(State.LOST, f"its node could not start it: {reason}", remove=True)

    def pending_reason(self, job: int) -> str:
        output = ask("qalter", "-w", "p", job).stdout
        reasons = re.findall(r"^Job \d+ (.*)", output, re.MULTILINE)
        return reasons[0] if "no suitable" in output and reasons else ""

    def cancel(self, jobs: Iterable[int]) -> None:
        ask("qdel", *jobs)

    def remove(self, job: int, number: int) -> None:
        ask("qdel", f"{job}.{number}")
