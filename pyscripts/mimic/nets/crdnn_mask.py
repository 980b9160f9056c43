"""CRDNN as mask estimator: the second network of the 2021 mimic-loss recipe (SpeechBrain, Voicebank/MTL)."""

from torch import Tensor, nn

from mimic.errors import UserError
from mimic.nets.crdnn import Crdnn, CrdnnConfig


class CrdnnMask(nn.Module):
    """Features (batch, frames, bins) -> mask (batch, frames, bins), zero or more, not bounded above."""

    def __init__(self, bins: int, config: CrdnnConfig):
        super().__init__()
        if config.time_pooling != 1:
            raise UserError(f"--model.time_pooling {config.time_pooling}: a mask needs every frame: set it to 1")
        self.crdnn = Crdnn(bins, config)
        self.output = nn.Linear(self.crdnn.output_size, bins)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        units, _ = self.crdnn(x, lengths)  # (batch, frames, crdnn.output_size)
        return self.output(units).relu()
