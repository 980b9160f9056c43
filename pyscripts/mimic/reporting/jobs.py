"""Jobs of the launcher, from the record x.log.jsonl beside each log, or without it from a log of Kaldi's launchers.

The launcher writes the events "start" and "end", programs "progress" at the begin and the end of a loop.
"""

import json
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mimic.errors import UserError

STARTED = re.compile(r"^# Started at \w{3} (\w{3} +\d+ [\d:]{8}) \S+ (\d{4})", re.MULTILINE)
ACCOUNTING = re.compile(r"^# Accounting: .*?\btime=(\d+)(?:.*?\bmemory=(\d+)M)?", re.MULTILINE)
ENDED = re.compile(r"^# (?:Ended \(code 0\)|Finished at .* with status 0)", re.MULTILINE)
HEAD = TAIL = 4096  # bytes of a log in which its first and last lines are looked for


@dataclass(frozen=True)
class Job:
    """One job that ended well: seconds since 1970 when it began, seconds it took, MiB it held at most."""

    command: list[str]
    begin: float
    seconds: int
    memory: int | None


def read_events(path: Path) -> list[dict[str, Any]]:
    """The events of a record, empty where there is none. UserError for anything else."""
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    except ValueError as error:
        raise UserError(f"{path}: not the record of a job ({error}): remove it, or run the step again") from None


def record_of(log: Path) -> Path:
    """The record beside a log."""
    return log.with_name(f"{log.name}.jsonl")


def read_job(log: Path) -> Job | None:
    """The job of a log; None when it did not end well."""
    events = {event["event"]: event for event in read_events(record_of(log))}
    if not events:
        return read_kaldi_log(log)
    start, end = events.get("start"), events.get("end")
    if not start or not end or end["code"]:
        return None
    return Job(start["command"], start["time"], end["seconds"], end["memory"] or None)


def memory(logs: Iterable[Path]) -> int:
    """MiB that the largest job held, as far as they have ended."""
    return max((e["memory"] for log in logs for e in read_events(record_of(log)) if e["event"] == "end"), default=0)


def read_kaldi_log(log: Path) -> Job | None:
    """A job from its log, as run.pl, slurm.pl or our launcher before it wrote records left it."""
    with open(log, "rb") as file:
        head = file.read(HEAD).decode(errors="replace")
        file.seek(max(0, log.stat().st_size - TAIL))
        tail = file.read().decode(errors="replace")
    started, accounts = STARTED.search(head), ACCOUNTING.findall(tail)
    commands = [line[2:] for line in head.splitlines() if re.match(r"# (?!Started|Running|Accounting|Ended)\S", line)]
    if not (started and accounts and commands and ENDED.search(tail)):
        return None
    begin = datetime.strptime(" ".join(f"{started[1]} {started[2]}".split()), "%b %d %H:%M:%S %Y")
    seconds, memory = accounts[-1]
    try:
        words = shlex.split(commands[0])
    except ValueError:  # of run.pl, which does not quote as a shell does
        words = commands[0].split()
    return Job(words, (begin - datetime(1970, 1, 1)).total_seconds(), int(seconds), int(memory or 0) or None)
