"""The one training loop: optimiser, schedule, validation, checkpoints, exact resume.

Everything random in a step (dropout, augmentation) is drawn from a generator seeded by the run's seed and the
step's number, and the order of batches by the seed and the epoch. So a run that was killed and goes on from its
newest checkpoint draws what the undisturbed run would have drawn, and ends with the same weights.
"""

import hashlib
import json
import logging
import math
import time
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from mimic import atomic
from mimic.data.batching import make_batches, prefetch
from mimic.errors import UserError
from mimic.tasks.task import Task
from mimic.train import checkpoint
from mimic.train.config import TrainConfig

log = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 2.0


def set_seed(seed: int, step: int) -> None:
    """Seed torch's generators for one step of one run."""
    torch.manual_seed(int.from_bytes(hashlib.sha256(f"{seed} {step}".encode()).digest()[:7], "big"))


def learning_rate(config: TrainConfig, epoch: int, step: int, steps: int) -> float:
    """Rate of optimiser step `step` (from 0) of `steps`, in epoch `epoch` (from 1)."""
    factor = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    if config.schedule == "step":
        factor *= config.lr_factor ** ((epoch - 1) // config.lr_every)
    elif config.schedule == "cosine":
        factor *= 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
    return config.lr * factor


def fit(task: Task, config: TrainConfig, directory: Path, fabric: Fabric) -> None:
    """Train `task` in the experiment directory `directory`, from its newest checkpoint if there is one.

    Writes checkpoints/ (to resume), weights/ (epochs to average), train_log.jsonl, tensorboard/ and, last, model.pt and
    what the task adds to it.
    Raises UserError after too many batches in a row without a finite loss.
    """
    if config.select not in task.METRICS:
        raise UserError(f"--train.select {config.select}: this task has {', '.join(task.METRICS)}")
    optimiser = _optimiser(task.model, config)
    module, optimiser = fabric.setup(task, optimiser)
    run = _Run(task, config, directory, fabric, optimiser)
    while run.epoch <= config.epochs:
        _epoch(run, module)
    run.tensorboard.close()
    best = run.chosen_epochs()
    log.info("model.pt: mean of epochs %s", ", ".join(map(str, best)))
    checkpoint.save(checkpoint.average(run.weights(epoch) for epoch in best), directory / "model.pt")
    task.finish(directory)


def _epoch(run: "_Run", module: nn.Module) -> None:
    config, task = run.config, run.task
    batches = run.batches(run.epoch)
    task.begin_epoch(run.epoch)
    todo = batches[run.batch :]
    for utterances, batch in zip(todo, prefetch(task.load, todo), strict=True):
        _step(run, module, utterances, run.fabric.to_device(batch))
        run.batch += 1
        run.step += 1
        run.report(len(batches))
        if time.monotonic() - run.saved >= 60 * config.save_minutes:
            run.save()
    record = {"epoch": run.epoch, "step": run.step, "lr": run.rate}
    record |= {f"train_{name}": total / run.seen for name, total in run.sums.items()}
    if run.epoch % config.validate_every == 0 or run.epoch == config.epochs:
        task.eval()
        record |= {f"valid_{name}": value for name, value in task.validate().items()}
    run.finish_epoch(record)


def _step(run: "_Run", module: nn.Module, utterances: list[str], batch: Any) -> None:
    config = run.config
    set_seed(config.seed, run.step)
    run.rate = learning_rate(config, run.epoch, run.step, run.steps)
    for group in run.optimiser.param_groups:
        group["lr"] = run.rate
    losses = module(batch, run.epoch)
    run.optimiser.zero_grad()
    run.fabric.backward(losses["loss"])
    limit = config.clip if config.clip > 0 else math.inf
    norm = run.fabric.clip_gradients(module, run.optimiser, max_norm=limit, error_if_nonfinite=False)
    if torch.isfinite(losses["loss"].detach()) and torch.isfinite(norm):
        run.optimiser.step()
        run.nonfinite = 0
        values = {name: float(value.detach()) for name, value in losses.items()}
        run.add(values | {"gradient": float(norm)}, len(utterances))
        return
    run.nonfinite += 1
    log.warning("epoch %d: loss or gradient is not finite, batch skipped: %s", run.epoch, " ".join(utterances))
    if run.nonfinite >= config.nonfinite_limit:
        with atomic.replace(run.directory / "nonfinite_batch.txt") as f:
            f.writelines(f"{utt}\n" for utt in utterances)
        raise UserError(
            f"{run.nonfinite} batches in a row without a finite loss: lower --train.lr or look at the utterances in "
            f"{run.directory / 'nonfinite_batch.txt'}"
        )


class _Run:
    """Where a run stands; all of it but the clock goes into its checkpoints."""

    def __init__(self, task: Task, config: TrainConfig, directory: Path, fabric: Fabric, optimiser: Any):
        self.task, self.config, self.directory, self.fabric = task, config, directory, fabric
        self.optimiser = optimiser
        self.epoch, self.batch, self.step, self.seen, self.nonfinite = 1, 0, 0, 0, 0
        self.sums: dict[str, float] = {}
        self.history: list[dict[str, Any]] = []
        self.rate = config.lr
        self.steps = config.epochs * len(self.batches(1))
        self._resume()
        self.saved = self.reported = time.monotonic()
        self.tensorboard = SummaryWriter(directory / "tensorboard", purge_step=self.step)
        self._write_log()

    def batches(self, epoch: int) -> list[list[str]]:
        c = self.config
        return make_batches(self.task.lengths, c.batch_utterances, c.batch_frames, c.sorting, c.seed, epoch)

    def add(self, values: dict[str, float], utterances: int) -> None:
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * utterances
        self.seen += utterances

    def report(self, batches: int) -> None:
        if time.monotonic() - self.reported < SECONDS_BETWEEN_LINES and self.step < self.steps:
            return
        self.reported = time.monotonic()
        mean = self.sums.get("loss", math.nan) / max(self.seen, 1)
        log.info("progress: %d/%d steps, epoch %d, loss %.4f", self.step, self.steps, self.epoch, mean)
        self.tensorboard.add_scalar("train/lr", self.rate, self.step)
        self.tensorboard.add_scalar("train/loss", mean, self.step)

    def finish_epoch(self, record: dict[str, Any]) -> None:
        """Log the epoch, keep its weights if they may be averaged, and checkpoint."""
        self.history.append(record)
        figures = {name: value for name, value in record.items() if name not in ("epoch", "step")}
        log.info("epoch %d: %s", self.epoch, ", ".join(f"{name} {value:.4g}" for name, value in figures.items()))
        for name, value in figures.items():
            self.tensorboard.add_scalar(name.replace("_", "/", 1), value, self.step)
        self.tensorboard.flush()
        self.weights(0).parent.mkdir(exist_ok=True)
        checkpoint.save(self.task.model.state_dict(), self.weights(self.epoch))
        self.epoch, self.batch, self.seen, self.sums = self.epoch + 1, 0, 0, {}
        self.save()
        self._write_log()
        keep = self.chosen_epochs()
        for path in self.weights(0).parent.glob("epoch-*.pt"):
            if path not in map(self.weights, keep):
                path.unlink()

    def weights(self, epoch: int) -> Path:
        return self.directory / "weights" / f"epoch-{epoch:04d}.pt"

    def chosen_epochs(self) -> list[int]:
        """The epochs whose weights the final model averages, as far as the run has come."""
        config = self.config
        if config.average_of == "last":
            return [record["epoch"] for record in self.history][-config.average :]
        name = f"valid_{config.select}"
        sign = -1 if self.task.METRICS[config.select] == "max" else 1
        scored = [record for record in self.history if math.isfinite(record.get(name, math.nan))]
        ranked = sorted(scored, key=lambda record: (sign * record[name], record["epoch"]))
        return sorted(record["epoch"] for record in ranked[: config.average])

    def save(self) -> None:
        state = {
            "model": self.task.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "run": {name: getattr(self, name) for name in self._FIELDS},
        }
        checkpoint.save_latest(state, self.directory / "checkpoints", self.step)
        self.saved = time.monotonic()

    _FIELDS = ("epoch", "batch", "step", "rate", "seen", "nonfinite", "sums", "history")

    def _resume(self) -> None:
        state = checkpoint.load_latest(self.directory / "checkpoints")
        if state is None:
            return
        self.task.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        for name in self._FIELDS:
            setattr(self, name, state["run"][name])
        log.info("continuing at epoch %d, batch %d", self.epoch, self.batch + 1)

    def _write_log(self) -> None:
        with atomic.replace(self.directory / "train_log.jsonl") as f:
            f.writelines(json.dumps(record) + "\n" for record in self.history)


def _optimiser(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    trained = [p for p in model.parameters() if p.requires_grad]
    if config.optimiser == "rmsprop":
        return torch.optim.RMSprop(trained, lr=config.lr)
    if config.optimiser == "adam":
        return torch.optim.Adam(trained, lr=config.lr, fused=True)
    # Decay pulls matrices towards zero; for biases and normalisation gains that would change what they mean.
    groups: list[dict[str, list[Tensor] | float]] = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, fused=True)
