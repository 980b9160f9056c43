"""CNN-Transformer mask estimator of the 2021 mimic-loss recipe (Bagchi and Fosler-Lussier; SpeechBrain)."""

from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.nn import functional as F

from mimic.models.masking import reflect_edges, valid_frames


@dataclass
class CnnTransformerConfig:
    """Sizes of the network.

    Attributes:
        channels: convolutions over time, width 3; the last one gives the size of the transformer.
        layers: transformer encoder layers, normalised after each residual as published.
        heads: attention heads.
        feedforward: hidden units of a layer's feed-forward part.
        dropout: inside the transformer layers.
    """

    channels: list[int] = field(default_factory=lambda: [1024, 512, 256, 256])
    layers: int = 8
    heads: int = 8
    feedforward: int = 512
    dropout: float = 0.1


class CnnTransformer(nn.Module):
    """Features (batch, frames, bins) -> mask (batch, frames, bins), zero or more, not bounded above."""

    def __init__(self, bins: int, config: CnnTransformerConfig):
        super().__init__()
        sizes = [bins, *config.channels]
        self.conv = nn.ModuleList(nn.Conv1d(a, b, 3) for a, b in zip(sizes[:-1], sizes[1:], strict=True))
        self.norm = nn.ModuleList(nn.LayerNorm(size) for size in config.channels)
        size = config.channels[-1]
        layer = nn.TransformerEncoderLayer(
            size, config.heads, config.feedforward, config.dropout, F.leaky_relu, layer_norm_eps=1e-6, batch_first=True
        )
        self.transformer = nn.TransformerEncoder(
            layer, config.layers, nn.LayerNorm(size, eps=1e-6), enable_nested_tensor=False
        )
        self.output = nn.Linear(size, bins, bias=False)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        for conv, norm in zip(self.conv, self.norm, strict=True):
            x = conv(reflect_edges(x, lengths).transpose(1, 2)).transpose(1, 2)  # (batch, frames, channels)
            x = F.leaky_relu(norm(x))
        x = self.transformer(x, src_key_padding_mask=~valid_frames(lengths, x.shape[1]))
        return self.output(x).relu()
