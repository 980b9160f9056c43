"""Slurm: sbatch, squeue and scancel; no accounting database is needed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .scheduler import Report, ask, submitted
from .state import State

LIVE = {"PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "REQUEUED", "REQUEUE_FED", "SIGNALING"}
LIVE |= {"RESIZING", "STAGE_OUT", "STOPPED", "RESV_DEL_HOLD", "SPECIAL_EXIT", "REQUEUE_HOLD"}
FAULTS = {"NODE_FAIL": "its node failed", "BOOT_FAIL": "its node did not boot", "PREEMPTED": "it was preempted"}
ENDS = {
    "TIMEOUT": Report(State.STOPPED, "it ran into its time limit: give a longer --time in cmd.sh or conf/slurm.conf"),
    "DEADLINE": Report(State.STOPPED, "it ran into its deadline"),
    "OUT_OF_MEMORY": Report(State.STOPPED, code=137),
    "CANCELLED": Report(State.CANCELLED, "it was cancelled, not by this program"),
}
STUCK = ("launch failed requeued held", "launch_failed_requeued_held", "BadConstraints")
HINTS = {
    "invalid partition|partition name": "conf/slurm.conf names a partition (-p) that is not there: sinfo lists them",
    "memory specification|Memory": "lower --mem in cmd.sh, or change 'option mem=*' in conf/slurm.conf",
    "gres": "change 'option gpu=*' in conf/slurm.conf: sinfo -o '%P %G' lists what this cluster calls its GPUs",
    "node configuration is not available|BadConstraints": "no node of the partition has what --mem, --num-threads or "
    "--gpu ask for: lower them, or name another -p in conf/slurm.conf (sinfo -o '%P %c %m %G')",
    "CPU count|More processors|PartitionNodeLimit": "lower --num-threads",
    "time limit|PartitionTimeLimit": "lower --time in cmd.sh or conf/slurm.conf (sinfo -o '%P %l')",
    "invalid account|account": "add '-A ACCOUNT' to the command in conf/slurm.conf",
    "array specification": "lower --nj: scontrol show config | grep MaxArraySize",
    "PartitionDown|PartitionInactive": "name another partition (-p) in conf/slurm.conf: sinfo",
    "ReqNodeNotAvail|NodeDown|DOWN": "its nodes are down or reserved: sinfo -R",
    "Resources|Priority|JobArrayTaskLimit": "all fitting nodes are busy, or others go first",
    "QOS|Assoc": "a limit of your account: lower --max-jobs-run or --nj",
    "unrecognized option|invalid option": "correct the line it stands in, in conf/slurm.conf",
}


def report(word: str, reason: str) -> Report:
    """What a state of squeue, and its reason, mean."""
    if word in LIVE:
        if any(text in reason for text in STUCK):
            return Report(State.STOPPED, f"Slurm will not start it: {reason}", remove=True)
        return Report(State.QUEUED if word == "PENDING" else State.RUNNING)
    if word in FAULTS:
        return Report(State.LOST, FAULTS[word])
    return ENDS.get(word) or Report(State.ENDED, f"it ended ({word}) without an exit code")


class Slurm:
    name, conf, own = "slurm", "conf/slurm.conf", ("max_jobs_run",)
    array, task, hints = "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", HINTS

    def submit(self, words: list[str], script: Path, out: Path, first: int, last: int, limit: int) -> int:
        span = f"--array={first}-{last}" + (f"%{limit}" if limit else "")
        words = [*words, "--parsable", "--open-mode=append", f"--output={out}", span, script]
        return int(submitted(self, words, "Unable to contact").split(";")[0])

    def reports(self, jobs: Iterable[int]) -> dict[tuple[int, int], Report] | None:
        found = {}
        for job in jobs:
            done = ask("squeue", "--noheader", "--array", "--states=all", f"--jobs={job}", "--format=%F|%K|%T|%r")
            if done.returncode and "Invalid job id" not in done.stderr:
                return None
            for line in done.stdout.splitlines():
                array, task, word, reason = line.split("|", 3)
                if task.isdigit():
                    found[int(array), int(task)] = report(word, reason)
        return found

    def pending_reason(self, job: int) -> str:
        reasons = ask("squeue", "--noheader", f"--jobs={job}", "--states=PENDING", "--format=%r").stdout.split("\n")
        return reasons[0].strip().strip("()")

    def cancel(self, jobs: Iterable[int]) -> None:
        ask("scancel", *jobs)

    def remove(self, job: int, number: int) -> None:
        ask("scancel", f"{job}_{number}")
