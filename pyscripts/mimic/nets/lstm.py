"""One direction of an LSTM layer (Hochreiter & Schmidhuber, "Long Short-Term Memory", 1997) over packed frames.

    i, f, g, o = sigmoid, sigmoid, tanh, sigmoid of W x_t + U h_{t-1} + b
    c_t = f c_{t-1} + i g
    h_t = o tanh(c_t)

The gradient of U is one product over all frames at the end, as in `ligru`, and so is all that does not wait for the
frame before. That pays where U does not fit a processor's cache (`pays`): smaller layers are faster in PyTorch, which
has no call from Python for each frame.

Packed: the real frames of a batch alone, all first frames, then all second ones, the longest utterance first, as
`nn.utils.rnn.pack_padded_sequence` has them. Padding costs nothing then.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mimic.nets.products import product

LARGE = 8 << 20  # bytes of U


def pays(net: nn.Module, x: Tensor) -> bool:
    """Whether `one_way` trains this network faster than PyTorch's own LSTM."""
    if not isinstance(net, nn.LSTM) or not net.bias or net.proj_size or x.device.type != "cpu":
        return False
    if not torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
        return False
    return 4 * net.hidden_size**2 * x.element_size() >= LARGE


def one_way(x: Tensor, weights: Sequence[Tensor], sizes: list[int], backwards: bool) -> Tensor:
    """Packed frames (n, inputs) -> (n, units), from a state of zeros at the first frame or `backwards` at the last one.

    weights: W (4 * units, inputs), U (4 * units, units) and two biases (4 * units,), as in `nn.LSTM`.
    sizes: utterances that have a first, a second, ... frame; together n.
    """
    from_input, recurrent, bias, more_bias = weights
    return _OneWay.apply(x, from_input, recurrent, bias + more_bias, sizes, backwards)


class _OneWay(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx, x: Tensor, from_input: Tensor, recurrent: Tensor, bias: Tensor, sizes: list[int], backwards: bool
    ) -> Tensor:
        gates = product(x, from_input).add_(bias)  # (n, 4 * units): i, f, g, o
        units = gates.shape[1] // 4
        shape = (4, len(x), units)
        states, cell_tanh, state_before, cell_before = gates.new_empty(shape).unbind()
        # A row of these for each utterance; those that have not begun are zero.
        state, cell = gates.new_zeros(2, max(sizes), units).unbind()
        step = -1 if backwards else 1
        by_unit = recurrent.t().contiguous().t()  # the same matrix, in the order that is fastest for few rows
        # Views of all frames are made at once: one call each, not one per frame.
        views = (gates, gates[:, : 2 * units], *gates.chunk(4, 1), states, cell_tanh, state_before, cell_before)
        for gate, i_f, i, f, g, o, out, squashed, h_before, c_before in zip(
            *(view.split(sizes)[::step] for view in views), strict=True
        ):
            h, c = state[: len(gate)], cell[: len(gate)]
            h_before.copy_(h), c_before.copy_(c)
            gate += product(h, by_unit)
            i_f.sigmoid_(), g.tanh_(), o.sigmoid_()
            c.mul_(f).addcmul_(i, g)
            torch.mul(o, torch.tanh(c, out=squashed), out=out)
            h.copy_(out)
        ctx.save_for_backward(x, from_input, recurrent, gates, cell_tanh, state_before, cell_before)
        ctx.sizes, ctx.step = sizes, step
        return states

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_states: Tensor):
        x, from_input, recurrent, gates, cell_tanh, state_before, cell_before = ctx.saved_tensors
        i, f, g, o = gates.chunk(4, 1)
        # What the gradient of c_t (i, f, g) and of h_t (o) is multiplied by; gradients of the gates after that.
        slopes = [g * i * (1 - i), cell_before * f * (1 - f), i * (1 - g * g), cell_tanh * o * (1 - o)]
        grad_gates = torch.stack(slopes, dim=1)  # (n, 4, units)
        to_cell = o * (1 - cell_tanh * cell_tanh)
        state, cell = gates.new_zeros(2, max(ctx.sizes), gates.shape[1] // 4).unbind()
        views = (grad_states, to_cell, f, grad_gates, grad_gates[:, :3], grad_gates[:, 3], grad_gates.flatten(1))
        for grad, slope, keep, gate, i_f_g, by_o, flat in zip(
            *(view.split(ctx.sizes)[:: -ctx.step] for view in views), strict=True
        ):
            h, c = state[: len(gate)], cell[: len(gate)]
            h += grad
            c.addcmul_(h, slope)
            by_o *= h
            i_f_g *= c.unsqueeze(1)
            c *= keep
            h.copy_(product(flat, recurrent.t()))
        flat = grad_gates.flatten(1)
        across = flat.t().contiguous()
        needed = ctx.needs_input_grad
        grad_x = product(flat, from_input.t()) if needed[0] else None
        grad_from_input = product(across, x.t()) if needed[1] else None
        grad_recurrent = product(across, state_before.t()) if needed[2] else None
        return grad_x, grad_from_input, grad_recurrent, flat.sum(0), None, None
