"""One direction of a GRU layer (Cho et al., 2014, as in `nn.GRU`) over sequences that lie packed in one array.

Small layers alone: where a row of the weights' matrix fits some registers, the time of PyTorch's layer is that of its
calls for each step. Without a compiler, in inference and on other devices it is PyTorch's layer.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from mimic.nets.compiled import kernel

WIDEST = 64  # units and inputs: of 64, two matrices of 48 KB


@dataclass
class Sequences:
    """Where sequences lie in an array of rows: step t of sequence i is row base[i] + t * stride.

    Sequences of one length that follow each other are worked on together.
    """

    base: Tensor  # (sequences,)
    lengths: Tensor  # (sequences,)
    stride: int

    @staticmethod
    def over_frames(lengths: Tensor, positions: int) -> "Sequences":
        """Of each position over the frames of each utterance, of (real frames, positions, ...)."""
        first = (lengths.cumsum(0) - lengths) * positions
        base = first[:, None] + torch.arange(positions, device=lengths.device)
        return Sequences(base.flatten(), lengths.repeat_interleave(positions), positions)

    @staticmethod
    def over_positions(frames: int, positions: int) -> "Sequences":
        """Of each frame over its positions, of (frames, positions, ...)."""
        return Sequences(torch.arange(frames) * positions, torch.full((frames,), positions), 1)


def pays(net: nn.Module, x: Tensor) -> bool:
    """Whether `recur` trains this layer faster than PyTorch does."""
    if not isinstance(net, nn.GRU) or net.num_layers > 1 or not net.bias:
        return False
    fits = max(net.input_size, net.hidden_size) <= WIDEST and x.shape[-1] == net.input_size
    return fits and x.dtype is net.weight_hh_l0.dtype is torch.float32 and kernel.pays(x)


def recur(net: nn.Module, x: Tensor, sequences: Sequences, backwards: bool = False, direction: int = 0) -> Tensor:
    """x (..., inputs) -> (..., units), from states of zeros at the first step, or the last one; differentiable once.

    direction: of the weights of an `nn.GRU`; a bidirectional one has two. Hooks of the layer do not run.
    Raises ValueError where the sequences are not those of x.
    """
    if int(sequences.lengths.sum()) != x.shape[:-1].numel():
        raise ValueError(f"sequences of {int(sequences.lengths.sum())} steps in {x.shape[:-1].numel()} rows")
    weights: Any = net.all_weights
    y = _Recurrence.apply(x.reshape(-1, x.shape[-1]), *weights[direction], sequences, backwards)
    return y.view(*x.shape[:-1], -1)


class _Recurrence(torch.autograd.Function):
    """x (rows, inputs) -> (rows, units)."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, of_input: Tensor, of_state: Tensor, input_bias: Tensor, state_bias: Tensor,
        sequences: Sequences, backwards: bool,
    ) -> Tensor:  # fmt: skip
        x, units = x.contiguous(), of_state.shape[1]
        ctx.sizes = len(sequences.base), sequences.stride, x.shape[1], units, int(backwards)
        weights = [_padded(part) for part in (of_input.t(), of_state.t(), input_bias, state_bias)]
        places = [part.long().contiguous() for part in (sequences.base, sequences.lengths)]
        output, kept = x.new_empty(len(x), units), x.new_empty(len(x), 4 * units)
        kernel.call("gru_forward", ctx.sizes, *places, x, *weights, output, kept)
        ctx.save_for_backward(x, of_input, of_state, output, kept, *places)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, of_input, of_state, output, kept, base, lengths = ctx.saved_tensors
        _, stride, inputs, units, backwards = ctx.sizes
        to_gates, to_inner, to_x = (grad.new_empty(len(x), size) for size in (3 * units, units, inputs))
        weights = _padded(of_input), _padded(of_state)
        kernel.call(
            "gru_backward", ctx.sizes, base, lengths, grad.contiguous(), *weights, output, kept,
            to_gates, to_inner, to_x,
        )  # fmt: skip
        before = torch.zeros_like(output)  # the state before each step
        if backwards:
            before[:-stride] = output[stride:]
        else:
            before[stride:] = output[:-stride]
        first = base + (lengths - 1) * stride if backwards else base
        before[first[lengths > 0]] = 0
        r_z = to_gates[:, : 2 * units]
        of_gates = to_gates.sum(0)
        return (
            to_x,
            to_gates.t() @ x,
            torch.cat([r_z.t() @ before, to_inner.t() @ before]),
            of_gates,
            torch.cat([of_gates[: 2 * units], to_inner.sum(0)]),
            None,
            None,
        )


def _padded(x: Tensor) -> Tensor:
    """Zeros to whole vectors at the end of each row."""
    return F.pad(x, (0, -x.shape[-1] % kernel.LANES)).contiguous()
