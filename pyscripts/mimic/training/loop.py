"""The one training loop: epochs of optimiser steps, validation between them, exact resume.

Everything random in a step (dropout, augmentation) is drawn from a generator seeded by the run's seed and the step's
number, and the order of batches by the seed and the epoch. So a run that was killed and resumes from its newest
checkpoint draws what the undisturbed run would have drawn, and ends with the same weights.

Without processes, pieces, mixed precision, signals and checkpoints, training is

    for epoch in range(1, config.epochs + 1):
        task.begin_epoch(epoch)
        for utterances in batches.of_epoch(epoch):
            set_seed(config.seed, step)
            optimiser.zero_grad()
            task(task.load(utterances), epoch)["loss"].backward()
            torch.nn.utils.clip_grad_norm_(task.model.parameters(), config.max_grad_norm)
            optimiser.step()
        task.eval()
        metrics = task.validate()

and tests/unit/test_tasks.py compares the weights that this ends with, bit by bit.
"""

import copy
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch
from torch import profiler

from mimic.errors import UserError
from mimic.io import atomic
from mimic.training import freezing, parallel, trackers
from mimic.training.config import TrainConfig
from mimic.training.run import Run
from mimic.training.samples import write_histograms, write_samples
from mimic.training.step import gradients, take_step
from mimic.training.stop import Stop, Stopped
from mimic.training.task import Task

log = logging.getLogger(__name__)
PROFILE_FROM = 10  # steps before: caches and threads are not warm yet
PROFILE_ROWS = 30


def fit(task: Task, config: TrainConfig, directory: Path, device: torch.device, stop: Stop | None = None) -> None:
    """Train `task` in the experiment directory `directory`, from its newest checkpoint if there is one.

    Writes checkpoints/ (to resume), weights/ (epochs to average), samples/ (of an enhancer), train_log.jsonl,
    progress.jsonl, status.json, the tracker's files and, at the end, model.pt, what the task adds to it, summary.json.
    Raises UserError after too many batches in a row without a finite loss, and where memory does not suffice; Stopped
    after a signal to `stop`, when all that was done is saved.
    """
    check(task, config)
    task.to(device)
    if config.compile:
        # Nothing of what stays uncompiled; the module is a part of the documented API in spite of its name.
        torch._logging.set_logs(dynamo=logging.ERROR, inductor=logging.ERROR)
        for module in task.compiled():
            module.compile(dynamic=True)
    held = stop.held if stop else nullcontext  # a signal waits for the end of such a block
    run = Run(task, config, directory, device)
    try:
        if not run.done:
            with held():
                _try_largest_batch(run)
        with profiled(config.profile, directory / "profile") as step_done:
            while not run.done:
                _train_epoch(run, held, step_done)
                metrics = _validate(run)
                with held():
                    write_samples(run)
                    write_histograms(run)
                    run.finish_epoch(metrics)
    except Stopped:
        run.save()
        parallel.all_reduce_sum([])  # all wait until it is written: srun ends the others when one has ended
        log.info("saved after step %d: run the same command again to resume", run.step)
        raise
    run.finish()


def check(task: Task, config: TrainConfig) -> None:
    """UserError for a metric that this task does not have, and where there is nothing to train on."""
    if config.best_metric not in task.METRICS:
        raise UserError(f"--train.best_metric {config.best_metric}: this task has {', '.join(task.METRICS)}")
    trackers.check(config.tracker)
    if not task.lengths:
        raise UserError("the training set has no utterances that can be used")
    freezing.check(task, config)


def _train_epoch(run: Run, held: Callable[[], AbstractContextManager], step_done: Callable[[], None]) -> None:
    """The steps of the epoch that are not done yet, up to `max_steps`; `step_done` is called after each."""
    run.task.begin_epoch(run.epoch)
    freezing.freeze(run.task, run.config, run.epoch)
    for utterances, pieces in run.batches.load_epoch(run.epoch, run.batch):
        with held(), torch.autograd.set_detect_anomaly(run.config.detect_anomaly):
            take_step(run, utterances, pieces)
            run.finish_step()
        step_done()
        if run.at_limit:
            return


def _validate(run: Run) -> dict[str, float]:
    """Metrics on the development set; empty in an epoch without validation.

    Raises UserError where no utterance of it has the one that ranks epochs, which would show at the end only.
    """
    if not run.due(run.config.validate_every):
        return {}
    run.task.eval()
    metrics, name = run.task.validate(), run.config.best_metric
    if math.isnan(metrics[name]) and math.isfinite(metrics.get("loss", math.nan)):
        why = "no utterance of the development set has one, as where each is too short or silent"
        raise UserError(f"--train.best_metric {name}: {why}: use longer ones, or --train.best_metric loss")
    return metrics


def _try_largest_batch(run: Run) -> None:
    """Compute the gradient of the largest batch and drop it: too little memory shows at once, not after hours.

    Nothing that the run depends on changes: weights and buffers are restored, and each step seeds its draws.
    """
    largest = run.batches.largest(run.epoch)
    modules = [optimiser.module for optimiser in run.optimisers.values()]
    before = [copy.deepcopy(module.state_dict()) for module in modules]
    run.task.begin_epoch(run.epoch)
    for _ in gradients(run, largest, run.batches.load(largest)):
        pass
    for module, state in zip(modules, before, strict=True):
        module.load_state_dict(state)
        module.zero_grad()


@contextmanager
def profiled(steps: int, folder: Path) -> Iterator[Callable[[], None]]:
    """Where the time of training goes, by torch's profiler: gives what is to be called after each step.

    After PROFILE_FROM + `steps` of them `folder` has table.txt, operations by the time of their own, and trace.json for
    chrome://tracing. 0 steps: nothing is done.
    """
    if not steps:
        yield lambda: None
        return
    folder.mkdir(parents=True, exist_ok=True)

    def write(found: profiler.profile) -> None:
        with atomic.replace(folder / "table.txt") as f:
            f.write(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=PROFILE_ROWS))
        found.export_chrome_trace(str(folder / "trace.json"))
        log.info("profile of %d steps: %s", steps, folder / "table.txt")

    times = profiler.schedule(wait=PROFILE_FROM - 1, warmup=1, active=steps, repeat=1)
    with profiler.profile(schedule=times, on_trace_ready=write, acc_events=True) as running:
        yield running.step
