"""One writer at a time, on one machine or on several that share a disk: a file that names the holder, with a heartbeat.

Kernel locks (flock) do not reach other machines on many network disks. The file holds host, process and when that was
started: on the same machine, it is stale when there is no such process any more; on another one, when nobody has
touched the file for STALE seconds. Its times are those of the disk's own clock.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mimic.errors import UserError

BEAT = 20.0  # seconds between two signs of life
STALE = 120.0  # seconds without one; a network disk may show times a minute late
HOST = os.uname().nodename


class Lock:
    """The lock file `path`, held for a process of this machine. `with Lock(path):` holds it for this one."""

    def __init__(self, path: Path, pid: int | None = None):
        self.path, self.pid = path, pid or os.getpid()
        self.me = f"{HOST} {self.pid} {_started(self.pid)}\n"
        self._end = threading.Event()

    def acquire(self, wait: float = 0.0) -> None:
        """Raises UserError when another process still holds it after `wait` seconds."""
        deadline = time.monotonic() + wait
        mine = self.path.with_name(f"{self.path.name}.{HOST}.{os.getpid()}")
        for left in self.path.parent.glob(f"{self.path.name}.{HOST}.*"):  # by a kill at the wrong moment
            if not _started(int(left.name.removesuffix(".old").rpartition(".")[2])):
                left.unlink(missing_ok=True)
        try:
            mine.write_text(self.me)
            while True:
                with suppress(FileExistsError):
                    os.link(mine, self.path)  # unlike creating a file, one step on every network disk
                    return
                owner = _read(self.path)
                if owner and not _stale(owner, self.path, lambda: mine.stat().st_mtime):
                    if time.monotonic() < deadline:
                        time.sleep(0.1)
                        mine.touch()
                        continue
                    host, pid, _ = owner.split()
                    raise UserError(
                        f"{self.path.parent} is being written by another run (process {pid} on {host}): wait for it, "
                        f"or end it; if it is long gone, remove {self.path}"
                    )
                _remove(self.path, owner)
        finally:
            mine.unlink(missing_ok=True)

    def keep(self) -> None:
        """Touch the file until `release`, in any program, or the end of the process that has it; then remove it."""
        touched, missing = time.monotonic(), 0
        while _started(self.pid) == self.me.split()[2] and not self._end.wait(0.2):
            missing = 0 if self.path.exists() else missing + 1  # `_remove` of somebody else takes it away for a moment
            if missing > 2:
                return
            if time.monotonic() - touched > BEAT:
                touched = time.monotonic()
                with suppress(OSError):
                    os.utime(self.path)
        _remove(self.path, self.me)

    def __enter__(self) -> "Lock":
        self.acquire()
        self._thread = threading.Thread(target=self.keep, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def release(self) -> None:
        """Let go of a lock that `take` took, in this program or in another one for the same process."""
        if _read(self.path) == self.me:
            _remove(self.path, self.me)

    def keep_aside(self) -> None:
        """`keep` in a process of its own, for a lock that is held for another process, such as a shell."""
        if child := os.fork():
            os.waitpid(child, 0)
            return
        self.path = self.path.absolute()
        if os.fork():
            os._exit(0)
        os.setsid()
        os.chdir("/")
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(nowhere, descriptor)
        os.closerange(3, 1024)
        self.keep()
        os._exit(0)


def _started(pid: int) -> str:
    """When a process of this machine was started, in the kernel's ticks; empty when there is none."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        if sys.platform == "linux":
            return ""
        with suppress(ProcessLookupError):
            os.kill(pid, 0)
            return "0"
        return ""
    return "" if state == "Z" else rest[18]


def _read(path: Path) -> str:
    with suppress(FileNotFoundError):
        return path.read_text()
    return ""


def _stale(owner: str, path: Path, now: Callable[[], float]) -> bool:
    """Whether the lock's owner is gone; of another machine by the age of the file, for which `now` gives the time."""
    try:
        host, pid, started = owner.split()
        number = int(pid)
    except ValueError:  # a disk that was full
        return True
    if host == HOST:
        return _started(number) != started
    try:
        return now() - path.stat().st_mtime > STALE
    except FileNotFoundError:
        return True


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock now, for those who only look: of another machine, by this one's clock."""
    return not _stale(_read(path), path, time.time)


def _remove(path: Path, owner: str) -> None:
    """Remove the lock of this owner, and no other one that may have taken its place meanwhile."""
    aside = path.with_name(f"{path.name}.{HOST}.{os.getpid()}.old")
    with suppress(FileNotFoundError, FileExistsError):
        os.rename(path, aside)
        if _read(aside) != owner:
            os.link(aside, path)
    aside.unlink(missing_ok=True)
