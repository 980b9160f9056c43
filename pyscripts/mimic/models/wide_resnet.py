"""Wide residual network with squeeze and excitation: mask estimator of the 2026 mimic-loss recipe (SpeechBrain).

Squeeze and excitation: Hu et al., "Squeeze-and-Excitation Networks", 2018. Frequencies are halved block by block,
frames are all kept. Published, means and batch statistics count padding; here they count real frames only.
"""

from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.nn import functional as F

from mimic.models.masking import MirroredBorder, normalise_channels, valid_frames


@dataclass
class WideResnetConfig:
    """Sizes of the network.

    Attributes:
        channels: convolution channels, one residual block each; every block halves the frequencies.
        dnn_layers: dense layers behind the blocks.
        dnn_units: units of a dense layer.
        dropout: of channels and dense units.
    """

    channels: list[int] = field(default_factory=lambda: [128, 128, 256, 256, 512, 512])
    dnn_layers: int = 2
    dnn_units: int = 1024
    dropout: float = 0.1


class ResidualBlock(nn.Module):
    """A convolution with stride 2 over frequency, and two more on a branch beside it, weighted channel by channel."""

    def __init__(self, inputs: int, outputs: int, dropout: float):
        super().__init__()
        self.down = nn.Conv2d(inputs, outputs, 3, stride=(1, 2))
        self.norm = nn.ModuleList(nn.BatchNorm1d(outputs) for _ in range(2))
        self.conv = nn.ModuleList(nn.Conv2d(outputs, outputs, 3) for _ in range(2))
        self.excite = nn.Sequential(nn.Linear(outputs, outputs), nn.ReLU(), nn.Linear(outputs, outputs), nn.Sigmoid())
        self.dropout = dropout

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(batch, frames, bins, inputs) -> (batch, frames, (bins + 1) // 2, outputs)."""
        x = _convolve(self.down, x, lengths)
        branch = x
        for norm, conv in zip(self.norm, self.conv, strict=True):
            branch = normalise_channels(norm, F.gelu(branch), lengths)
            keep = F.dropout(x.new_ones(len(x), 1, 1, x.shape[3]), self.dropout, self.training)  # whole channels
            branch = _convolve(conv, branch * keep, lengths)
        padding = ~valid_frames(lengths, x.shape[1])
        total = branch.mean(2).masked_fill(padding.unsqueeze(2), 0).sum(1)  # (batch, outputs)
        return x + branch * self.excite(total / lengths.unsqueeze(1))[:, None, None]


def _convolve(conv: nn.Conv2d, x: Tensor, lengths: Tensor) -> Tensor:
    """(batch, frames, bins, inputs) -> (batch, frames, bins', outputs), borders mirrored."""
    return conv(MirroredBorder.apply(x, lengths).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class WideResnet(nn.Module):
    """Features (batch, frames, bins) -> mask (batch, frames, bins), zero or more; `mask.limit` bounds it above."""

    def __init__(self, bins: int, config: WideResnetConfig):
        super().__init__()
        self.blocks = nn.ModuleList()
        inputs, size = 1, bins
        for outputs in config.channels:
            self.blocks.append(ResidualBlock(inputs, outputs, config.dropout))
            inputs, size = outputs, (size + 1) // 2
        self.dnn = nn.Sequential()
        units = size * inputs
        for _ in range(config.dnn_layers):
            self.dnn.extend([nn.Linear(units, config.dnn_units), nn.GELU(), nn.LayerNorm(config.dnn_units)])
            self.dnn.append(nn.Dropout(config.dropout))
            units = config.dnn_units
        self.output = nn.Linear(units, bins)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        x = x.unsqueeze(3)
        for block in self.blocks:
            x = block(x, lengths)
        return self.output(self.dnn(x.flatten(2))).relu()
