"""The batches of a training, and the pieces of each that this process computes."""

from collections.abc import Iterator
from typing import Any

from mimic.io.batching import deal, make_groups, prefetch
from mimic.training import parallel
from mimic.training.config import TrainConfig
from mimic.training.task import Task


class Batches:
    """Utterances of a task in batches, in the order of an epoch. One batch is one optimiser step."""

    def __init__(self, task: Task, config: TrainConfig):
        self.task, self.config = task, config

    def groups(self, epoch: int) -> list[list[list[str]]]:
        """The batches of an epoch; the utterances of a group are read from disk together."""
        c = self.config
        limits = (c.batch_size, c.max_frames, c.sorting, c.seed, epoch, c.shard_utterances, c.shard_buffer)
        return make_groups(self.task.lengths, *limits)

    def of_epoch(self, epoch: int) -> list[list[str]]:
        return [batch for group in self.groups(epoch) for batch in group]

    def largest(self, epoch: int) -> list[str]:
        """The batch of an epoch with the most frames, padding included."""
        lengths = self.task.lengths
        return max(self.of_epoch(epoch), key=lambda batch: (len(batch) * max(lengths[utt] for utt in batch), batch))

    def load_epoch(self, epoch: int, done: int) -> Iterator[tuple[list[str], list[Any]]]:
        """Each batch of an epoch after the first `done`: its utterances, and this process's pieces, read ahead."""
        groups = self.groups(epoch)
        for group in prefetch(self._read_files, groups, 1) if len(groups) > 1 else groups:
            pending, done = group[done:], max(0, done - len(group))
            yield from zip(pending, prefetch(self.load, pending, workers=self.config.workers), strict=True)

    def load(self, batch: list[str]) -> list[Any]:
        """This process's pieces of a batch: at least one, so that all processes take part in each step.

        Where a batch is too small for that, an utterance takes the place whose loss has the weight 0.
        """
        return [self.task.load(piece) for piece in self._own(batch) or [batch[:1]]]

    def _own(self, batch: list[str]) -> list[list[str]]:
        """This process's part of the utterances of a batch, in `accum_grad` pieces, less those that are empty."""
        pieces = deal(batch, parallel.world_size() * self.config.accum_grad)
        return [piece for piece in parallel.shard(pieces) if piece]

    def _read_files(self, group: list[list[str]]) -> list[list[str]]:
        self.task.stream([utt for batch in group for piece in self._own(batch) for utt in piece])
        return group
