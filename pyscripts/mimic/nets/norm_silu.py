"""Batch normalisation and SiLU in one: memory is read and written half as often as by one after the other."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from mimic.nets.compiled import kernel

TYPES = torch.float32, torch.bfloat16


def norm_silu(norm: nn.Module, x: Tensor) -> Tensor:
    """silu(norm(x)) of x (frames, channels, 1, positions), of this shape, in channels-last order where x has it.

    norm: an `nn.BatchNorm2d`, whose hooks do not run. Differentiable once.
    """
    assert isinstance(norm, nn.BatchNorm2d)
    rows = x.squeeze(2).transpose(1, 2).flatten(0, 1)  # (frames * positions, channels)
    learned = norm.training and norm.affine and norm.track_running_stats and norm.weight.dtype is torch.float32
    if not (learned and x.dtype in TYPES and len(rows) > 1 and rows.is_contiguous() and kernel.pays(rows)):
        return F.silu(norm(x))
    y, mean, variance = _NormSilu.apply(rows, norm.weight, norm.bias, norm.eps)
    with torch.no_grad():
        assert norm.num_batches_tracked is not None and norm.running_mean is not None and norm.running_var is not None
        norm.num_batches_tracked.add_(1)
        share = 1.0 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
        norm.running_mean.lerp_(mean, share)
        norm.running_var.lerp_(variance * (len(rows) / (len(rows) - 1)), share)
    return y.view(len(x), -1, x.shape[1]).transpose(1, 2).unsqueeze(2)


class _NormSilu(torch.autograd.Function):
    """x (n, channels) -> silu(norm(x)), mean and variance (channels,). Ioffe & Szegedy, 2015, algorithm 1."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        ctx.shape = *x.shape, int(x.dtype is torch.bfloat16)
        mean, variance = torch.empty(2, x.shape[1], dtype=torch.float64, device=x.device).unbind()
        kernel.call("norm_moments", ctx.shape, x, mean, variance)
        inverse = (variance + eps).rsqrt()
        scale = weight * inverse
        shift = (bias - mean * scale).float()
        mean, inverse, scale = mean.float(), inverse.float(), scale.float()
        y = torch.empty_like(x)
        kernel.call("norm_silu", ctx.shape, x, scale, shift, y)
        ctx.save_for_backward(x, mean, inverse, scale, shift)
        ctx.mark_non_differentiable(mean, variance := variance.float())
        return y, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, mean, inverse, scale, shift = ctx.saved_tensors
        grad, to_x = grad.contiguous(), torch.empty_like(x)
        total, product = torch.empty(2, x.shape[1], dtype=torch.float64, device=x.device).unbind()
        kernel.call("norm_silu_sums", ctx.shape, grad, x, scale, shift, mean, total, product)
        to_weight = product * inverse
        slope, offset = -scale * inverse * to_weight / len(x), -scale * total / len(x)
        numbers = scale, shift, mean, slope.float(), offset.float()
        kernel.call("norm_silu_gradient", ctx.shape, grad, x, *numbers, to_x)
        return to_x, to_weight.float(), total.float(), None
