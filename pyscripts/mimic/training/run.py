"""Where a training run stands, on disk: checkpoints, weights of epochs, logs."""

import json
import logging
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mimic.io import atomic
from mimic.io.batching import deal, make_groups, prefetch
from mimic.tasks.task import Task
from mimic.training import checkpoint, parallel
from mimic.training.config import TrainConfig
from mimic.training.curves import Curves
from mimic.training.optimise import Learner

log = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 2.0


class Run:
    """All that a checkpoint holds, and where it goes. Of several processes the first one writes."""

    def __init__(self, task: Task, config: TrainConfig, directory: Path, device: torch.device):
        self.task, self.config, self.directory, self.device = task, config, directory, device
        modules: dict[str, nn.Module] = task.trainable()
        self.learners = {name: Learner(m, config, device, len(modules) == 1) for name, m in modules.items()}
        self.epoch, self.batch, self.step, self.seen, self.nonfinite, self.skipped = 1, 0, 0, 0, 0, 0
        self.sums: dict[str, float] = {}
        self.history: list[dict[str, Any]] = []
        self.rate = config.lr
        self.steps = config.epochs * len(self.batches(1))
        self.writes = parallel.rank() == 0
        self._resume()
        self.saved = self.reported = time.monotonic()
        self.curves = Curves(directory / "tensorboard", self.step) if self.writes else None
        self._write_log()

    def groups(self, epoch: int) -> list[list[list[str]]]:
        """The batches of an epoch; the utterances of a group are read together."""
        c = self.config
        limits = (c.batch_size, c.max_frames, c.sorting, c.seed, epoch, c.shard_utterances, c.shard_buffer)
        return make_groups(self.task.lengths, *limits)

    def batches(self, epoch: int) -> list[list[str]]:
        return [batch for group in self.groups(epoch) for batch in group]

    def todo(self) -> Iterator[tuple[list[str], list[Any]]]:
        """What is left of the epoch: each batch, and its pieces that this process works on, read ahead."""
        groups, done = self.groups(self.epoch), self.batch
        several = len(groups) > 1
        for group in prefetch(self._stream, groups, 1) if several else groups:
            todo, done = group[done:], max(0, done - len(group))
            yield from zip(todo, prefetch(self.load, todo, workers=self.config.workers), strict=True)

    def _stream(self, group: list[list[str]]) -> list[list[str]]:
        self.task.stream([utt for batch in group for piece in self._own(batch) for utt in piece])
        return group

    def _own(self, batch: list[str]) -> list[list[str]]:
        pieces = deal(batch, parallel.world_size() * self.config.accum_grad)[parallel.rank() :: parallel.world_size()]
        return [piece for piece in pieces if piece]

    def load(self, batch: list[str]) -> list[Any]:
        """The pieces of a batch that this process works on: at least one, so that all of them take part in each step.

        Where a batch is too small for that, an utterance stands in that counts nothing.
        """
        return [self.task.load(piece) for piece in self._own(batch) or [batch[:1]]]

    def add(self, values: dict[str, float], utterances: int) -> None:
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * utterances

    def report(self) -> None:
        if not self.writes:
            return
        if time.monotonic() - self.reported < SECONDS_BETWEEN_LINES and self.step < self.steps:
            return
        self.reported = time.monotonic()
        mean = self.sums.get("loss", math.nan) / max(self.seen, 1)
        log.info("progress: %d/%d steps, epoch %d, loss %.4f", self.step, self.steps, self.epoch, mean)
        self.curves.add({"train/lr": self.rate, "train/loss": mean}, self.step)

    def finish_epoch(self, figures: dict[str, float]) -> None:
        """Log the epoch with its validation figures, keep its weights if they may be averaged, and checkpoint."""
        record = {"epoch": self.epoch, "step": self.step, "lr": self.rate}
        record |= {f"train_{name}": total / self.seen for name, total in self.sums.items()}
        if self.skipped:
            record["skipped"] = self.skipped
        record |= {f"valid_{name}": value for name, value in figures.items()}
        self.history.append(record)
        keep = [self.weights(epoch) for epoch in self.chosen_epochs()]
        if self.writes:
            self._publish(record)
            if self.weights(self.epoch) in keep:
                self.weights(0).parent.mkdir(exist_ok=True)
                checkpoint.save(self.task.model.state_dict(), self.weights(self.epoch))
        self.epoch, self.batch, self.seen, self.skipped, self.sums = self.epoch + 1, 0, 0, 0, {}
        self.save()
        self._write_log()
        for path in self.weights(0).parent.glob("epoch-*.pt") if self.writes else ():
            if path not in keep:
                path.unlink()

    def _publish(self, record: dict[str, Any]) -> None:
        figures = {name: value for name, value in record.items() if name not in ("epoch", "step")}
        log.info("epoch %d: %s", self.epoch, ", ".join(f"{name} {value:.4g}" for name, value in figures.items()))
        self.curves.add({name.replace("_", "/", 1): value for name, value in figures.items()}, self.step)

    def finish(self) -> None:
        """Write the model: the mean of the chosen epochs."""
        if not self.writes:
            return
        self.curves.close()
        best = self.chosen_epochs()
        log.info("model.pt: mean of epochs %s", ", ".join(map(str, best)))
        checkpoint.save(checkpoint.average(self.weights(epoch) for epoch in best), self.directory / "model.pt")
        self.task.finish(self.directory)

    def weights(self, epoch: int) -> Path:
        return self.directory / "weights" / f"epoch-{epoch:04d}.pt"

    def chosen_epochs(self) -> list[int]:
        """The epochs whose weights the final model averages, as far as the run has come."""
        config = self.config
        if config.avg_policy == "last":
            return [record["epoch"] for record in self.history][-config.num_avg_ckpts :]
        name = f"valid_{config.best_metric}"
        sign = -1 if self.task.METRICS[config.best_metric] == "max" else 1
        scored = [record for record in self.history if math.isfinite(record.get(name, math.nan))]
        ranked = sorted(scored, key=lambda record: (sign * record[name], record["epoch"]))
        return sorted(record["epoch"] for record in ranked[: config.num_avg_ckpts])

    def plateaus(self) -> int:
        """Validations so far that were not better than the one before by `lr_threshold` of it."""
        name = f"valid_{self.config.best_metric}"
        sign = 1 if self.task.METRICS[self.config.best_metric] == "max" else -1
        values = [record[name] for record in self.history if name in record]
        pairs = zip(values, values[1:], strict=False)
        return sum(not sign * (new - old) >= self.config.lr_threshold * abs(old) for old, new in pairs)

    def save(self) -> None:
        if self.writes:
            state = {
                "learners": {name: learner.state_dict() for name, learner in self.learners.items()},
                "run": {name: getattr(self, name) for name in self._FIELDS},
            }
            checkpoint.save_latest(state, self.directory / "checkpoints", self.step)
        self.saved = time.monotonic()

    _FIELDS = ("epoch", "batch", "step", "rate", "seen", "nonfinite", "skipped", "sums", "history")

    def _resume(self) -> None:
        """Go on from the newest checkpoint. The first process reads it: others may not see the newest file yet."""
        state = parallel.broadcast(checkpoint.load_latest(self.directory / "checkpoints") if self.writes else None)
        parallel.broadcast_parameters(learner.module for learner in self.learners.values())
        if state is None:
            return
        for name, learner in self.learners.items():
            learner.load_state_dict(state["learners"][name])
        for name in self._FIELDS:
            setattr(self, name, state["run"][name])
        log.info("continuing at epoch %d, batch %d", self.epoch, self.batch + 1)

    def _write_log(self) -> None:
        if self.writes:
            with atomic.replace(self.directory / "train_log.jsonl") as f:
                f.writelines(json.dumps(record) + "\n" for record in self.history)
