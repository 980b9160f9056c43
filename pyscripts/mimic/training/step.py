"""One step of a training: gradients of a batch, summed over its pieces and over the processes, and what they change.

A batch is what one optimiser step is computed from. Several processes, and `--train.accum_grad`, cut it into pieces.
The losses of the pieces are weighted so that their gradients add up to the gradient of the whole batch.
"""

import hashlib
import logging
import math
from collections.abc import Iterator, Mapping
from enum import Enum, auto
from typing import Any

import torch
from torch import Tensor

from mimic.errors import UserError
from mimic.io import atomic
from mimic.io.batching import to_device
from mimic.training import parallel
from mimic.training.optimiser import learning_rate
from mimic.training.run import Run
from mimic.training.task import WHOLE

log = logging.getLogger(__name__)
AUTOCAST = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class Outcome(Enum):
    """What became of the gradient of one optimiser."""

    STEPPED = auto()
    NOT_FINITE = auto()  # loss or gradient: no step
    OVERFLOWED = auto()  # the gradient, for the loss was scaled too much: no step, and the scale is lower now


def set_seed(seed: int, step: int, rank: int = 0) -> None:
    """Seed torch's generators for one step of one run, in the process of this rank."""
    name = f"{seed} {step}" + (f" {rank}" if rank else "")
    torch.manual_seed(int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big"))


def take_step(run: Run, utterances: list[str], pieces: list[Any]) -> None:
    """One step of every optimiser, on the pieces of a batch that this process computes."""
    run.utterances += len(utterances)
    run.rate = learning_rate(run.config, run.epoch, run.step, run.steps, run.plateaus())
    outcomes = [_apply(run, name, losses, len(utterances)) for name, losses in gradients(run, utterances, pieces)]
    parallel.average_batch_norm(optimiser.module for optimiser in run.optimisers.values())
    if Outcome.NOT_FINITE in outcomes:
        _skip(run, utterances)
    elif Outcome.OVERFLOWED not in outcomes:
        run.seen += len(utterances)
        run.nonfinite = 0


def gradients(run: Run, utterances: list[str], pieces: list[Any]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """For each optimiser of a step, when its gradient is there: its name, and the losses, summed over the pieces.

    Raises UserError that names the longest utterance when memory does not suffice.
    """
    config, task = run.config, run.task
    set_seed(config.seed, run.step, parallel.rank())
    shares = _shares(run, utterances, pieces)
    batches = [to_device(piece, run.device) for piece in pieces]
    per_piece = [task.optimiser_losses(batch, run.epoch, share) for batch, share in zip(batches, shares, strict=True)]
    dtype = AUTOCAST[config.precision]
    while True:
        name = ""
        sums: dict[str, Tensor] = {}
        for number, of_piece in enumerate(per_piece):
            try:
                with torch.autocast(run.device.type, dtype, enabled=dtype is not None):
                    name, losses = next(of_piece)
                if number == 0:
                    run.optimisers[name].zero_grad()
                run.optimisers[name].backward(losses["loss"])
            except StopIteration:
                return
            except RuntimeError as error:
                raise _explained(error, run, utterances) from None
            for key, value in losses.items():
                sums[key] = sums.get(key, 0.0) + value.detach()
        yield name, sums


def _apply(run: Run, name: str, losses: dict[str, Tensor], utterances: int) -> Outcome:
    """Let the optimiser of these losses take its step, if loss and gradient are finite, and count the losses.

    All processes come to the same outcome, for both are those of the whole batch.
    """
    optimiser = run.optimisers[name]
    numbers = parallel.all_reduce_sum(torch.stack([value.float() for value in losses.values()]).tolist())
    values = dict(zip(losses, numbers, strict=True))
    finite = math.isfinite(values["loss"])
    values["gradient"] = optimiser.step(run.rate, finite)
    if not finite:
        return Outcome.NOT_FINITE
    if not math.isfinite(values["gradient"]):
        return Outcome.OVERFLOWED if optimiser.overflowed else Outcome.NOT_FINITE
    prefix = "" if optimiser.module is run.task.model else f"{name}_"
    run.add({f"{prefix}{key}": value for key, value in values.items()}, utterances)
    return Outcome.STEPPED


def _shares(run: Run, utterances: list[str], pieces: list[Any]) -> list[Mapping[str, float]]:
    """How much of the batch each of these pieces is, by the parts of the loss."""
    if len(pieces) == parallel.world_size() == 1:
        return [WHOLE]
    sizes = [run.task.sizes(piece) for piece in pieces]
    if parallel.rank() >= len(utterances):  # in place of an empty piece, see Batches.load
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
    """Count a batch that all processes skip together. Raises UserError after too many in a row."""
    run.skipped += 1
    run.nonfinite += 1
    log.warning("epoch %d: loss or gradient is not finite, batch skipped: %s", run.epoch, " ".join(utterances))
    if run.nonfinite < run.config.max_nonfinite_batches:
        return
    file = run.directory / "nonfinite_batch.txt"
    if run.log:
        with atomic.replace(file) as f:
            f.writelines(f"{utt}\n" for utt in utterances)
    raise UserError(
        f"{run.nonfinite} batches in a row without a finite loss: lower --train.lr or look at the utterances in {file}"
    )
