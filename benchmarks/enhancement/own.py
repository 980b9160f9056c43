"""Enhancers of this recipe as systems: directories that mimic.models.load takes."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from streaming import Stream

from enhancement.cost import Size, Timed
from mimic import models
from mimic.deploy import onnx_stream
from mimic.errors import UserError
from mimic.judging.findings import directory_digest
from mimic.models.enhancer import Enhancer
from mimic.nets.enhancers import SpectrumEnhancer
from mimic.nets.macs import macs_per_frame

RATE = 16000


class Own:
    """An enhancer of a directory, at full enhancement; one that has a streaming form is exported to be timed."""

    def __init__(self, directory: str):
        self.model = models.load(directory)
        if not isinstance(self.model, Enhancer):
            raise UserError(f"{directory}: not an enhancer: give one, as exp/enhance_mimic")
        self.rate = self.model.rate
        self.identity = f"mimic {directory_digest(directory)}"
        self.causal = isinstance(self.model.net, SpectrumEnhancer) and hasattr(self.model.net.net, "step")
        self.causal = self.causal and not getattr(self.model.net.net.config, "bidirectional", False)
        self.hop = self.model.front.config.hop_length
        self.latency = self.model.front.config.n_fft if self.causal else None

    def enhance(self, x: np.ndarray) -> np.ndarray:
        return self.model.enhance(x, RATE, ratio=1.0)

    def ratio(self, given: str) -> Any:
        """What its enhancement ratio "auto" is, where it was fitted (mimic.models.ratio)."""
        return self.model.ratio(given)

    def size(self) -> Size:
        net, front = self.model.net, self.model.front
        parameters = sum(p.numel() for p in net.parameters())
        if not isinstance(net, SpectrumEnhancer):
            return Size(parameters)
        return Size(parameters, macs_per_frame(net.net, front.dim) * front.rate / self.hop)

    def streams(self) -> list[Timed]:
        if not self.causal:
            return []
        with tempfile.TemporaryDirectory() as folder:
            onnx_stream.export(self.model.net, self.model.front, Path(folder))
            return [Stream(Path(folder) / "spectrum.onnx")]
