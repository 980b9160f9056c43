"""What the training loop knows of a system."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from mimic import atomic
from mimic.data.kaldi_dir import write_skipped
from mimic.errors import UserError

OPTIONS = "features.conf"


class Task(nn.Module):
    """A model with its batches, losses and validation. One training loop serves all tasks.

    A subclass defines

    - NETS: networks by name, as (module, dataclass of its sizes); SECTIONS: further sections of its configuration;
      METRICS: validation figures, and whether "min" or "max" is better;
    - `build(config, directory)`: the model alone, from an experiment directory, for inference;
    - `__init__(config, directory)`: sets `model`, the only part that is trained and saved, and `lengths`, the
      training utterances with their frames. What else is a module here stays frozen and in eval mode;
    - `load(utterances)`: their batch on CPU, called in a reading thread;
    - `forward(batch, epoch)`: {"loss": scalar to minimise, other names: scalars to log};
    - `validate()`: {metric: value} on the development set;
    - where it applies, `frozen(epoch)`: parts of the model that do not learn in this epoch; `finish(directory)`: what
      is written beside model.pt when that is there.
    """

    NETS: ClassVar[Mapping[str, tuple[type, type]]]
    SECTIONS: ClassVar[Mapping[str, type]]
    METRICS: ClassVar[Mapping[str, str]]

    model: nn.Module
    lengths: dict[str, int]

    def load(self, utterances: list[str]) -> Any:
        raise NotImplementedError

    def forward(self, batch: Any, epoch: int) -> dict[str, Tensor]:
        raise NotImplementedError

    def validate(self) -> dict[str, float]:
        raise NotImplementedError

    def frozen(self, epoch: int) -> list[nn.Module]:
        return []

    def finish(self, directory: Path) -> None:
        pass

    def begin_epoch(self, epoch: int) -> None:
        """Training mode, but for the parts that are frozen in this epoch: no gradient for their parameters, eval mode.

        It depends on the epoch alone, so that a resumed run freezes what the undisturbed one would.
        """
        self.train()
        self.model.requires_grad_(True)
        for part in self.frozen(epoch):
            part.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "Task":
        """Training mode for the model; everything else (a perceptual model, a teacher) stays in eval mode."""
        super().train(False)
        self.model.train(mode)
        return self


def copy_feature_options(features: Path, directory: Path) -> None:
    """Keep the options of the training features beside the model: inference reads nothing but its directory."""
    try:
        (options,) = sorted((features / "conf").glob("*.conf"))
    except ValueError:
        raise UserError(f"{features}/conf: expected one option file: is it a feature directory (stage 2)?") from None
    with atomic.replace(directory / OPTIONS, "wb") as f:
        f.write(options.read_bytes())


def leave_out(skipped: Mapping[str, str], total: int, most: float, directory: Path) -> None:
    """List left-out utterances with their reasons in skipped.tsv. Raises UserError when they are too many."""
    write_skipped(directory / "skipped.tsv", skipped)
    if len(skipped) > most * total:
        utt, reason = next(iter(sorted(skipped.items())))
        raise UserError(
            f"{len(skipped)} of {total} training utterances cannot be used, more than --data.max_skip {most}: "
            f"{utt}: {reason}; the list is in {directory / 'skipped.tsv'}"
        )
