"""Real schedulers on this machine, and what a test needs to submit to them."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LIB = ROOT / "steps/lib"
KINDS = ("slurm", "sge")


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return condition()


@dataclass
class Cluster:
    kind: str
    env: dict[str, str]
    folder: Path  # where its tests work

    def command(self, *words: object) -> list[str]:
        return ["launch.py", "--backend", self.kind, *map(str, words)]

    def start(self, *words: object) -> subprocess.Popen:
        """A call of the launcher, which heeds signals as in a terminal."""
        signals = (signal.SIGINT, signal.SIGHUP)
        return subprocess.Popen(
            self.command(*words),
            cwd=self.folder,
            env=self.env,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: [signal.signal(number, signal.SIG_DFL) for number in signals],
        )

    def launch(self, *words: object, code: int = 0) -> str:
        """What a call says that has to end with this code."""
        return ended(self.start(*words), code)

    def script(self, name: str, text: str) -> list[str]:
        """The words that run a script."""
        (self.folder / name).write_text(text + "\n")
        return ["bash", name]

    def call(self, *words: object, code: int | None = 0, cwd: Path | None = None, **more: str) -> str:
        both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "timeout": 120}
        done = subprocess.run(list(map(str, words)), cwd=cwd or self.folder, env=self.env | more, **both)
        assert code is None or done.returncode == code, done.stdout
        return done.stdout

    def queue(self) -> list[str]:
        """The array jobs that wait or run."""
        output = self.call("squeue", "-h", "-o", "%F") if self.kind == "slurm" else self.call("qstat")
        return sorted({line.split()[0] for line in output.splitlines() if line.split()[0].isdigit()})

    def checkout(self, name: str) -> Path:
        """What jobs need of a checkout, in a directory of its own."""
        copy = self.folder / name
        for part in ("steps", "conf", "pyscripts"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        for part in ("path.sh", "cmd.sh"):
            shutil.copy(ROOT / part, copy)
        (copy / ".venv").symlink_to(ROOT / ".venv")
        return copy

    def body(self, name: str) -> list[str]:
        """What a job has printed, less the lines of the launcher."""
        return [line for line in (self.folder / name).read_text().splitlines() if not line.startswith("# ")]


def ended(process: subprocess.Popen, code: int = 0) -> str:
    try:
        _, output = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == code, output
    return output


@contextmanager
def running(kind: str) -> Iterator[dict[str, str]]:
    """A scheduler at work; gives the environment of those who submit to it."""
    folder = Path(tempfile.mkdtemp(prefix=f"mimic-{kind}-"))  # short: the name of a socket has a limit
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([HERE / "server.sh", kind, folder / "run"], **pipes)
    try:
        output = ""
        while (line := process.stdout.readline()) and line != "ready\n":
            output = line.strip()
        if not line:
            assert process.wait() == 77, f"{kind} did not start: {output}"
            pytest.skip(f"no {kind} here: {output}")
        lines = (folder / "run/env").read_text().splitlines()
        drop = ("MIMIC_RUN_PID", "CUDA_VISIBLE_DEVICES", "PYTHONPATH")
        env = {k: v for k, v in os.environ.items() if k not in drop}
        env |= {"PATH": f"{LIB}:{Path(sys.executable).parent}:{os.environ['PATH']}", "LC_ALL": "C"}
        yield env | dict(line.split("=", 1) for line in lines)
    finally:
        process.communicate("stop\n", timeout=60)  # closing is not enough: forked processes may hold its input too
        shutil.rmtree(folder, ignore_errors=True)
