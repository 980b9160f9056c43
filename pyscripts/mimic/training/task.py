"""What the training loop knows of a system."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, cast

from torch import Tensor, nn

from mimic.errors import UserError
from mimic.io.tables import write_skipped


class _Whole(dict):
    def __missing__(self, name: str) -> float:
        return 1.0


WHOLE: Mapping[str, float] = _Whole()


class Task(nn.Module):
    """A model with its batches, losses and validation. One training loop serves all tasks.

    A subclass defines

    - SECTIONS: sections of its configuration beside `model` (mimic.nets.NETS has the networks) and `train`; METRICS:
      validation figures, and whether "min" or "max" is better;
    - `__init__(config, directory)`: sets `model`, the network of a trained model of mimic.models, which ends as
      model.pt, and `lengths`, the training utterances with their frames. What else is a module here stays frozen and
      in eval mode, unless it is `trainable`;
    - `load(utterances)`: their batch on CPU, a named tuple of tensors, called in reading threads;
    - `sizes(batch)`: over how many things (utterances, frames, tokens) each part of the loss is a mean;
    - `forward(batch, epoch, share)`: {"loss": scalar to minimise, other names: scalars to log}, see `weighted`;
    - `validate()`: {metric: value} on the development set. Of several processes each takes a part: see
      `parallel.shard` and `parallel.all_gather`;
    - where it applies, `frozen(epoch)`: modules that do not learn in this epoch; `stream(utterances)`: reads their
      files in the order of the disk, so that `load` finds them in memory; `compiled()`: modules that torch.compile
      takes; `samples(count)`: what an enhancer makes of so many development utterances, see `mimic.training.samples`;
      `finish(directory)`: what is written beside model.pt when that is there; `close()`: ends what runs beside the
      task, whoever made it calls it.

    Several optimisers (adversarial training): `trainable()` names the modules that are trained, `model` among them;
    each has an optimiser of its own and is in the checkpoints, with what its get_extra_state gives.
    `optimiser_losses(batch, epoch, share)` is a generator that yields (name of the module, losses) once for each
    optimiser step of a batch, in their order. Before it resumes, `losses["loss"]` has been differentiated by that
    module's parameters alone and these have taken their step:

        fake = self.model(batch.noisy, batch.lengths)
        yield "discriminator", weighted({"real": ..., "fake": D(fake.detach())...}, weights, share)
        yield "generator", weighted({"adversarial": D(fake)..., "l1": ...}, weights, share)

    All pieces of a batch (`--train.accum_grad`, several processes) yield the same names. A loss is a sum over the
    pieces: what a task adds outside of `weighted` has to count its share itself.
    """

    SECTIONS: ClassVar[Mapping[str, type]]
    METRICS: ClassVar[Mapping[str, str]]

    model: nn.Module
    lengths: dict[str, int]

    def load(self, utterances: list[str]) -> Any:
        raise NotImplementedError

    def sizes(self, batch: Any) -> dict[str, int]:
        raise NotImplementedError

    def forward(self, batch: Any, epoch: int, share: Mapping[str, float] = WHOLE) -> dict[str, Tensor]:
        raise NotImplementedError

    def trainable(self) -> dict[str, nn.Module]:
        return {"model": self.model}

    def optimiser_losses(
        self, batch: Any, epoch: int, share: Mapping[str, float]
    ) -> Iterator[tuple[str, dict[str, Tensor]]]:
        yield "model", self(batch, epoch, share)

    def validate(self) -> dict[str, float]:
        raise NotImplementedError

    def frozen(self, epoch: int) -> list[nn.Module]:
        return []

    def stream(self, utterances: list[str]) -> None:
        pass

    def compiled(self) -> list[nn.Module]:
        return [self.model]

    def samples(self, count: int) -> list[Any]:
        return []

    def finish(self, directory: Path) -> None:
        pass

    def close(self) -> None:
        """End what runs beside the task, when it is trained or given up."""

    def begin_epoch(self, epoch: int) -> None:
        """Training mode, but for the parts that are frozen in this epoch: no gradient for their parameters, eval mode.

        It depends on the epoch alone, so that a resumed run freezes what the undisturbed one would.
        """
        self.train()
        for module in self.trainable().values():
            module.requires_grad_(True)
        for part in self.frozen(epoch):
            part.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "Task":
        """Training mode for what learns; everything else (a perceptual model, a teacher) stays in eval mode."""
        super().train(False)
        for module in self.trainable().values():
            module.train(mode)
        return self


def weighted(
    parts: Mapping[str, Tensor], weights: Mapping[str, float], share: Mapping[str, float]
) -> dict[str, Tensor]:
    """The weighted sum of the parts as `loss`, and the parts without gradient.

    A part is a mean over one piece of a batch. Counted by `share`, how much of the whole batch that piece is, the
    results of all pieces add up to those of the whole batch.
    """
    shared = {name: value * share[name] for name, value in parts.items()}
    # sum() begins with the integer 0; a part is a tensor.
    total = cast(Tensor, sum(weights[name] * value for name, value in shared.items()))
    return {"loss": total, **{name: value.detach() for name, value in shared.items()}}


def leave_out(skipped: Mapping[str, str], total: int, most: float, directory: Path) -> None:
    """List left-out utterances with their reasons in skipped.tsv. Raises UserError when they are too many."""
    write_skipped(directory / "skipped.tsv", skipped)
    if len(skipped) > most * total:
        utt, reason = next(iter(sorted(skipped.items())))
        raise UserError(
            f"{len(skipped)} of {total} training utterances cannot be used, more than --data.max_skip {most}: "
            f"{utt}: {reason}; the list is in {directory / 'skipped.tsv'}"
        )
