"""Probes of frozen features: how much of what is wanted lies open in the hidden states of an encoder (Yang et al.,
"SUPERB: Speech Processing Universal PERformance Benchmark", 2021).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mimic.errors import UserError
from mimic.frontend.cmvn import Cmvn
from mimic.nets.masking import valid_frames
from mimic.nets.products import Linear
from mimic.nets.rnn import Rnn
from mimic.settings import BelowOne, Count, CountOrZero


@dataclass
class ProbeConfig:
    """Sizes of a probe.

    Attributes:
        states: hidden states that stand side by side in the features; each has a weight that is learnt. 1: plain ones.
        units: of the linear layer after their weighted mean; 0: there is none.
        rnn_layers: bidirectional LSTM layers; 0: each frame by itself.
        rnn_units: of each direction.
        dropout: between LSTM layers.
    """

    states: Count = 1
    units: CountOrZero = 256
    rnn_layers: CountOrZero = 0
    rnn_units: Count = 256
    dropout: BelowOne = 0.1


class Probe(nn.Module):
    """Features (batch, frames, states * dim) and lengths -> (batch, frames, output_size) and lengths."""

    def __init__(self, bins: int, config: ProbeConfig):
        super().__init__()
        if config.states < 1 or bins % config.states:
            raise UserError(f"model.states {config.states}: the features have {bins} values, which it does not divide")
        self.weights = nn.Parameter(torch.zeros(config.states))
        dim = bins // config.states
        self.project = Linear(dim, config.units) if config.units else nn.Identity()
        dim = config.units or dim
        self.rnn = None
        if config.rnn_layers:
            self.rnn = Rnn("lstm", dim, config.rnn_units, config.rnn_layers, config.dropout)
            dim = 2 * config.rnn_units
        self.output_size = dim

    def output_lengths(self, frames: int | Tensor) -> int | Tensor:
        return frames

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        states = x.unflatten(2, (len(self.weights), -1))  # (batch, frames, states, dim)
        x = self.project(torch.einsum("btsd,s->btd", states, self.weights.softmax(0)))
        return (x if self.rnn is None else self.rnn(x, lengths)), lengths


class Classifier(nn.Module):
    """Features (batch, frames, bins) and lengths -> embeddings (batch, units): means over real frames; and scores.

    normaliser: of the features, stored with the weights.
    """

    def __init__(self, config: ProbeConfig, normaliser: Cmvn, classes: int):
        super().__init__()
        self.normaliser = normaliser
        self.probe = Probe(len(normaliser.mean), config)
        self.output = Linear(self.probe.output_size, classes)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings and scores (batch, classes)."""
        x, lengths = self.probe(self.normaliser(features), lengths)
        real = valid_frames(lengths, x.shape[1]).unsqueeze(2)
        embeddings = (x * real).sum(1) / lengths.unsqueeze(1)
        return embeddings, self.output(embeddings)
