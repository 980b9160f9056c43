"""The state of a training run: what a checkpoint holds, the weights of epochs, the final model and its summary."""

import json
import logging
import math
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from mimic.errors import UserError
from mimic.io import atomic
from mimic.training import checkpoint, parallel
from mimic.training.batches import Batches
from mimic.training.config import TrainConfig
from mimic.training.logs import TrainLog
from mimic.training.optimiser import ModuleOptimiser
from mimic.training.task import Task

log = logging.getLogger(__name__)
_STATE = ("epoch", "batch", "step", "rate", "seen", "nonfinite", "skipped", "sums", "history")


class Run:
    """How far a training has come. Of several processes the first one writes.

    Attributes:
        epoch, batch: the epoch (from 1) and how many of its batches are done.
        step: optimiser steps done; steps: those of the whole training.
        rate: learning rate of the last step.
        sums, seen: of this epoch, the losses times utterances, and these utterances.
        skipped, nonfinite: batches without a finite loss or gradient, of this epoch and in a row.
        history: figures of the epochs that are done.
    """

    def __init__(self, task: Task, config: TrainConfig, directory: Path, device: torch.device):
        self.task, self.config, self.directory, self.device = task, config, directory, device
        modules = task.trainable()
        self.optimisers = {name: ModuleOptimiser(m, config, device, len(modules) == 1) for name, m in modules.items()}
        self.batches = Batches(task, config)
        self.epoch, self.batch, self.step, self.seen, self.nonfinite, self.skipped = 1, 0, 0, 0, 0, 0
        self.sums: dict[str, float] = {}
        self.history: list[dict[str, Any]] = []
        self.rate = config.lr
        self.steps = config.epochs * len(self.batches.of_epoch(1))
        if config.max_steps:
            self.steps = min(self.steps, config.max_steps)
        self._resume()
        self.saved = time.monotonic()
        self.utterances = 0  # since this start
        self.log = TrainLog(directory, self.epoch, self.step, config.tracker) if parallel.rank() == 0 else None
        if self.log:
            self.log.history(self.history)

    @property
    def at_limit(self) -> bool:
        """Whether `max_steps` have been done."""
        return 0 < self.config.max_steps <= self.step

    @property
    def done(self) -> bool:
        """Whether there is no epoch left, or no step of `max_steps`."""
        return self.epoch > self.config.epochs or self.at_limit

    def due(self, every: int) -> bool:
        """Whether this is an epoch of those that come after every so many, or the last one."""
        return self.epoch % every == 0 or self.epoch == self.config.epochs or self.at_limit

    def add(self, losses: dict[str, float], utterances: int) -> None:
        """Count the losses of a batch, means over its utterances."""
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * utterances

    def finish_step(self) -> None:
        """A batch is done."""
        self.batch += 1
        self.step += 1
        if self.log:
            self.log.progress(self.step, self.steps, self.status)
        if time.monotonic() - self.saved >= 60 * self.config.checkpoint_interval:
            self.save()

    def status(self) -> dict[str, Any]:
        """How far it is: plain values."""
        metric = self.config.best_metric
        ranked = rank_epochs(self.history, metric, self.task.METRICS[metric])
        best = (
            {"metric": metric, "value": ranked[0][f"valid_{metric}"], "epoch": ranked[0]["epoch"]} if ranked else None
        )
        loss = self.sums.get("loss", math.nan) / max(self.seen, 1)
        return {
            "name": self.directory.name,
            "epoch": self.epoch,
            "epochs": self.config.epochs,
            "loss": loss if math.isfinite(loss) else None,
            "lr": self.rate,
            "best": best,
            "utterances": self.utterances,
            "memory_mb": memory_mb(self.device),
        }

    def finish_epoch(self, metrics: dict[str, float]) -> None:
        """Log the epoch with its validation metrics, keep its weights if they may be averaged, and checkpoint."""
        record = {"epoch": self.epoch, "step": self.step, "lr": self.rate}
        record |= {f"train_{name}": total / self.seen for name, total in self.sums.items()}
        if self.skipped:
            record["skipped"] = self.skipped
        record |= {f"valid_{name}": value for name, value in metrics.items()}
        self.history.append(record)
        keep = [self.weights(epoch) for epoch in self.kept_epochs()]
        if self.log:
            self.log.epoch(record)
            if self.weights(self.epoch) in keep:
                self.weights(0).parent.mkdir(exist_ok=True)
                checkpoint.save(self.task.model.state_dict(), self.weights(self.epoch))
        self.epoch, self.batch, self.seen, self.skipped, self.sums = self.epoch + 1, 0, 0, 0, {}
        self.save()
        if self.log:
            self.log.history(self.history)
            for path in self.weights(0).parent.glob("epoch-*.pt"):
                if path not in keep:
                    path.unlink()

    def finish(self) -> None:
        """Write the model, the mean of the epochs to average, and summary.json."""
        if not self.log:
            return
        self.log.tracker.close()
        averaged = self.averaged_epochs()
        if not averaged:
            why = f"no epoch has a finite {self.config.best_metric} on the development set: the training has diverged"
            raise UserError(f"{self.directory}: {why}: train again with --force true and a lower --train.lr")
        log.info("model.pt: mean of epochs %s", ", ".join(map(str, averaged)))
        checkpoint.save(checkpoint.average(self.weights(epoch) for epoch in averaged), self.directory / "model.pt")
        self.task.finish(self.directory)
        with atomic.replace(self.directory / "summary.json") as f:
            json.dump(self.summary(self.log), f, indent=2)

    def summary(self, logs: TrainLog) -> dict[str, Any]:
        """What later steps ask of a training: its sizes, its best epoch and the seconds it took."""
        ranked = rank_epochs(self.history, self.config.best_metric, self.task.METRICS[self.config.best_metric])
        best = ranked[0] if ranked else {}
        return {
            "parameters": sum(p.numel() for p in self.task.model.parameters()),
            "utterances": len(self.task.lengths),
            "frames": sum(self.task.lengths.values()),
            "processes": parallel.world_size(),
            "device": self.device.type,
            "epochs": len(self.history),
            "steps": self.step,
            "seconds": logs.seconds(),
            "averaged_epochs": self.averaged_epochs(),
            "best_metric": self.config.best_metric,
            "best_epoch": best.get("epoch"),
            "metrics": {name.removeprefix("valid_"): best[name] for name in best if name.startswith("valid_")},
        }

    def weights(self, epoch: int) -> Path:
        return self.directory / "weights" / f"epoch-{epoch:04d}.pt"

    def averaged_epochs(self) -> list[int]:
        """The epochs whose weights the final model averages, as far as the run has come."""
        config = self.config
        if config.avg_policy == "last":
            return [record["epoch"] for record in self.history][-config.num_avg_ckpts :]
        ranked = rank_epochs(self.history, config.best_metric, self.task.METRICS[config.best_metric])
        return sorted(record["epoch"] for record in ranked[: config.num_avg_ckpts])

    def kept_epochs(self) -> set[int]:
        """The epochs whose weights stay: those to average, and the newest ones as `keep_ckpts` says."""
        epochs, keep = [record["epoch"] for record in self.history], self.config.keep_ckpts
        return {*self.averaged_epochs(), *(epochs if keep < 0 else epochs[len(epochs) - min(keep, len(epochs)) :])}

    def plateaus(self) -> int:
        """How often the learning rate of the plateau schedule was reduced."""
        config = self.config
        return count_plateaus(
            self.history, config.best_metric, self.task.METRICS[config.best_metric], config.lr_threshold
        )

    def save(self) -> None:
        """Write the checkpoint that `_resume` reads."""
        if self.log:
            state = {
                "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
                "run": {name: getattr(self, name) for name in _STATE},
            }
            checkpoint.save_latest(state, self.directory / "checkpoints", self.step)
        self.saved = time.monotonic()

    def _resume(self) -> None:
        """Load the newest checkpoint. The first process reads it: others may not see the newest file yet."""
        newest = checkpoint.load_latest(self.directory / "checkpoints") if parallel.rank() == 0 else None
        state = parallel.broadcast(newest)
        parallel.broadcast_parameters(optimiser.module for optimiser in self.optimisers.values())
        if state is None:
            return
        states = state["optimisers"] if "optimisers" in state else state["learners"]  # as an earlier release called it
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(states[name])
        for name in _STATE:
            setattr(self, name, state["run"][name])
        log.info("resuming at epoch %d, batch %d", self.epoch, self.batch + 1)


def memory_mb(device: torch.device) -> int:
    """What this process has held at most: on a GPU there, else in all."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) >> 20
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest >> (20 if sys.platform == "darwin" else 10)


def rank_epochs(history: Sequence[dict[str, Any]], metric: str, better: str) -> list[dict[str, Any]]:
    """Records of the epochs with a finite validation metric, the best one first; `better` is "min" or "max"."""
    name, sign = f"valid_{metric}", -1 if better == "max" else 1
    scored = [record for record in history if math.isfinite(record.get(name, math.nan))]
    return sorted(scored, key=lambda record: (sign * record[name], record["epoch"]))


def count_plateaus(history: Sequence[dict[str, Any]], metric: str, better: str, threshold: float) -> int:
    """Validations that were not better than the one before by the share `threshold` of it."""
    name, sign = f"valid_{metric}", 1 if better == "max" else -1
    values = [record[name] for record in history if name in record]
    pairs = zip(values, values[1:], strict=False)
    return sum(not sign * (new - old) >= threshold * abs(old) for old, new in pairs)
