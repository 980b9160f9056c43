"""Two-dimensional fully convolutional mask estimator of SpeechBrain's Voicebank recipes (Fu, 2020).

Published, the borders of convolutions are mirrored and batch statistics count padding; here they are zero and only
real frames count, so that an utterance's mask does not depend on its batch.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from mimic.nets.masking import normalise_channels, valid_frames
from mimic.nets.products import Linear
from mimic.settings import Count


@dataclass
class FcnMaskConfig:
    """Sizes of the network.

    Attributes:
        channels: of every convolution but the last.
        kernel: their width over frames and over bins, an odd number.
        layers: how many of them; the last convolution, as high as all bins, comes on top.
    """

    channels: Count = 64
    kernel: Count = 9
    layers: Count = 7

    def check(self) -> str:
        """What does not fit, see `mimic.settings.build`."""
        return "" if self.kernel % 2 else f"kernel {self.kernel}: must be odd"


class FcnMask(nn.Module):
    """Features (batch, frames, bins) -> mask (batch, frames, bins) between 0 and 1."""

    def __init__(self, bins: int, config: FcnMaskConfig):
        super().__init__()
        inputs = [1] + [config.channels] * (config.layers - 1)
        self.conv = nn.ModuleList(nn.Conv2d(n, config.channels, config.kernel, padding="same") for n in inputs)
        self.norm = nn.ModuleList(nn.BatchNorm1d(config.channels) for _ in inputs)
        self.output = Linear(bins * config.channels, bins)  # a convolution one frame wide, as high as all bins

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        real = valid_frames(lengths, x.shape[1])[:, :, None, None]
        x = x.unsqueeze(3)  # (batch, frames, bins, 1)
        for conv, norm in zip(self.conv, self.norm, strict=True):
            x = conv((x * real).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # (batch, frames, bins, channels)
            x = F.leaky_relu(normalise_channels(norm, x, lengths))
        return self.output(x.flatten(2)).sigmoid()
