"""Batches of utterances of similar length, the same for every run with one seed, and reading them ahead."""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor

T = TypeVar("T")
U = TypeVar("U")
Tensors = TypeVar("Tensors", bound=Iterable[Any])


def make_batches(
    lengths: Mapping[str, int], most_utterances: int, most_frames: int, sorting: str, seed: int, epoch: int
) -> list[list[str]]:
    """Partition utterances into batches, in the order in which an epoch takes them; see `make_groups`."""
    (batches,) = make_groups(lengths, most_utterances, most_frames, sorting, seed, epoch)
    return batches


def make_groups(
    lengths: Mapping[str, int],
    most_utterances: int,
    most_frames: int,
    sorting: str,
    seed: int,
    epoch: int,
    shard: int = 0,
    shards: int = 0,
) -> list[list[list[str]]]:
    """Partition utterances into batches, in the order in which an epoch takes them, and these into groups.

    Args:
        lengths: frames of each utterance.
        most_utterances: most utterances in a batch.
        most_frames: most frames in a batch with its padding, 0 for no limit; a longer utterance is alone in its batch.
        sorting: ascending, descending, or random: lengths are jittered by 10 %, so that batches hold utterances of
            similar length but not the same ones in each epoch, and the batches are shuffled. curriculum: ascending in
            the first epoch, then random.
        seed, epoch: of the jitter and the shuffle.
        shard, shards: with random, a group is made of `shards` shuffled shards, each of `shard` utterances that follow
            each other (by their ids, as in the archives). Its files can be read in one go. 0: all are one group.
    """
    if sorting == "curriculum":
        sorting = "ascending" if epoch == 1 else "random"
    draw = random.Random(f"{seed} {epoch}")
    groups = [sorted(lengths)]
    if sorting == "random" and 0 < shard * shards < len(lengths):
        pieces = [groups[0][i : i + shard] for i in range(0, len(lengths), shard)]
        draw.shuffle(pieces)
        groups = [[utt for piece in pieces[i : i + shards] for utt in piece] for i in range(0, len(pieces), shards)]
    return [_batches(sorted(group), lengths, most_utterances, most_frames, sorting, draw) for group in groups]


def _batches(
    utts: list[str],
    lengths: Mapping[str, int],
    most_utterances: int,
    most_frames: int,
    sorting: str,
    draw: random.Random,
) -> list[list[str]]:
    sizes = [lengths[utt] for utt in utts]
    jittered = (size * draw.uniform(0.9, 1.1) for size in sizes)
    keys = np.fromiter(jittered, float, len(sizes)) if sorting == "random" else np.array(sizes)
    order = np.argsort(keys, kind="stable")  # of equal ones the order of the ids
    batches: list[list[str]] = []
    longest = 0
    for place in map(int, reversed(order) if sorting == "descending" else order):  # a list of them takes more memory
        longest = max(longest, sizes[place])
        if not batches or len(batches[-1]) == most_utterances or 0 < most_frames < longest * (len(batches[-1]) + 1):
            batches.append([])
            longest = sizes[place]
        batches[-1].append(utts[place])
    if sorting == "random":
        draw.shuffle(batches)
    return batches


def deal(batch: list[str], pieces: int) -> list[list[str]]:
    """Cut a batch into pieces of equal numbers and similar lengths; one that is too small leaves some empty."""
    return [batch[i::pieces] for i in range(pieces)]


def pad(arrays: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Arrays (frames, ...) of different lengths -> (batch, frames, ...) padded with zeros, and lengths (batch,)."""
    import torch  # here, because programs that only read ahead need no torch

    lengths = torch.tensor([len(a) for a in arrays])
    batch = np.zeros((len(arrays), int(lengths.max()), *arrays[0].shape[1:]), dtype=arrays[0].dtype)
    for row, array in zip(batch, arrays, strict=True):
        row[: len(array)] = array
    return torch.from_numpy(batch), lengths


def to_device(batch: Tensors, device: torch.device) -> Tensors:
    """A batch, a named tuple of tensors (None for a part that is not needed), on a device."""
    make: Callable[..., Tensors] = type(batch)
    return make(*(part if part is None else part.to(device) for part in batch))


def prefetch(make: Callable[[U], T], items: Iterable[U], depth: int = 4, workers: int = 1) -> Iterator[T]:
    """`map(make, items)` computed in threads, up to `depth` results ahead for each of them, in the order of the items.

    With 0 workers nothing is ahead: each is made when it is taken. An error comes out where it belongs.
    """
    if not workers:
        yield from map(make, items)
        return
    items = iter(items)
    results: queue.Queue = queue.Queue(depth * workers)  # a queue for each item, with its one result
    stop, taking = threading.Event(), threading.Lock()

    def put(result: queue.Queue | None) -> bool:
        while not stop.is_set():
            try:
                results.put(result, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        while True:
            result: queue.Queue = queue.Queue(1)
            with taking:  # the order of taking is that of the results
                try:
                    item = next(items)
                except StopIteration:
                    put(None)
                    return
                if not put(result):
                    return
            try:
                result.put((make(item), None))
            except BaseException as error:
                result.put((None, error))
                return
            del item, result

    for _ in range(workers):
        threading.Thread(target=work, daemon=True).start()
    try:
        while (result := results.get()) is not None:
            value, error = result.get()
            if error is not None:
                raise error
            yield value
            del value, result
    finally:
        stop.set()
