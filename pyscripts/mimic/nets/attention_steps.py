"""All steps of an attention decoder whose tokens are known, and their gradient (see `attention_decoder`).

What autograd does token by token is done once for all tokens: the gradient of each weight matrix is one product at the
end, and no matrix is added to another of its size for each token. That takes half the time of a decoder's training.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from mimic.nets.products import linear

LARGEST = 1 << 20  # elements of the matrix of location filters, which serves all tokens of a batch


class Parameters(NamedTuple):
    """Parameters of a step; its GRU without the part that reads the embedding."""

    context: Tensor  # (3 * units, attention)
    state: Tensor  # (3 * units, units)
    state_bias: Tensor  # (3 * units,)
    query: Tensor  # (attention, units)
    query_bias: Tensor  # (attention,)
    filters: Tensor  # (channels, span)
    location: Tensor  # (attention, channels)
    location_bias: Tensor  # (attention,)
    energy: Tensor  # (attention,)


class Location:
    """Filters (channels, span) over attention weights (rows, frames): (rows, frames, channels).

    By matrix products; a convolution with one input channel costs several times as much per call.
    """

    def __init__(self, filters: Tensor, frames: int, largest: int):
        """largest: elements up to which a matrix of shifted filters is made; beyond, windows of the weights."""
        self.filters, self.frames, self.half = filters, frames, filters.shape[1] // 2
        self.matrix = None
        if frames * frames * len(filters) > largest:
            return
        reach = max(self.half, frames - 1)  # element [t, c, s]: what channel c of frame t takes from frame s
        shifted = F.pad(filters, (reach - self.half, reach - self.half)).unfold(1, frames, 1)
        self.matrix = shifted[:, reach - frames + 1 : reach + 1].flip(1).transpose(0, 1).flatten(0, 1)

    def __call__(self, weights: Tensor) -> Tensor:
        if self.matrix is not None:
            return F.linear(weights, self.matrix).view(len(weights), self.frames, -1)
        windows = F.pad(weights, (self.half, self.half)).unfold(1, 2 * self.half + 1, 1)  # (rows, frames, span)
        return F.linear(windows.flatten(0, 1), self.filters).view(len(weights), self.frames, -1)


def all_steps(
    embedded: Tensor, keys: Tensor, values: Tensor, padding: Tensor, weights: Tensor, parameters: Parameters
) -> tuple[Tensor, Tensor]:
    """Contexts (batch, L, attention) and states (batch, L, units), from a state and a context of zeros.

    embedded: the part of the GRU that reads the embedding, with its bias (batch, L, 3 * units). keys and values (batch,
    frames, attention), padding (batch, frames). weights: of the attention before the first token (batch, frames), in
    which it is not differentiated. Differentiable once.
    """
    contexts, states = _AllSteps.apply(embedded.transpose(0, 1), keys, values, padding, weights, *parameters)
    return contexts.transpose(0, 1), states.transpose(0, 1)


class _AllSteps(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, embedded: Tensor, keys: Tensor, values: Tensor, padding: Tensor, spread: Tensor, *given: Tensor
    ) -> tuple[Tensor, Tensor]:
        of = Parameters(*(parameter.contiguous() for parameter in given))
        (length, batch, _), (_, frames, size), units = embedded.shape, keys.shape, of.state.shape[1]
        with torch.enable_grad():  # so that autograd finds the filters' gradient from that of their matrix
            ctx.filters = of.filters.detach().requires_grad_()
            ctx.locate = Location(ctx.filters, frames, LARGEST)
        # What comes before a token, and what it makes, lie one after the other: [0] is before the first one.
        states, contexts = keys.new_zeros(length + 1, batch, units), keys.new_zeros(length + 1, batch, size)
        attention = torch.cat([spread.unsqueeze(0), keys.new_empty(length, batch, frames)])
        gates = keys.new_empty(length, batch, 3 * units)  # r, z, n
        inner = keys.new_empty(length, batch, units)  # of n, what r weights
        located = keys.new_empty(length, batch, frames, len(of.filters))
        squashed = keys.new_empty(length, batch * frames, size)
        # tanh(x) = 2 sigmoid(2 x) - 1, which on a CPU takes a quarter of the time; -1 changes all energies by the same.
        # 2 x: all that x adds up is doubled beforehand.
        base = ((keys + (of.query_bias + of.location_bias)) * 2).flatten(0, 1)
        to_keys, to_query, energy = 2 * of.location.t(), 2 * of.query, 2 * of.energy
        for t in range(length):
            from_context = linear(contexts[t], of.context).add_(embedded[t])
            from_state = linear(states[t], of.state, of.state_bias)
            r_z, n, z = gates[t, :, : 2 * units], gates[t, :, 2 * units :], gates[t, :, units : 2 * units]
            torch.add(from_context[:, : 2 * units], from_state[:, : 2 * units], out=r_z).sigmoid_()
            inner[t] = from_state[:, 2 * units :]
            torch.addcmul(from_context[:, 2 * units :], gates[t, :, :units], inner[t], out=n).tanh_()
            torch.lerp(n, states[t], z, out=states[t + 1])
            located[t] = ctx.locate(attention[t])
            torch.addmm(base, located[t].flatten(0, 1), to_keys, out=squashed[t])
            squashed[t].view(batch, frames, size).add_(linear(states[t + 1], to_query).unsqueeze(1))
            energies = squashed[t].sigmoid_() @ energy
            scores = energies.view(batch, frames).masked_fill_(padding, -torch.inf)
            attention[t + 1] = scores.softmax(1)
            torch.bmm(attention[t + 1].unsqueeze(1), values, out=contexts[t + 1].unsqueeze(1))
        ctx.save_for_backward(values, states, contexts, attention, gates, inner, located, squashed, *of)
        return contexts[1:].clone(), states[1:].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_contexts: Tensor, grad_states: Tensor) -> tuple[Tensor | None, ...]:
        values, states, contexts, attention, gates, inner, located, squashed, *given = ctx.saved_tensors
        of = Parameters(*given)
        (length, batch, units), (_, frames, size) = grad_states.shape, values.shape
        r, z, n = gates.chunk(3, 2)
        # What the gradient of a state is multiplied by on its way to r, z, n and to the inner part of n.
        slopes = torch.empty_like(gates)
        to_r, to_z, to_n = slopes.chunk(3, 2)
        torch.mul(1 - z, 1 - n * n, out=to_n)
        torch.mul((states[:-1] - n) * z, 1 - z, out=to_z)
        torch.mul(to_n * inner * r, 1 - r, out=to_r)
        grad_gates, grad_hidden = torch.empty_like(gates), torch.empty_like(gates)
        grad_query = grad_states.new_empty(length, batch, size)
        all_contexts = torch.empty_like(grad_contexts)
        # Gradients of sigmoid(2 x) are those of 2 x times s (1 - s); energies and x are doubled: 4.
        four = 4 * of.energy
        query, to_location = of.query * four.unsqueeze(1), (of.location * four.unsqueeze(1)).t()
        to_location = to_location.contiguous()  # (channels, attention)
        grad_keys, grad_energy = torch.zeros_like(squashed[0]), torch.zeros_like(of.energy)
        grad_location = torch.zeros_like(to_location)  # transposed
        matrix = ctx.locate.matrix
        grad_filters = torch.zeros_like(ctx.filters if matrix is None else matrix)
        state, context, weight = (torch.zeros_like(part[0]) for part in (states, contexts, attention))
        for t in reversed(range(length)):
            context = torch.add(context, grad_contexts[t], out=all_contexts[t])
            weight = weight + torch.linalg.vecdot(values, context.unsqueeze(1))
            scores = attention[t + 1] * weight
            scores = torch.addcmul(scores, attention[t + 1], scores.sum(1, keepdim=True), value=-1)
            s = squashed[t]
            grad_energy.addmv_(s.t(), scores.flatten())
            grad = torch.addcmul(s, s, s, value=-1).mul_(scores.view(-1, 1))  # (batch * frames, attention)
            grad_keys += grad
            torch.sum(grad.view(batch, frames, size), 1, out=grad_query[t])
            grad_location.addmm_(located[t].flatten(0, 1).t(), grad)
            weight, of_filters = _locate_backward(ctx, attention[t], F.linear(grad, to_location).view_as(located[t]))
            grad_filters += of_filters
            state = linear(grad_query[t], query.t()).add_(state).add_(grad_states[t])
            torch.mul(slopes[t].view(batch, 3, units), state.unsqueeze(1), out=grad_gates[t].view(batch, 3, units))
            hidden = grad_hidden[t].copy_(grad_gates[t])
            hidden[:, 2 * units :] *= r[t]
            state = linear(hidden, of.state.t()).addcmul_(state, z[t])
            context = linear(grad_gates[t], of.context.t())
        grad_query *= four
        flat = grad_query.flatten(0, 1)
        bias = flat.sum(0)
        if matrix is not None:
            (grad_filters,) = torch.autograd.grad(matrix, ctx.filters, grad_filters, retain_graph=True)
        across, hidden = grad_gates.flatten(0, 1).t(), grad_hidden.flatten(0, 1)
        return (
            grad_gates,
            (grad_keys * four).view(batch, frames, size),
            torch.bmm(attention[1:].permute(1, 2, 0), all_contexts.transpose(0, 1)),
            None,
            None,
            linear(across, contexts[:-1].flatten(0, 1).t()),
            linear(hidden.t(), states[:-1].flatten(0, 1).t()),
            hidden.sum(0),
            linear(flat.t(), states[1:].flatten(0, 1).t()),
            bias,
            grad_filters,
            grad_location.t() * four.unsqueeze(1),
            bias,
            2 * grad_energy,
        )


def _locate_backward(ctx: Any, weights: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient of attention weights from that of what was located, and that of the filters, or of their matrix."""
    matrix, half = ctx.locate.matrix, ctx.locate.half
    if matrix is not None:
        rows = grad.flatten(1)  # (batch, frames * channels)
        return rows @ matrix.detach(), rows.t() @ weights
    filters = ctx.filters.detach()
    windows = F.pad(weights, (half, half)).unfold(1, 2 * half + 1, 1).flatten(0, 1)  # (batch * frames, span)
    back = F.conv_transpose1d(grad.transpose(1, 2), filters.unsqueeze(1), padding=half)
    return back.squeeze(1), grad.flatten(0, 1).t() @ windows
