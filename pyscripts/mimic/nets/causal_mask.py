"""A mask estimator that looks at no frame after the one it masks: for enhancement while speech is recorded.

Unidirectional LSTM (Weninger et al., "Speech Enhancement with LSTM Recurrent Neural Networks", 2015). What it knows of
the past is its state, so a signal that comes in pieces gives what it gives in one.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from mimic.nets.products import Linear
from mimic.settings import BelowOne, Count

State = tuple[Tensor, Tensor]  # each (layers, batch, units)


@dataclass
class CausalMaskConfig:
    """Sizes of the network.

    Attributes:
        units: of the dense layer and of each recurrent layer.
        layers: recurrent layers.
        dropout: between them.
    """

    units: Count = 256
    layers: Count = 2
    dropout: BelowOne = 0.1


class CausalMask(nn.Module):
    """Features (batch, frames, bins) -> mask (batch, frames, bins), zero or more, not bounded above."""

    def __init__(self, bins: int, config: CausalMaskConfig):
        super().__init__()
        self.enter = nn.Sequential(Linear(bins, config.units), nn.LayerNorm(config.units), nn.LeakyReLU())
        dropout = config.dropout if config.layers > 1 else 0.0
        self.rnn = nn.LSTM(config.units, config.units, config.layers, batch_first=True, dropout=dropout)
        self.output = Linear(config.units, bins)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        return self.step(x)[0]  # padding follows the real frames, which do not see it

    def step(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The mask of further frames (batch, frames, bins); the state of the frames before, and the one after."""
        units, state = self.rnn(self.enter(x), state)  # (batch, frames, units)
        return F.relu(self.output(units)), state
