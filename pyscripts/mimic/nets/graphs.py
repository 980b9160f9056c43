"""Models as graphs of one signal, for export: a function of a waveform, with the modules whose weights it uses."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Graph(nn.Module):
    """A waveform (1, samples) -> what the model makes of it.

    Args:
        run: the same as a function, in operators that ONNX has.
        reference: as the model does it otherwise; both give the same.
        parts: modules that `run` uses.
        rate: Hz of the waveform.
        output: name of the result: enhanced (1, samples), log_probs (1, frames, tokens) or states (layers, frames,
            units).
    """

    def __init__(
        self,
        run: Callable[[Tensor], Tensor],
        reference: Callable[[Tensor], Tensor],
        parts: list[nn.Module],
        rate: int,
        output: str,
    ):
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.run, self.reference, self.rate, self.output = run, reference, rate, output

    def forward(self, waveform: Tensor) -> Tensor:
        return self.run(waveform)


def count_frames(x: Tensor) -> Tensor:
    """The number of frames of (1, frames, bins), (1,): counted, so that a graph counts them too."""
    return torch.ones_like(x[:, :, 0]).cumsum(1)[:, -1].long()
