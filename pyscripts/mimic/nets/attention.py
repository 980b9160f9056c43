"""Self-attention with dropout of the weights: Vaswani et al., "Attention is all you need", 2017, equation 1."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from mimic.nets.compiled import kernel
from mimic.nets.dropout import draw, dropout, threshold


def attend(projected: Tensor, bias: Tensor, p: float) -> Tensor:
    """Queries, keys and values (batch, frames, 3, heads, size) -> (batch, frames, heads, size).

    bias: what is added to the scores, (batch, 1, 1 or frames, frames), without a gradient. p: of dropout, 0 in
    inference. In training on a CPU it is differentiable once; no scores are kept where the library of `kernel` has it.
    """
    if projected.device.type != "cpu" or p == 0:
        query, key, value = projected.permute(2, 0, 3, 1, 4)  # (batch, heads, frames, size) each
        return F.scaled_dot_product_attention(query, key, value, bias, p).transpose(1, 2)
    if projected.dtype is bias.dtype is torch.float32 and bias.shape[2] == 1 and kernel.pays(projected):
        return _Attention.apply(projected, bias[:, 0, 0], p)
    # PyTorch's would draw its own, slower dropout.
    query, key, value = projected.permute(2, 0, 3, 1, 4).flatten(1, 2)  # (batch * heads, frames, size) each
    scores = torch.bmm(query * query.shape[2] ** -0.5, key.transpose(1, 2)).unflatten(0, (len(projected), -1))
    weights = dropout(scores.add_(bias).softmax(3), p, True).flatten(0, 1)  # (batch * heads, frames, frames)
    return torch.bmm(weights, value).unflatten(0, (len(projected), -1)).transpose(1, 2)


class _Attention(torch.autograd.Function):
    """(batch, frames, 3, heads, size), biases of keys (batch, frames) -> (batch, frames, heads, size)."""

    @staticmethod
    def forward(ctx: Any, projected: Tensor, bias: Tensor, p: float) -> Tensor:
        projected, bias = projected.contiguous(), bias.contiguous()
        batch, frames, _, heads, size = projected.shape
        ctx.sizes = batch, frames, heads, size, threshold(p)
        draws = draw((batch, heads, frames, frames))
        factors = torch.tensor([size**-0.5, 1 / (1 - p)])
        output, level = projected.new_empty(batch, frames, heads, size), projected.new_empty(batch, heads, frames)
        kernel.call("attention_forward", ctx.sizes, projected, bias, draws, factors, output, level)
        ctx.save_for_backward(projected, bias, draws, factors, output, level)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        projected = ctx.saved_tensors[0]
        to_projected = torch.empty_like(projected)
        kernel.call("attention_backward", ctx.sizes, *ctx.saved_tensors, grad.contiguous(), to_projected)
        return to_projected, None, None
