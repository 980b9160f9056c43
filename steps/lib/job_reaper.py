"""Ends the process groups of jobs when the launcher ends, however it ends."""

from __future__ import annotations

import os
import signal
import time


def alive(pid: int) -> bool:
    """Whether a process of this user exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def end_groups(groups: set[int], grace: float = 2.0) -> None:
    """Asks process groups to end (SIGTERM) and kills what is left of them `grace` seconds later."""
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


class Reaper:
    """A child process that reads from a pipe which groups live, and ends these when the pipe closes.

    The kernel closes the pipe also after kill -9 of the launcher, so no job outlives it and writes into a
    directory that a rerun is using.
    """

    def __enter__(self) -> Reaper:
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

    @staticmethod
    def watch(reader: int) -> None:
        groups: set[int] = set()
        with open(reader, encoding="ascii") as lines:
            for line in lines:
                group = int(line)
                if group > 1:  # 0 and 1 would be the wrong processes, and are no job
                    groups.add(group)
                else:
                    groups.discard(-group)
        end_groups(groups)

    def adopt_me(self) -> None:
        """Called in a job's process before its program starts, so that no moment is left unwatched."""
        os.write(self.writer, b"%d\n" % os.getpid())

    def release(self, group: int) -> None:
        """The job has ended and its number may soon be another process's."""
        os.write(self.writer, b"%d\n" % -group)

    def __exit__(self, *exc: object) -> None:
        os.close(self.writer)
        while os.wait()[0] != self.pid:  # jobs too: one that nobody waits for still counts as a live group
            pass
