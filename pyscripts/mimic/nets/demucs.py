"""Demucs, a causal U-Net of waveforms with an LSTM in its middle (Defossez et al., "Real Time Speech Enhancement
in the Waveform Domain", 2020).

Its arithmetic is that of the paper, but that a constant takes the place of the input's level, by which that divides:
so a piece of a recording gives what the whole gives. And an encoder frame that an utterance does not have is zero
before the decoder spreads it over samples, so that a row of a padded batch gives what it gives alone.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchaudio.functional import resample

from mimic.nets.masking import valid_frames
from mimic.settings import Count

LEVEL = 0.1  # about that of speech


@dataclass
class DemucsConfig:
    """Sizes of the network.

    Attributes:
        channels: of the first layer; each further one has twice as many.
        layers: convolutions of the encoder, and as many of the decoder.
        kernel: samples that one of them spans.
        stride: samples from one to the next; 1 of the middle stands for stride ** layers / upsample of the input.
        lstm_layers: in the middle.
        upsample: the network works at this multiple of the sampling rate.
    """

    channels: Count = 64
    layers: Count = 5
    kernel: Count = 8
    stride: Count = 4
    lstm_layers: Count = 2
    upsample: Count = 4

    def check(self) -> str:
        """What does not fit, see `mimic.settings.build`."""
        return "needs kernel >= stride" if self.kernel < self.stride else ""


class Demucs(nn.Module):
    """Waveforms (batch, samples) and lengths (batch,) -> waveforms (batch, samples), zero beyond an utterance's end."""

    def __init__(self, config: DemucsConfig):
        super().__init__()
        self.config = config
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        inputs, kernel, stride = 1, config.kernel, config.stride
        for layer in range(config.layers):
            size = config.channels * 2**layer
            down = nn.Conv1d(inputs, size, kernel, stride)
            self.encoder.append(nn.Sequential(down, nn.ReLU(), nn.Conv1d(size, 2 * size, 1), nn.GLU(1)))
            gate = nn.Sequential(nn.Conv1d(size, 2 * size, 1), nn.GLU(1))
            self.decoder.insert(0, nn.ModuleList([gate, nn.ConvTranspose1d(size, inputs, kernel, stride)]))
            inputs = size
        self.lstm = nn.LSTM(inputs, inputs, config.lstm_layers)
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
                _rescale(module)

    def forward(self, waveforms: Tensor, samples: Tensor) -> Tensor:
        real = valid_frames(samples, waveforms.shape[1])
        x = resample(waveforms * real / LEVEL, 1, self.config.upsample)
        length, real_length = x.shape[1], self.config.upsample * samples
        x = x * valid_frames(real_length, length)  # the filter has rung on where a batch has padding
        lengths = self._lengths(real_length)
        x = F.pad(x, (0, int(lengths[0].max()) - length)).unsqueeze(1)  # (batch, 1, upsampled)
        skips = []
        for layer in self.encoder:
            x = layer(x)  # (batch, channels, frames)
            skips.append(x)
        x = self.lstm(x.permute(2, 0, 1))[0].permute(1, 2, 0)
        for i, layer in enumerate(self.decoder):
            assert isinstance(layer, nn.ModuleList)
            gate, up = layer
            frames = lengths[-1 - i]
            x = gate(x + skips.pop()) * valid_frames(frames, x.shape[2]).unsqueeze(1)
            x = up(x)
            if skips:
                x = x.relu()
        x = x[:, 0, :length] * valid_frames(real_length, length)
        return resample(x, self.config.upsample, 1)[:, : waveforms.shape[1]] * real * LEVEL

    def _lengths(self, samples: Tensor) -> list[Tensor]:
        """The samples, made up so that convolutions lose none, and the frames of each encoder layer, all (batch,)."""
        kernel, stride = self.config.kernel, self.config.stride
        frames = samples
        for _ in self.encoder:
            frames = ((frames - kernel).clamp(min=0) + stride - 1) // stride + 1
        lengths = [frames]
        for _ in self.encoder:
            lengths.insert(0, (lengths[0] - 1) * stride + kernel)
        return lengths


def _rescale(conv: nn.Conv1d | nn.ConvTranspose1d, reference: float = 0.1) -> None:
    """Bring the deviation of initial weights half way (in logarithm) to the reference, as published."""
    scale = (conv.weight.detach().std() / reference).sqrt()
    assert conv.bias is not None
    with torch.no_grad():
        conv.weight /= scale
        conv.bias /= scale
