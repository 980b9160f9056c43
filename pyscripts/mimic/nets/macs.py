"""Multiplications with additions that a network of spectra takes for a frame."""

from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode


class _Counter(TorchFunctionMode):
    """Counts those of products of matrices, `@`; layers are counted by hooks."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func in (torch.Tensor.matmul, torch.Tensor.__matmul__, torch.matmul):
            self.total += out.numel() * args[0].shape[-1]
        return out


def macs_per_frame(net: nn.Module, bins: int, frames: int = 4) -> float:
    """Multiply-accumulates of a network of `mimic.nets.SPECTRA` in one of its frames of (2, bins).

    Counted: convolutions, linear layers, recurrences, products of matrices. Not: activations, normalisations, sums and
    Fourier transforms, as in most papers.
    """
    counter = _Counter()

    def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        y = output[0] if isinstance(output, tuple) else output
        if isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d):
            counter.total += inputs[0].numel() * module.weight[0].numel()
        elif isinstance(module, nn.Conv1d | nn.Conv2d):
            counter.total += y.numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            counter.total += y.numel() * module.in_features
        elif isinstance(module, nn.GRU):
            steps = inputs[0].numel() // module.input_size
            weights = 3 * module.hidden_size * (module.input_size + module.hidden_size)
            counter.total += steps * weights * (2 if module.bidirectional else 1)

    handles = [module.register_forward_hook(hook) for module in net.modules()]
    try:
        with torch.no_grad(), counter:
            net(torch.zeros(1, frames, 2, bins), torch.tensor([frames]))
    finally:
        for handle in handles:
            handle.remove()
    return counter.total / frames
