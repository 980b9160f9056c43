"""Hidden states of self-supervised encoders as features."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mimic.errors import UserError
from mimic.frontend.front_end import FrontEnd, Lengths
from mimic.frontend.options import read_options
from mimic.models.encoder import Encoder


@dataclass(frozen=True)
class SslConfig:
    """Options of the features.

    Attributes:
        model: encoder: weights, a directory with config.json, or an experiment directory.
        layers: hidden states side by side, as "4 8 12"; 0 is the input of the first transformer layer. Empty: all.
        weights: of a weighted sum of these layers in place of them, as "0.2 0.3 0.5".
    """

    model: str = ""
    layers: str = ""
    weights: str = ""

    @classmethod
    def read(cls, path: str | Path) -> "SslConfig":
        """Read an option file; raises UserError naming file, line and the nearest option."""
        return read_options(path, cls, {"type": "ssl"})


class SslFeatures(FrontEnd):
    """Samples in [-1, 1) at 16 kHz, (samples,) or (1, samples) -> (frames, dim), at the encoder's own frame shift."""

    weights: Tensor | None

    def __init__(self, config: SslConfig) -> None:
        super().__init__()
        self.rate = 16000
        self.encoder = Encoder.load(config.model).net
        self.frame_shift_s = self.encoder.stride / self.rate
        most = self.encoder.num_layers
        self.layers = _numbers("layers", config.layers, int) or list(range(most + 1))
        if wrong := [layer for layer in self.layers if not 0 <= layer <= most]:
            raise UserError(f"--layers={config.layers}: {config.model} has 0 to {most}, not {wrong[0]}")
        weights = _numbers("weights", config.weights, float)
        if weights and len(weights) != len(self.layers):
            raise UserError(f"--weights={config.weights}: as many as layers, which are {len(self.layers)}")
        self.register_buffer("weights", torch.tensor(weights) if weights else None)
        self.dim = self(torch.zeros(self.rate)).shape[1]

    def num_frames(self, samples: Lengths) -> Lengths:
        """Number of frames of `samples` samples: an int or a tensor of lengths."""
        frames = self.encoder.num_frames(torch.as_tensor(samples))
        return frames if isinstance(samples, Tensor) else int(frames)

    def forward(self, waveform: Tensor) -> Tensor:
        with torch.no_grad():
            states, _ = self.encoder([waveform.flatten()], self.layers)  # each (1, frames, units)
        if self.weights is None:
            return torch.cat(states, dim=2)[0]
        return torch.einsum("n,nftu->tu", self.weights, torch.stack(states))

    @torch.inference_mode()
    def extract(self, waveform: np.ndarray) -> np.ndarray:
        """The same of arrays on the CPU, as of mimic.frontend.extraction: float32 (samples,) -> (frames, dim)."""
        return self(torch.from_numpy(waveform)).numpy()

    def onnx(self) -> nn.Module:
        """The same of one signal in operators that ONNX has."""
        return _OneSignal(self)


class _OneSignal(nn.Module):
    """Features with their batch: (1, samples) -> (1, frames, dim)."""

    def __init__(self, features: SslFeatures) -> None:
        super().__init__()
        self.features = features

    def forward(self, waveform: Tensor) -> Tensor:
        return self.features(waveform[0]).unsqueeze(0)


def _numbers(name: str, text: str, kind: type) -> list:
    try:
        return [kind(word) for word in text.split()]
    except ValueError:
        raise UserError(f"--{name}={text}: expected numbers with spaces between them") from None
