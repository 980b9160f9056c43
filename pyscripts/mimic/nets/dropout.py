"""Dropout whose random numbers do not cost more than the layer that they follow."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """As `F.dropout`: zeroes elements with probability p and divides the others by 1 - p.

    On a CPU, PyTorch draws one random number per element; here one serves four, so that p is a multiple of 2^-16.
    """
    if not training or p == 0:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, p)
    keep = torch.ge(draw(x.shape), threshold(p), out=x.new_empty(x.shape))
    return x * keep.mul_(1 / (1 - p))


def draw(shape: Sequence[int]) -> Tensor:
    """Random numbers, -2^15 to 2^15 - 1, on the CPU."""
    size = math.prod(shape)
    draws = torch.empty(-(-size // 4), dtype=torch.int64).random_(-(1 << 63), None)  # all 64 bits
    return draws.view(torch.int16)[:size].view(*shape)


def threshold(p: float) -> int:
    """From which on numbers of `draw` are kept."""
    return round(p * 65536) - 32768


class Dropout(nn.Module):
    """`nn.Dropout` with these random numbers."""

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p, self.training)
