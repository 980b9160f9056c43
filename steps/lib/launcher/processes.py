"""Process groups; and the end of all that the launcher has started when the launcher ends, however it ends."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

GRACE, GRACE_SAVING = 2.0, 20.0  # seconds; a program with a handler for SIGTERM, as a training, saves what it has


def alive(pid: int) -> bool:
    """Whether a process exists and has not ended; a zombie does not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def processes() -> Iterator[tuple[int, int, int]]:
    """Of all processes the number, the parent's, and the process group's."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, parent, group, *_ = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        yield int(path.parent.name), int(parent), int(group)


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    masks = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")]
    return bool(masks and int(masks[0], 16) >> (number - 1) & 1)


def end_groups(groups: set[int]) -> None:
    """Asks process groups to end (SIGTERM) and kills those that are left after a grace time."""
    groups -= {0, 1}  # the wrong processes, and no job
    saving = any(catches(pid, signal.SIGTERM) for pid, _, group in processes() if group in groups)
    grace = GRACE_SAVING if saving else GRACE
    for number in (signal.SIGTERM, signal.SIGKILL):
        for group in list(groups):
            try:
                os.killpg(group, number)
            except ProcessLookupError:
                groups.discard(group)
        deadline = time.monotonic() + (grace if number == signal.SIGTERM else 0)
        while groups and time.monotonic() < deadline:
            time.sleep(0.02)
            for group in list(groups):
                try:
                    os.killpg(group, 0)
                except ProcessLookupError:
                    groups.discard(group)


class Caller:
    """The step that waits for the launcher, and the recipe that it belongs to."""

    def __init__(self) -> None:
        self.parent = os.getppid()
        self.recipe = int(os.environ.get("MIMIC_RUN_PID", self.parent))

    def gone(self) -> bool:
        """Whether one of them has ended, so that nobody uses what the jobs write."""
        return os.getppid() != self.parent or not alive(self.recipe)


class Watchdog:
    """A child process that reads from a pipe which jobs run, and calls `end` with them when the pipe closes.

    The kernel closes the pipe also after kill -9 of the launcher, so no job outlives it and writes into a
    directory that a rerun is using. A job is known by a number: its process group, or what a scheduler calls it.
    """

    def __init__(self, end: Callable[[set[int]], None]) -> None:
        self.end = end

    def __enter__(self) -> Watchdog:
        reader, self.writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setsid()  # a Ctrl-C in the terminal is not meant for this process
                os.close(self.writer)
                nowhere = os.open(os.devnull, os.O_RDWR)
                for descriptor in range(3):
                    os.dup2(nowhere, descriptor)
                self.watch(reader)
            finally:
                os._exit(0)
        os.close(reader)
        return self

    def watch(self, reader: int) -> None:
        jobs: set[int] = set()
        with open(reader, encoding="ascii") as lines:
            for line in lines:
                job = int(line)
                if job > 0:
                    jobs.add(job)
                else:
                    jobs.discard(-job)
        if jobs:
            self.end(jobs)

    def adopt_me(self) -> None:
        """Called in a job's process before its program starts, so that no moment is left unwatched."""
        self.adopt(os.getpid())

    def adopt(self, job: int) -> None:
        os.write(self.writer, b"%d\n" % job)

    def release(self, job: int) -> None:
        """The job has ended and its number may soon be another one's."""
        os.write(self.writer, b"%d\n" % -job)

    def __exit__(self, *exc: object) -> None:
        os.close(self.writer)
        while os.wait()[0] != self.pid:  # jobs too: one that nobody waits for still counts as a live group
            pass
