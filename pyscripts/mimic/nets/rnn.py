"""Bidirectional recurrent layers over padded batches."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from mimic.nets import lstm
from mimic.nets.dropout import dropout
from mimic.nets.ligru import LiGru
from mimic.nets.masking import reverse, tracing, valid_frames


class Rnn(nn.Module):
    """Bidirectional recurrence of the chosen kind: ligru, ligru_clipped, lstm or gru."""

    def __init__(self, kind: str, inputs: int, units: int, layers: int, dropout: float):
        super().__init__()
        if kind.startswith("ligru"):
            self.net = LiGru(inputs, units, layers, dropout, bounded=kind == "ligru_clipped")
        else:
            cell = {"lstm": nn.LSTM, "gru": nn.GRU}[kind]
            self.net = cell(
                inputs, units, layers, batch_first=True, bidirectional=True, dropout=dropout if layers > 1 else 0.0
            )

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(batch, frames, inputs) -> (batch, frames, 2 * units), of an LSTM or a GRU zero on padding."""
        if isinstance(self.net, LiGru):
            return self.net(x, lengths)
        return bidirectional(self.net, x, lengths)


def bidirectional(net: nn.LSTM | nn.GRU, x: Tensor, lengths: Tensor) -> Tensor:
    """What a batch-first bidirectional net gives for each utterance by itself.

    (batch, frames, inputs) -> (batch, frames, 2 * units), zero on padding.
    """
    if tracing():
        return net(x)[0]
    if x.is_cuda:
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        with differentiable(net, x):
            output = net(packed)[0]
        return nn.utils.rnn.pad_packed_sequence(output, batch_first=True, total_length=x.shape[1])[0]
    if lstm.pays(net, x):
        return _large_lstm(net, x, lengths)
    # On a CPU a training step of PyTorch's layers over packed sequences takes three to ten times as long as one
    # over padded ones.
    for layer in range(net.num_layers):
        if layer:
            x = dropout(x, net.dropout, net.training)
        ahead, back = net.all_weights[2 * layer : 2 * layer + 2]
        x = torch.cat([_one_way(net, ahead, x), reverse(_one_way(net, back, reverse(x, lengths)), lengths)], dim=2)
    return x.masked_fill(~valid_frames(lengths, x.shape[1])[:, :, None], 0)


def _large_lstm(net: nn.LSTM | nn.GRU, x: Tensor, lengths: Tensor) -> Tensor:
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    data, sizes = packed.data, packed.batch_sizes.tolist()  # (real frames, inputs)
    for layer in range(net.num_layers):
        if layer:
            data = dropout(data, net.dropout, net.training)
        ahead, back = net.all_weights[2 * layer : 2 * layer + 2]
        data = torch.cat([lstm.one_way(data, ahead, sizes, False), lstm.one_way(data, back, sizes, True)], dim=1)
    packed = packed._replace(data=data)
    return nn.utils.rnn.pad_packed_sequence(packed, batch_first=True, total_length=x.shape[1])[0]


def _one_way(net: nn.LSTM | nn.GRU, weights: Sequence[Tensor], x: Tensor) -> Tensor:
    """One direction of one layer, from a state of zeros."""
    state = x.new_zeros(1, len(x), net.hidden_size)
    settings = (list(weights), net.bias, 1, 0.0, torch.is_grad_enabled(), False, True)
    if isinstance(net, nn.LSTM):
        return torch.lstm(x, (state, state), *settings)[0]
    return torch.gru(x, state, *settings)[0]


def differentiable(net: nn.Module, x: Tensor) -> AbstractContextManager:
    """cuDNN has no gradient in eval mode, where a frozen network has to pass one on: it is off then."""
    frozen = x.requires_grad and not net.training
    return torch.backends.cudnn.flags(enabled=False) if frozen else nullcontext()
