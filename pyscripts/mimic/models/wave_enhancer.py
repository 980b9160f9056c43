"""Speech enhancement from wave to wave."""

from torch import Tensor, nn

from mimic.frontend.stft import Stft
from mimic.models.mask_enhancer import Enhanced, enhance_each


class WaveEnhancer(nn.Module):
    """A network from padded waves (batch, samples) and their lengths (batch,) to waves (batch, samples)."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, waves: Tensor, samples: Tensor) -> Tensor:
        return self.net(waves, samples)

    def transform(self, waves: Tensor, samples: Tensor, stft: Stft) -> Enhanced:
        """Padded noisy waves (batch, samples), their lengths (batch,) -> enhanced ones and their magnitudes."""
        enhanced = self(waves, samples)
        return Enhanced(stft.log1p_magnitude(stft.transform(enhanced)), stft.num_frames(samples), enhanced, None)

    def enhance(self, waves: list[Tensor], stft: Stft) -> list[Tensor]:
        """Noisy waves (samples,) of any lengths -> enhanced waves of the same lengths."""
        return enhance_each(self, waves, stft)
