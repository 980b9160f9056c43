"""Light gated recurrent unit (Ravanelli et al., "Light Gated Recurrent Units for Speech Recognition", 2018).

No reset gate, ReLU candidate, batch normalisation on the input projections only:

    z_t = sigmoid(BN(W_z x_t) + U_z h_{t-1})
    c_t = relu(BN(W_h x_t) + U_h h_{t-1}) * m        m: dropout mask, fixed over time
    h_t = z_t h_{t-1} + (1 - z_t) c_t

Both directions of a bidirectional layer share their weights, so the input projection, which holds nearly
all of the arithmetic, is computed once and reversed, not computed twice. The recurrence has a hand-written
backward pass: one small matrix product per frame and direction pair, and one large one for the gradient
of U at the end.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mimic.nets.masking import pack, reverse, tracing, unpack
from mimic.nets.products import Linear

LIMIT = 20.0  # of a clipped candidate


class _Recurrence(torch.autograd.Function):
    """h_t from projected inputs (frames, rows, 2 * hidden) in the order candidate, update gate."""

    @staticmethod
    def forward(ctx, inputs: Tensor, weight: Tensor, mask: Tensor, bounded: bool) -> Tensor:
        frames, rows, double = inputs.shape
        hidden = double // 2
        states = inputs.new_zeros(frames + 1, rows, hidden)
        gates = torch.empty_like(inputs)  # candidate before the mask | update gate
        recurrent = weight.t()
        h = states[0]
        # Views of all frames are made at once: one call each, not one per frame.
        views = (inputs, gates, gates[..., :hidden], gates[..., hidden:], states[1:])
        for x, gate, candidate, update, out in zip(*(view.unbind(0) for view in views), strict=True):
            torch.addmm(x, h, recurrent, out=gate)
            candidate.clamp_(0, LIMIT) if bounded else candidate.relu_()
            update.sigmoid_()
            h = torch.lerp(candidate * mask, h, update, out=out)
        ctx.save_for_backward(gates, states, weight, mask)
        ctx.bounded = bounded
        return states[1:]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_states: Tensor):
        gates, states, weight, mask = ctx.saved_tensors
        frames, rows, double = gates.shape
        hidden = double // 2
        candidate, update = gates[..., :hidden], gates[..., hidden:]
        # Everything that does not depend on the gradient itself is computed for all frames at once.
        slope = (candidate > 0) & (candidate < LIMIT) if ctx.bounded else candidate > 0
        to_candidate = (1 - update) * mask * slope
        to_update = (states[:-1] - candidate * mask) * update * (1 - update)
        grad_gates = torch.empty_like(gates)
        carried = torch.zeros_like(states[0])
        parts = (grad_gates[..., :hidden], grad_gates[..., hidden:])
        views = (grad_states, to_candidate, to_update, update, grad_gates, *parts)
        for grad, c, u, keep, grad_gate, grad_c, grad_u in zip(*(view.unbind(0)[::-1] for view in views), strict=True):
            carried += grad
            torch.mul(carried, c, out=grad_c)
            torch.mul(carried, u, out=grad_u)
            carried *= keep
            carried.addmm_(grad_gate, weight)
        grad_weight = grad_gates.reshape(-1, double).t() @ states[:-1].reshape(-1, hidden)
        return grad_gates, grad_weight, None, None


def _loop(inputs: Tensor, weight: Tensor, limit: float) -> Tensor:
    """The same without dropout, as a graph that takes any number of frames."""
    hidden = weight.shape[1]
    h = torch.zeros(inputs.shape[1], hidden, dtype=inputs.dtype)
    states = []
    for t in range(inputs.shape[0]):
        gate = inputs[t] + torch.mm(h, weight.t())
        update = gate[:, hidden:].sigmoid()
        h = update * h + (1 - update) * gate[:, :hidden].clamp(0.0, limit)
        states.append(h)
    return torch.stack(states)


class LiGru(nn.Module):
    """Stack of bidirectional light GRUs.

    Args:
        input_size: features per frame.
        hidden: units per direction; the output has 2 * hidden features.
        layers: number of layers.
        dropout: probability of dropping a candidate unit, one mask per sequence, rescaled in training.
        bounded: clip the candidate at 20 (as Hannun et al., "Deep Speech", 2014). With the published relu, states
            can grow from frame to frame without limit at high learning rates.

    An utterance's output does not depend on the padding of its batch: batch statistics count real frames
    only, and the backward direction starts at each utterance's own last frame.
    """

    def __init__(self, input_size: int, hidden: int, layers: int, dropout: float = 0.0, bounded: bool = False):
        super().__init__()
        sizes = [input_size] + [2 * hidden] * (layers - 1)
        self.project = nn.ModuleList(Linear(size, 2 * hidden, bias=False) for size in sizes)
        self.norm = nn.ModuleList(nn.BatchNorm1d(2 * hidden, momentum=0.05) for _ in sizes)
        self.recurrent = nn.ParameterList(torch.empty(2 * hidden, hidden) for _ in sizes)
        for weight in self.recurrent:
            nn.init.orthogonal_(weight)
        self.hidden, self.dropout, self.bounded = hidden, dropout, bounded

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(batch, frames, input_size) and the valid frames of each -> (batch, frames, 2 * hidden)."""
        batch, frames = x.shape[:2]
        for project, norm, weight in zip(self.project, self.norm, self.recurrent, strict=True):
            projected = unpack(norm(project(pack(x, lengths))), lengths, frames)  # (batch, frames, 2 * hidden)
            both = torch.cat([projected, reverse(projected, lengths)])  # (2 * batch, frames, 2 * hidden)
            mask = F.dropout(x.new_ones(2 * batch, self.hidden), self.dropout, self.training)
            if tracing():
                loop = torch.jit.script(_loop)  # the graph holds a loop, not as many copies as there are frames
                states = loop(both.transpose(0, 1), weight, LIMIT if self.bounded else torch.inf)
                x = torch.cat([states[:, :1], states[:, 1:].flip(0)], dim=2).transpose(0, 1)
                continue
            with torch.autocast(x.device.type, enabled=False):  # rounding errors would add up over the frames
                states = _Recurrence.apply(both.to(weight).transpose(0, 1), weight, mask.to(weight), self.bounded)
            forward, backward = states.transpose(0, 1).chunk(2)
            x = torch.cat([forward, reverse(backward, lengths)], dim=2)
        return x
