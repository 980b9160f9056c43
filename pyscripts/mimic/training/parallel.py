"""Several processes that train one model, each with a share of every batch; alone, everything here does nothing.

Gradients are summed in buckets after the backward pass; what else the processes tell each other goes from CPU to CPU.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed.nn  # before `init`: its functions take the group of that moment as their default, and keep it
from torch import Tensor, distributed, nn

from mimic.errors import UserError
from mimic.training.processes import RankInfo

T = TypeVar("T")
BUCKET = 8 << 20  # numbers
TIMEOUT = timedelta(minutes=15)  # longer than any process waits for the slowest one


def init(here: RankInfo) -> None:
    """Meet the other processes. Call it when nothing forks any more."""
    env = os.environ
    store = env.get("MIMIC_INIT_FILE")
    if not store and "MASTER_ADDR" not in env:  # srun: the first machine of the step, e.g. of node[03-07,12]
        first = re.match(r"([^,\[]+)(?:\[(\d+))?", env["SLURM_STEP_NODELIST"])
        assert first is not None  # a list of machines begins with a name
        prefix, number = first.groups()
        env["MASTER_ADDR"] = prefix + (number or "")
        env["MASTER_PORT"] = str(20000 + (int(env["SLURM_JOB_ID"]) * 31 + int(env["SLURM_STEP_ID"])) % 10000)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    with _explained("the processes of this training have not found each other"):
        distributed.init_process_group(backend, f"file://{store}" if store else None, TIMEOUT, here.world, here.rank)


def destroy() -> None:
    """Part from the other processes, but after an error: what they wait for might never come.

    Where Python ends while gloo has threads, one that still holds a tensor may abort it.
    """
    if distributed.is_initialized():
        distributed.destroy_process_group()


def world_size() -> int:
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    return distributed.get_rank() if distributed.is_initialized() else 0


def shard(items: Sequence[T]) -> Sequence[T]:
    """This process's part of what has to be done once."""
    return items[rank() :: world_size()]


def all_gather(part: Mapping[int, T]) -> list[T]:
    """The values of all processes in the order of their keys."""
    parts = [part]
    if world_size() > 1:
        parts = [{}] * world_size()
        with _explained():
            distributed.all_gather_object(parts, part)
    return [value for _, value in sorted((item for p in parts for item in p.items()), key=lambda item: item[0])]


def all_reduce_sum(values: list[float]) -> list[float]:
    """Sums over the processes."""
    if world_size() == 1:
        return values
    summed = torch.tensor(values, dtype=torch.float64)
    with _explained():
        distributed.all_reduce(summed)
    return summed.tolist()


def broadcast(value: T) -> T:
    """What the first process has, to all of them."""
    if world_size() == 1:
        return value
    box = [value]
    with _explained():
        distributed.broadcast_object_list(box)
    return box[0]


def broadcast_parameters(modules: Iterable[nn.Module]) -> None:
    """Give all processes the weights and statistics that the first one has."""
    if world_size() > 1:
        with _explained():
            for module in modules:
                for value in (*module.parameters(), *module.buffers()):
                    distributed.broadcast(value.detach(), 0)


def all_reduce_gradients(module: nn.Module) -> None:
    """Sum the gradients of a module over the processes."""
    _all_reduce([p.grad for p in module.parameters() if p.grad is not None])


def average_batch_norm(modules: Iterable[nn.Module]) -> None:
    """Running statistics of batch normalisation become their mean over the processes."""
    if world_size() == 1:
        return
    parts = [part for module in modules for part in module.modules() if part.training]
    norms = [part for part in parts if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.track_running_stats]
    both = [value for norm in norms for value in (norm.running_mean, norm.running_var)]
    statistics = [value for value in both if value is not None]
    for value in statistics:
        value /= world_size()
    _all_reduce(statistics)


def _all_reduce(tensors: list[Tensor]) -> None:
    """Replace each tensor by its sum over the processes."""
    if world_size() == 1 or not tensors:
        return
    buckets: list[list[Tensor]] = [[]]
    for tensor in tensors:
        if sum(t.numel() for t in buckets[-1]) > BUCKET:
            buckets.append([])
        buckets[-1].append(tensor)
    with _explained():
        flat = [torch.cat([t.reshape(-1) for t in bucket]) for bucket in buckets]
        for work in [distributed.all_reduce(values, async_op=True) for values in flat]:
            work.wait()
    for bucket, values in zip(buckets, flat, strict=True):
        for tensor, part in zip(bucket, values.split([t.numel() for t in bucket]), strict=True):
            tensor.copy_(part.view_as(tensor))


@contextmanager
def _explained(what: str = "another process of this training has ended or does not answer") -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0][:150]
        raise UserError(f"{what} ({reason}): its own lines say why; run the same command again to resume") from None
