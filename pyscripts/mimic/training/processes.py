"""The processes of one training: which of them this is, and how several are started on a machine. Without torch."""

import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from mimic.training.stop import AGAIN, INTERRUPTED, SIGNALS, end_with_parent

log = logging.getLogger(__name__)
GRACE = 10.0  # seconds in which the others notice that one is gone, and end with a line of their own
_TORCHRUN = (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0), ("LOCAL_WORLD_SIZE", 1))


@dataclass(frozen=True)
class RankInfo:
    """Rank and number of processes: of all, and of those on this machine."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1


def rank_info() -> RankInfo:
    """The rank that `spawn`, torchrun or srun gave to this process, by its environment.

    Variables of a Slurm job outside of srun do not count.
    """
    env = os.environ
    if "WORLD_SIZE" in env:
        return RankInfo(*(int(env.get(name, default)) for name, default in _TORCHRUN))
    if int(env.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        # As in "2(x3),1": three machines with 2 processes, then one with 1.
        local = int(re.split(r"\D", env["SLURM_STEP_TASKS_PER_NODE"], maxsplit=1)[0])
        rank, world, place = (int(env[f"SLURM_{name}"]) for name in ("PROCID", "STEP_NUM_TASKS", "LOCALID"))
        return RankInfo(rank, world, place, local)
    return RankInfo()


def spawn(count: int, command: list[str]) -> int:
    """Run `count` copies of `command`, which find each other by the variables of torchrun. Gives the exit code.

    Unlike torchrun, which turns every failure into code 1, it passes on codes and signals: a copy that saved after a
    signal and wants to be started again says so with its exit code.
    """
    with tempfile.TemporaryDirectory(prefix="mimic-") as folder:
        children = [_start(rank, count, command, Path(folder) / "init") for rank in range(count)]

        def pass_on(number: int, _: FrameType | None) -> None:
            for child in children:
                child.send_signal(number)

        for number in SIGNALS:
            signal.signal(number, pass_on)
        code, deadline = 0, float("inf")
        while running := [child for child in children if child.poll() is None]:
            for rank, child in enumerate(children):
                if child.returncode and not code:
                    code = _exit_code(rank, child.returncode)
                    deadline = time.monotonic() + (GRACE if code not in (AGAIN, INTERRUPTED) else float("inf"))
            if time.monotonic() > deadline:
                for child in running:
                    child.kill()
            time.sleep(0.05)
        return code or max(_exit_code(rank, child.returncode) for rank, child in enumerate(children))


def _start(rank: int, count: int, command: list[str], init_file: Path) -> subprocess.Popen:
    threads = max(1, int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)) // count)
    env = os.environ | {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MIMIC_INIT_FILE": str(init_file),  # a file: no port that another training may have taken
        "OMP_NUM_THREADS": str(threads),
    }
    if sys.platform == "linux":
        env.setdefault("GLOO_SOCKET_IFNAME", "lo")  # does not depend on how this machine finds its own name
    return subprocess.Popen(command, env=env, preexec_fn=end_with_parent)


def _exit_code(rank: int, returncode: int) -> int:
    """The exit code as a shell counts it."""
    if returncode >= 0:
        return returncode
    if -returncode in SIGNALS:  # it had not begun yet
        return INTERRUPTED if -returncode == signal.SIGINT else AGAIN
    log.error("process %d of this training was killed by signal %d: the others end too", rank, -returncode)
    return 128 - returncode
