"""FastEnhancer at inference: one frame per call, plain weights, about a hundred small matrix products and sums.

Batch and weight normalisation are folded into the weights of `mimic.nets.fast`. All is (channels, positions) of one
frame, so that a graph has no transposition but those that runtimes fuse into a product.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mimic.nets.fast import Block, FastMask, Joining, Normalised


class FoldedFast(nn.Module):
    """The mask of one frame of one signal: compressed spectrum (2, bins) and the state before -> the mask, the state.

    The state is one tensor (units, positions) for each block; `initial` gives that of a signal's beginning.
    """

    gather: Tensor
    spread: Tensor
    reduce: Tensor
    reduce_bias: Tensor
    expand: Tensor
    expand_bias: Tensor
    output: Tensor
    output_bias: Tensor

    def __init__(self, net: FastMask):
        super().__init__()
        if net.config.bidirectional:
            raise ValueError("a bidirectional network has no step")
        self.config = net.config
        self.enter = Conv(net.enter, net.config.stride)
        self.encoder = nn.ModuleList(Conv(layer) for layer in net.encoder)
        weight, bias = _folded(net.reduce)
        # Positions are gathered first: averages commute with a product of channels, and there are fewer of them then.
        self.register_buffer("gather", net.gather.clone())  # (places, positions)
        self.register_buffer("spread", net.spread.clone())  # (positions, places)
        self.register_buffer("reduce", weight.squeeze(2))
        self.register_buffer("reduce_bias", bias[:, None] + net.position.detach().T)  # (units, positions)
        self.blocks = nn.ModuleList(FoldedBlock(block) for block in net.blocks)
        weight, bias = _folded(net.expand)
        self.register_buffer("expand", weight.squeeze(2))
        self.register_buffer("expand_bias", bias[:, None])
        layers = [layer for pair in net.decoder for layer in pair.children()]
        self.decoder = nn.ModuleList(Conv(layer) for layer in [*layers, net.leave])
        assert net.output.bias is not None
        self.register_buffer("output", net.output.weight.detach().squeeze(2).clone())
        self.register_buffer("output_bias", net.output.bias.detach().clone())

    def initial(self) -> tuple[Tensor, ...]:
        """The state before the first frame."""
        return tuple(self.gather.new_zeros(self.config.units, self.config.positions) for _ in self.blocks)

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        skips = [self.enter(x[None, :, 1:])]  # (1, channels, places)
        for layer in self.encoder:
            skips.append(layer(skips[-1]))
        core = torch.addmm(self.reduce_bias, self.reduce, skips[-1][0] @ self.gather)  # (units, positions)
        after = []
        for block, before in zip(self.blocks, state, strict=True):
            core, new = block(core, before)
            after.append(new)
        # The places of a position sum to one, so that the bias may come before they are spread.
        y = (torch.addmm(self.expand_bias, self.expand, core) @ self.spread)[None]
        for number, layer in enumerate(self.decoder):
            if number % 2 == 0:
                y = torch.cat([y, skips.pop()], dim=1)
            y = layer(y)
        padding = (self.config.kernels[0] - self.config.stride) // 2
        mask = F.conv_transpose1d(y, self.output, self.output_bias, self.config.stride, padding)
        return (F.pad(mask[0], (1, 0)), *after)


class FoldedBlock(nn.Module):
    """A `Block` of one frame, (units, positions)."""

    gates: Tensor
    gates_bias: Tensor
    rnn_output: Tensor
    rnn_bias: Tensor
    attention: Tensor
    attention_output: Tensor
    attention_bias: Tensor

    def __init__(self, block: nn.Module):
        super().__init__()
        assert isinstance(block, Block)
        rnn, self.heads = block.rnns[0], block.heads
        assert isinstance(rnn, nn.GRU)
        weight_x, weight_h, bias_x, bias_h = (value.detach() for value in rnn.all_weights[0])
        reset, update, new = weight_x.chunk(3)
        reset_h, update_h, new_h = weight_h.chunk(3)
        none = torch.zeros_like(new)
        # Rows: reset gate, update gate, and the candidate's part of the input and of the state.
        rows = [[reset, reset_h], [update, update_h], [new, none], [none, new_h]]
        self.register_buffer("gates", torch.cat([torch.cat(row, dim=1) for row in rows]))  # (4 units, 2 units)
        inputs, states = bias_x.chunk(3), bias_h.chunk(3)
        bias = torch.cat([inputs[0] + states[0], inputs[1] + states[1], inputs[2], states[2]])
        self.register_buffer("gates_bias", bias[:, None])
        self.units = len(reset)
        for name, layer in (("rnn", block.rnn_output), ("attention", block.attention_output)):
            weight, bias = _folded(layer)
            self.register_buffer(f"{name}_output", weight.squeeze(2))
            self.register_buffer(f"{name}_bias", bias[:, None])
        weight = block.attention.weight.detach().clone()
        weight[: self.units] *= (self.units // self.heads) ** -0.5  # of the queries
        self.register_buffer("attention", weight)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        gates = torch.addmm(self.gates_bias, self.gates, torch.cat([x, state]))
        gated, new, new_h = gates.split([2 * self.units, self.units, self.units])
        reset, update = gated.sigmoid().split(self.units)
        new = torch.tanh(new + reset * new_h)
        state = new + update * (state - new)
        x = x + torch.addmm(self.rnn_bias, self.rnn_output, state)
        query, key, value = (self.attention @ x).view(3, self.heads, self.units // self.heads, -1).unbind(0)
        weights = (query.transpose(1, 2) @ key).softmax(2)  # (heads, positions, positions)
        attended = (value @ weights.transpose(1, 2)).reshape(self.units, -1)
        return x + torch.addmm(self.attention_bias, self.attention_output, attended), state


class Conv(nn.Module):
    """A `Normalised` with SiLU over (1, channels, positions)."""

    weight: Tensor
    bias: Tensor

    def __init__(self, layer: nn.Module, stride: int = 1):
        super().__init__()
        weight, bias = _folded(layer)
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.stride, self.padding = stride, (weight.shape[2] - stride) // 2

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(F.conv1d(x, self.weight, self.bias, self.stride, self.padding))


def folded(net: FastMask) -> FoldedFast:
    """The inference form of a trained network: its weights at this moment, without any normalisation."""
    return FoldedFast(net).eval()


def _folded(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight (outputs, inputs, width) and bias (outputs,) of a convolution with its batch normalisation."""
    assert isinstance(layer, Normalised | Joining)
    conv, norm = layer[0], layer[1]
    assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight.detach() * (norm.running_var + norm.eps).rsqrt()
    weight = conv.weight.detach().squeeze(2) * scale[:, None, None]
    return weight, norm.bias.detach() - norm.running_mean * scale
