"""BiLSTM mask estimator of SpeechBrain's enhancement template (Plantinga, 2021)."""

from dataclasses import dataclass

from torch import Tensor, nn

from mimic.nets.products import Linear
from mimic.nets.rnn import Rnn
from mimic.settings import Count


@dataclass
class BilstmMaskConfig:
    """Sizes of the network.

    Attributes:
        units: of each recurrent layer, per direction.
        bottleneck: units of the dense layer between the two recurrent layers.
    """

    units: Count = 256
    bottleneck: Count = 128


class BilstmMask(nn.Module):
    """Features (batch, frames, bins) -> mask (batch, frames, bins), zero or more, not bounded above."""

    def __init__(self, bins: int, config: BilstmMaskConfig):
        super().__init__()
        self.first = Rnn("lstm", bins, config.units, 1, 0.0)
        self.bottleneck = Linear(2 * config.units, config.bottleneck)
        self.second = Rnn("lstm", config.bottleneck, config.units, 1, 0.0)
        self.output = Linear(2 * config.units, bins)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        x = self.bottleneck(self.first(x, lengths))  # (batch, frames, bottleneck)
        return self.output(self.second(x, lengths)).relu()
