"""Trained speech enhancers."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mimic.errors import UserError
from mimic.frontend.cmvn import Cmvn
from mimic.frontend.front_end import FEATURE_CONFIG, front_end
from mimic.frontend.stft import Stft, StftConfig
from mimic.models import trained
from mimic.models.blocks import BlockEnhancer
from mimic.models.config import Config
from mimic.models.ratio import AUTO, RATIO, Curve, check_ratio, read_curve
from mimic.models.trained import Trained
from mimic.nets import MASKS, NETS, SPECTRA, WAVES
from mimic.nets.enhancers import MaskEnhancer, SpectrumEnhancer, WaveEnhancer, enhance_one
from mimic.nets.graphs import Graph

PROBED = "heard.conf"  # options of the features that a probe is given, beside the model


def network(config: Config, stft: Stft) -> nn.Module:
    """The network before training: a mask of the spectrum, or from waveform to waveform."""
    if config.net in WAVES:
        net, _ = WAVES[config.net]
        return WaveEnhancer(net(config.model))
    if config.net in SPECTRA:
        net, _ = SPECTRA[config.net]
        return SpectrumEnhancer(net(stft.dim, config.model))
    net, _ = MASKS[config.net]
    return MaskEnhancer(net(stft.dim, config.model), config.mask)


def probe_network(config: Config, directory: Path, stft: Stft, normaliser: Cmvn) -> nn.Module:
    """The network of a probe before training: its features are made by the options in its directory."""
    from mimic.nets.probe_enhancer import FeatureMask, ProbeEnhancer  # of this task alone

    front = front_end(directory / PROBED)
    if front.rate != stft.rate:
        raise UserError(f"{directory / PROBED}: features of {front.rate} Hz, and the spectrum has {stft.rate}")
    return ProbeEnhancer(front, FeatureMask(config.model, normaliser, stft.dim), config.mask)


class Enhancer(Trained):
    """Enhances waveforms of any rate, length and number of channels.

    net: with `enhance(waveforms, front)` of tensors at the model's rate.
    front: STFT, or, of a SEGAN, its windows; with `rate` and `config.hop_length`.
    curve: of the enhancement ratio "auto" (mimic.models.ratio); None: it was not fitted.
    """

    TASKS = ("denoise", "distill", "enhance", "metricgan", "probe_enhance", "segan")
    WHAT = "an enhancer: give one, as exp/enhance_mse"
    FILES = (FEATURE_CONFIG, PROBED, RATIO)

    net: Any  # a module; each kind has methods of its own

    def __init__(self, config: Config, net: nn.Module, front: Any, directory: Path):
        super().__init__(config, net, directory)
        self.front, self.directory, self.curve = front, directory, read_curve(directory)

    @classmethod
    def from_directory(cls, config: Config, directory: Path) -> "Enhancer":
        model: nn.Module | None
        front: Any
        if config.task == "segan":
            from mimic.nets.segan import SeganFront  # of this task alone

            net, _ = NETS["segan"][config.net]
            model, front = net(config.model), SeganFront(config.model)
        elif config.task == "distill":
            from mimic.models.encoder import read_student  # of this task alone, with torchaudio's models
            from mimic.nets.student import FRONT

            return cls(config, read_student(config, directory), Stft(FRONT), directory)
        else:
            front = Stft(StftConfig.read(directory / FEATURE_CONFIG))
            model = None if config.task == "probe_enhance" else network(config, front)
        state = trained.read_weights(directory)
        if model is None:
            bins = trained.size(state, "net.normaliser.mean", directory, config)
            model = probe_network(config, directory, front, Cmvn(bins))
        return cls(config, trained.fill(model, state, directory, config), front, directory)

    @property
    def rate(self) -> int:
        """Sampling rate of the network, Hz. Signals of other rates are resampled there and back."""
        return self.front.rate

    def to(self, device: str | torch.device) -> "Enhancer":
        super().to(device)
        self.front.to(device)
        return self

    def enhance(
        self, samples: np.ndarray, rate: int, ratio: float | str | None = None, chunk_s: float = 60.0
    ) -> np.ndarray:
        """A noisy signal (samples,) or (samples, channels) in [-1, 1) at `rate` Hz -> the enhanced one, float32.

        ratio: share of the enhanced signal in the result, from 0 to 1; the rest is the input. "auto": by the SNR.
        None: the model's own default, auto where it was fitted, else 1. chunk_s: seconds that the network is given at
        once.
        """
        x = np.asarray(samples, np.float32)
        blocks = list(self.blocks(ratio, chunk_s)([x.reshape(len(x), -1)], rate))
        return np.concatenate(blocks).reshape(x.shape) if blocks else x

    def blocks(self, ratio: float | str | None = None, chunk_s: float = 60.0) -> BlockEnhancer:
        """What enhances a signal that comes in blocks (samples, channels), in memory that does not grow with it."""
        return BlockEnhancer(self.net, self.front, self.ratio(ratio), chunk_s)

    def ratio(self, given: float | str | None = None) -> float | Curve:
        """What `enhance` makes of its argument. Raises UserError for "auto" of a model without ratio.json."""
        if given is None:
            return self.curve or 1.0
        if given != AUTO:
            return check_ratio(given)
        if self.curve is None:
            raise UserError(f"{self.directory}: no {RATIO}, which the ratio {AUTO} needs: steps/fit_ratio.sh makes it")
        return self.curve

    def onnx(self) -> Graph:
        if hasattr(self.net, "onnx"):
            return self.net.onnx(self.front)
        run = partial(enhance_one, self.net, self.front)
        return Graph(run, run, [self.net, self.front], self.rate, "enhanced")
