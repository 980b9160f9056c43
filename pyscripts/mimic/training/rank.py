"""Which of how many training processes this one is. torchrun or srun says so, or the starter in spawn.py."""

import os
import re
from dataclasses import dataclass

_TORCHRUN = (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0), ("LOCAL_WORLD_SIZE", 1))


@dataclass(frozen=True)
class Place:
    """Number and count: of all processes, and of those on this machine."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1


def place() -> Place:
    """What torchrun or srun say of this process. Variables of a Slurm job outside of srun do not count."""
    env = os.environ
    if "WORLD_SIZE" in env:
        return Place(*(int(env.get(name, default)) for name, default in _TORCHRUN))
    if int(env.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        local = int(re.match(r"\d+", env["SLURM_STEP_TASKS_PER_NODE"])[0])
        return Place(*(int(env[f"SLURM_{name}"]) for name in ("PROCID", "STEP_NUM_TASKS", "LOCALID")), local)
    return Place()
