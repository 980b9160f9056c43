"""Which GPUs a job gets: those that the environment names, else those of this machine that no other job holds."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
from pathlib import Path

from .request import usage


class Gpus:
    """The GPUs that the jobs of one call may use, `per_job` of them each.

    Where CUDA_VISIBLE_DEVICES is set, the call has these to itself. Otherwise a lock file for each GPU of this machine
    keeps calls apart that run at the same time; the kernel releases a lock when its holder is gone.
    """

    def __init__(self, per_job: int) -> None:
        given = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = [name for name in (given or "").split(",") if name]
        if given is None and per_job:
            names = installed()
        if len(names) < per_job:
            usage(f"--gpu {per_job}, but this machine has {len(names)} GPUs to use: lower --ngpu (0 is the CPU)")
        self.per_job, self.names, self.locked = per_job, names, given is None
        self.free = set(names)
        self.held: dict[str, int] = {}  # GPU -> descriptor of its lock

    def acquire(self) -> list[str] | None:
        """GPUs for one more job, None as long as there are too few free ones."""
        taken: list[str] = []
        for name in self.names:
            if name in self.free and len(taken) < self.per_job and (not self.locked or self.lock(name)):
                taken.append(name)
        if len(taken) < self.per_job:
            self.unlock(taken)
            return None
        self.free -= set(taken)
        return taken

    def release(self, names: list[str]) -> None:
        self.unlock(names)
        self.free |= set(names)

    def lock(self, name: str) -> bool:
        import tempfile  # here: it takes long to load, and this program starts in every step

        path = Path(tempfile.gettempdir()) / f"mimic-gpu-{name}.lock"
        try:
            descriptor = os.open(path, os.O_RDONLY)  # another user's file may be locked, not written
        except FileNotFoundError:
            descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self.held[name] = descriptor
        return True

    def unlock(self, names: list[str]) -> None:
        for name in names:
            if name in self.held:
                os.close(self.held.pop(name))


def installed() -> list[str]:
    """The GPUs of this machine by number."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True).stdout
    except OSError:
        return []
    return [str(n) for n in range(len(re.findall(r"^GPU \d", listed, re.MULTILINE)))]
