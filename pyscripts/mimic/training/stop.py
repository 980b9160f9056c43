"""Signals that ask a run to end: it finishes its step and saves first."""

import ctypes
import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)
AGAIN = 75  # exit code: all that was done is saved, start me again
INTERRUPTED = 130
PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>
# What a cluster sends before it takes a machine back, what a user asked it to send, and Ctrl-C.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class Stopped(Exception):
    """A signal has ended the run; `code` is the exit code that says so."""

    def __init__(self, code: int):
        super().__init__(code)
        self.code = code


class Stop:
    """Takes the signals from here on. They raise Stopped: in a `held` block at its end, elsewhere at once.

    Several processes, over which `total` sums numbers, raise it at the end of the same block, whichever of them got the
    signal. A second Ctrl-C does not wait.
    """

    total: Callable[[list[float]], list[float]] | None = None

    def __init__(self) -> None:
        self.code, self._since, self._held = 0, 0.0, False
        for number in SIGNALS:
            signal.signal(number, self._note)

    @contextmanager
    def held(self) -> Iterator[None]:
        self._held = True
        yield
        self._held = False
        code = self.code
        if self.total:  # a signal that comes meanwhile waits for the next block, where all see it
            codes = self.total([float(code == AGAIN), float(code == INTERRUPTED)])
            code = INTERRUPTED if codes[1] else AGAIN if codes[0] else 0
        if code:
            raise Stopped(code)

    def _note(self, number: int, frame: object) -> None:
        first, now = not self.code, time.monotonic()
        if number == signal.SIGINT and not first and now > self._since + 1:  # a terminal may send the first one twice
            raise KeyboardInterrupt
        self.code, self._since = INTERRUPTED if number == signal.SIGINT else AGAIN, now
        if first:
            log.info("%s: ending after this step", signal.Signals(number).name)
            if not self._held and not self.total:
                raise Stopped(self.code)


def leave_signals_to_parent() -> None:
    """For a process that works for another one: the parent decides on signals, and this one ends with it."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    end_with_parent()


def end_with_parent() -> None:
    """The kernel ends this process when its parent has ended, however that was."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
