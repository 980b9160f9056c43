"""How far a set of jobs is, from the events "progress" that their programs add to their records."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from .job import record_of

TAIL = 4096  # bytes at the end of a record in which the last event is looked for


def last_progress(log: Path) -> tuple[int, int, str, int] | None:
    """(done, total, unit, done by an earlier start) of the last event "progress" in the record beside a log, if any."""
    try:
        with open(record_of(log), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
            lines = file.read().splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        with suppress(ValueError):  # a line that is being written, or that the tail begins in
            event = json.loads(line)
            if event["event"] == "progress":
                return event["done"], event["total"], event["unit"], event.get("before", 0)
    return None


class Progress:
    """A bar with the time left on a terminal, a plain line every ten seconds elsewhere if there is news."""

    def __init__(self, name: str, jobs: int) -> None:
        self.name, self.jobs = name, jobs
        self.ended_jobs, self.seen = 0, {}  # log -> what last_progress gives
        self.begun = self.shown = time.monotonic()
        self.printed = f"0/{jobs} jobs"  # a log does not repeat it
        self.bar = terminal_bar() if sys.stderr.isatty() else None
        self.every = 0.5 if self.bar else 10.0  # seconds

    def __enter__(self) -> Progress:
        if self.bar:
            self.bar.start()
            self.task = self.bar.add_task(self.name, total=None, state="")
        return self

    def __exit__(self, *exc: object) -> None:
        if self.bar:
            self.shown = 0.0
            self.show([])
            self.bar.stop()

    def ended(self, log: Path, ok: bool) -> None:
        self.ended_jobs += 1
        state = last_progress(log)
        if state:
            self.seen[log] = (state[1] if ok else state[0], *state[1:])

    def show(self, running: list[Path]) -> None:
        now = time.monotonic()
        if now - self.shown < self.every:
            return
        self.shown = now
        self.seen.update({log: state for log in running if (state := last_progress(log))})
        done, total, unit = self.ended_jobs, self.jobs, "jobs"
        if self.seen:  # a job without such an event counts as the mean of the others
            done = sum(state[0] for state in self.seen.values())
            total = round(sum(state[1] for state in self.seen.values()) / len(self.seen) * self.jobs)
            unit = next(iter(self.seen.values()))[2]
        state = f"{done}/{total} {unit}"
        if self.seen and self.jobs > 1:
            state += f", {self.ended_jobs}/{self.jobs} jobs"
        if self.bar:
            self.bar.update(self.task, completed=done, total=total, state=state)
            self.bar.refresh()
        elif state != self.printed:
            self.printed = state
            now_done = done - sum(state[3] for state in self.seen.values())
            left = (now - self.begun) * (total - done) / now_done if now_done > 0 else None
            clock = "" if left is None else f", {int(left) // 60}:{int(left) % 60:02d} left"
            print(f"launch.py: {self.name}: {state}{clock}", file=sys.stderr, flush=True)


def terminal_bar():  # -> rich.progress.Progress | None
    try:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar
    except ImportError:
        return None
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"), TimeRemainingColumn())
    return Bar(*columns, console=Console(stderr=True), auto_refresh=False, transient=True)
