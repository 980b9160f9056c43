"""Multiplications with additions that a network of spectra takes for a frame."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from mimic.nets.products import linear


class _Counter(TorchFunctionMode):
    """Counts those of convolutions and products of matrices; recurrences are counted by hooks."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func in (torch.Tensor.matmul, torch.Tensor.__matmul__, torch.matmul):
            self.total += out.numel() * args[0].shape[-1]
        elif func in (F.conv1d, F.conv2d, F.linear, linear):
            self.total += out.numel() * args[1][0].numel()
        elif func in (F.conv_transpose1d, F.conv_transpose2d):
            self.total += args[0].numel() * args[1][0].numel()
        return out


def macs_per_frame(net: nn.Module, bins: int, frames: int = 4) -> float:
    """Multiply-accumulates of a network of `mimic.nets.SPECTRA` in one of its frames of (2, bins).

    Counted: convolutions, linear layers, recurrences, products of matrices. Not: activations, normalisations, sums and
    Fourier transforms, as in most papers.
    """
    counter = _Counter()

    def hook(gru: nn.GRU, inputs: tuple[Any, ...], output: Any) -> None:
        steps = inputs[0].numel() // gru.input_size
        weights = 3 * gru.hidden_size * (gru.input_size + gru.hidden_size)
        counter.total += steps * weights * (2 if gru.bidirectional else 1)

    handles = [module.register_forward_hook(hook) for module in net.modules() if isinstance(module, nn.GRU)]
    try:
        with torch.no_grad(), counter:
            net(torch.zeros(1, frames, 2, bins), torch.tensor([frames]))
    finally:
        for handle in handles:
            handle.remove()
    return counter.total / frames
