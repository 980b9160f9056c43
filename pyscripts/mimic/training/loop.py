"""The one training loop: epochs of optimiser steps, validation between them, exact resume.

Everything random in a step (dropout, augmentation) is drawn from a generator seeded by the run's seed and the
step's number, and the order of batches by the seed and the epoch. So a run that was killed and goes on from its
newest checkpoint draws what the undisturbed run would have drawn, and ends with the same weights.

A batch is what one optimiser step sees. Several processes, and `--train.accum_grad`, cut it into pieces; the losses of
the pieces are weighted so that their gradients add up to the gradient of the whole batch.
"""

import copy
import hashlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mimic.errors import UserError
from mimic.io import atomic
from mimic.io.batching import to_device
from mimic.tasks.task import WHOLE, Task
from mimic.training import parallel
from mimic.training.config import TrainConfig
from mimic.training.optimise import learning_rate
from mimic.training.run import Run
from mimic.training.stop import Stop, Stopped

log = logging.getLogger(__name__)
AUTOCAST = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


def set_seed(seed: int, step: int, rank: int = 0) -> None:
    """Seed torch's generators for one step of one run, in the process of this rank."""
    name = f"{seed} {step}" + (f" {rank}" if rank else "")
    torch.manual_seed(int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big"))


def fit(task: Task, config: TrainConfig, directory: Path, device: torch.device, stop: Stop | None = None) -> None:
    """Train `task` in the experiment directory `directory`, from its newest checkpoint if there is one.

    Writes checkpoints/ (to resume), weights/ (epochs to average), train_log.jsonl, tensorboard/ and, last, model.pt and
    what the task adds to it.
    Raises UserError after too many batches in a row without a finite loss, and where memory does not suffice; Stopped
    after a signal to `stop`, when all that was done is saved.
    """
    check(task, config)
    task.to(device)
    if config.compile:
        torch._logging.set_logs(dynamo=logging.ERROR, inductor=logging.ERROR)  # what stays uncompiled is no news
        for module in task.compiled():
            module.compile(dynamic=True)
    held = stop.held if stop else nullcontext
    run = Run(task, config, directory, device)
    try:
        if run.epoch <= config.epochs:
            with held():  # what is saved is then not what the trial has left behind
                _try_largest(run)
        while run.epoch <= config.epochs:
            _epoch(run, held)
    except Stopped:
        run.save()
        parallel.all_reduce_sum([])  # all wait until it is written: srun ends the others when one has ended
        log.info("saved after step %d: run the same command again to go on", run.step)
        raise
    run.finish()


def check(task: Task, config: TrainConfig) -> None:
    """UserError for a figure that this task does not have, and where there is nothing to train on."""
    if config.best_metric not in task.METRICS:
        raise UserError(f"--train.best_metric {config.best_metric}: this task has {', '.join(task.METRICS)}")
    if not task.lengths:
        raise UserError("the training set has no utterances that can be used")


def _epoch(run: Run, held: Callable[[], AbstractContextManager]) -> None:
    config, task = run.config, run.task
    task.begin_epoch(run.epoch)
    for utterances, pieces in run.todo():
        with held():
            step(run, utterances, pieces)
            run.batch += 1
            run.step += 1
            run.report()
            if time.monotonic() - run.saved >= 60 * config.checkpoint_interval:
                run.save()
    figures: dict[str, float] = {}
    if run.epoch % config.validate_every == 0 or run.epoch == config.epochs:
        task.eval()
        figures = task.validate()
    with held():
        run.finish_epoch(figures)


def _try_largest(run: Run) -> None:
    """Compute a gradient on the largest batch first, and forget it: too little memory shows at once, not after hours.

    Nothing that the run depends on is changed: each step seeds what it draws.
    """
    lengths = run.task.lengths
    largest = max(run.batches(run.epoch), key=lambda batch: (len(batch) * max(lengths[utt] for utt in batch), batch))
    modules = [learner.module for learner in run.learners.values()]
    before = [copy.deepcopy(module.state_dict()) for module in modules]
    run.task.begin_epoch(run.epoch)
    for _ in gradients(run, largest, run.load(largest)):
        pass
    for module, state in zip(modules, before, strict=True):
        module.load_state_dict(state)
        module.zero_grad()


def step(run: Run, utterances: list[str], pieces: list[Any]) -> None:
    """One step of every optimiser, on the pieces of a batch that are this process's share."""
    run.rate = learning_rate(run.config, run.epoch, run.step, run.steps, run.plateaus())
    learned = [_finish_turn(run, name, sums, len(utterances)) for name, sums in gradients(run, utterances, pieces)]
    parallel.average_batch_norm(learner.module for learner in run.learners.values())
    if all(learned):
        run.seen += len(utterances)
        run.nonfinite = 0
    elif False in learned:
        _skip(run, utterances)


def gradients(run: Run, utterances: list[str], pieces: list[Any]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """For each turn of a step the learner, whose gradient is there, and the losses, summed over this process's pieces.

    Raises UserError that names the longest utterance when memory does not suffice.
    """
    config, task = run.config, run.task
    set_seed(config.seed, run.step, parallel.rank())
    shares = _shares(run, utterances, pieces)
    batches = [to_device(piece, run.device) for piece in pieces]
    turns = [task.optimiser_losses(batch, run.epoch, share) for batch, share in zip(batches, shares, strict=True)]
    dtype = AUTOCAST[config.precision]
    while True:
        name, sums = "", {}
        for turn in turns:
            try:
                with torch.autocast(run.device.type, dtype, enabled=dtype is not None):
                    name, losses = next(turn)
                learner = run.learners[name]
                if turn is turns[0]:
                    learner.start(run.rate)
                learner.backward(losses["loss"])
            except StopIteration:
                return
            except RuntimeError as error:
                raise _explained(error, run, utterances) from None
            for key, value in losses.items():
                sums[key] = sums.get(key, 0.0) + value.detach()
        yield name, sums


def _finish_turn(run: Run, name: str, sums: dict[str, Tensor], utterances: int) -> bool | None:
    """Let the learner of these losses take its step. False: loss or gradient are not finite, and None: they may be now.

    All processes come to the same answer, for both are those of the whole batch.
    """
    learner = run.learners[name]
    numbers = parallel.all_reduce_sum(torch.stack([value.float() for value in sums.values()]).tolist())
    values = dict(zip(sums, numbers, strict=True))
    values["gradient"] = learner.finish(math.isfinite(values["loss"]))
    if not math.isfinite(values["loss"]):
        return False
    if not math.isfinite(values["gradient"]):
        return None if learner.searching else False
    prefix = "" if learner.module is run.task.model else f"{name}_"
    run.add({f"{prefix}{key}": value for key, value in values.items()}, utterances)
    return True


def _shares(run: Run, utterances: list[str], pieces: list[Any]) -> list[Mapping[str, float]]:
    """How much of the batch each of these pieces is, by the parts of the loss."""
    if len(pieces) == parallel.world_size() == 1:
        return [WHOLE]
    sizes = [run.task.sizes(piece) for piece in pieces]
    if parallel.rank() >= len(utterances):  # a stand-in for an empty piece, see Run.load
        sizes = [dict.fromkeys(sizes[0], 0)]
    totals = parallel.all_reduce_sum([sum(size[name] for size in sizes) for name in sizes[0]])
    whole = dict(zip(sizes[0], totals, strict=True))
    return [{name: n / whole[name] for name, n in size.items()} for size in sizes]


def _explained(error: RuntimeError, run: Run, utterances: list[str]) -> Exception:
    """What to do about too little memory; any other error as it is."""
    if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
        return error
    longest = max(utterances, key=lambda utt: run.task.lengths[utt])
    frames = run.task.lengths[longest]
    lower = f"lower --train.batch_size {run.config.batch_size}"
    if run.config.max_frames:
        lower = f"lower --train.max_frames {run.config.max_frames}"
    if len(utterances) > parallel.world_size() * run.config.accum_grad:
        lower += f", or raise --train.accum_grad {run.config.accum_grad}"
    else:
        lower = "leave it out of the training set, or cut it"
    return UserError(
        f"out of memory on a batch of {len(utterances)} utterances, of which {longest} is the longest with {frames} "
        f"frames: {lower}"
    )


def _skip(run: Run, utterances: list[str]) -> None:
    """Count a batch that was skipped by all processes together; too many in a row end the run."""
    run.skipped += 1
    run.nonfinite += 1
    log.warning("epoch %d: loss or gradient is not finite, batch skipped: %s", run.epoch, " ".join(utterances))
    if run.nonfinite < run.config.max_nonfinite_batches:
        return
    file = run.directory / "nonfinite_batch.txt"
    if run.writes:
        with atomic.replace(file) as f:
            f.writelines(f"{utt}\n" for utt in utterances)
    raise UserError(
        f"{run.nonfinite} batches in a row without a finite loss: lower --train.lr or look at the utterances in {file}"
    )
