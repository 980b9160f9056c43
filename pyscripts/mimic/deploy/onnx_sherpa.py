"""Enhancers as graphs that sherpa-onnx runs: its speech denoisers, online and offline, take them as `gtcrn` models.

What sherpa-onnx (2.0, read and tried) asks of such a graph, whatever the network: a frame (1, bins, 1, 2) of real and
imaginary parts, three tensors of state, which begin as zeros, and the same again as outputs, all by position. Its
windows are square roots of Hann's, before the transform and after its inverse. The windows of `mimic.frontend.stft` are
other ones, so the graph begins and ends with a product that puts one in place of the other: to multiply a frame by
something even is a linear map of the real, and another one of the imaginary part of its transform.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mimic.deploy import graph_file, onnx_stream
from mimic.errors import UserError
from mimic.frontend.stft import Stft
from mimic.nets.enhancers import SpectrumEnhancer

CACHES = ("conv_cache", "tra_cache", "inter_cache")


class SherpaGraph(nn.Module):
    """A frame (1, bins, 1, 2) and three caches -> the enhanced frame and the caches; the first one holds the state."""

    enter: Tensor
    leave: Tensor

    def __init__(self, graph: onnx_stream.SpectrumGraph, stft: Stft):
        super().__init__()
        self.graph, self.shapes = graph, [value.shape for value in graph.net.initial()]
        window, half = stft.window.double(), stft.config.hop_length
        root = torch.hann_window(2 * half, dtype=torch.float64).sqrt()
        square = window.square()
        weight = (square[:half] + square[half:]).repeat(2)  # of the two frames that each sample is in
        self.register_buffer("enter", _product(_ratio(window, root)))  # (2, bins, bins)
        self.register_buffer("leave", _product(_ratio(window, root) / weight))

    def initial(self) -> tuple[Tensor, ...]:
        state = torch.cat([value.flatten() for value in self.graph.net.initial()])
        return state, torch.zeros(1), torch.zeros(1)

    def forward(self, mix: Tensor, *caches: Tensor) -> tuple[Tensor, ...]:
        spectrum = mix[0, :, 0].T[:, None]  # (2, 1, bins)
        parts = caches[0].split([shape.numel() for shape in self.shapes])
        state = [part.view(shape) for part, shape in zip(parts, self.shapes, strict=True)]
        spectrum, *after = self.graph((spectrum @ self.enter)[:, 0], *state)
        enhanced = (spectrum[:, None] @ self.leave)[:, 0].T[None, :, None]
        # The other two caches only have to exist; sums keep their outputs from being taken for their inputs.
        return enhanced, torch.cat([value.flatten() for value in after]), *(cache + 0.0 for cache in caches[1:])


def export(model: SpectrumEnhancer, stft: Stft, output: Path) -> float | None:
    """Write sherpa.onnx into the folder `output`; None where its windows cannot stand for this STFT's.

    Gives the largest difference between the stream that sherpa-onnx makes of it and torch, the whole signal at once.
    Raises UserError where it is above 1e-5.
    """
    config = stft.config
    if config.window_type != "hann" or not config.n_fft == config.win_length == 2 * config.hop_length:
        return None
    graph = SherpaGraph(onnx_stream.SpectrumGraph(model.eval().cpu()).eval(), stft).eval()
    path, caches = output / "sherpa.onnx", graph.initial()
    facts = {"model_type": "gtcrn", "comment": "an enhancer of mimic", "version": 1, "sample_rate": stft.rate}
    facts |= {"n_fft": config.n_fft, "hop_length": config.hop_length, "window_length": config.win_length}
    facts |= {"window_type": "hann_sqrt"}
    facts |= {f"{name}_shape": len(cache) for name, cache in zip(CACHES, caches, strict=True)}
    names = ["mix", *CACHES], ["enh", *(f"{name}_out" for name in CACHES)]
    graph_file.write(graph, path, (torch.zeros(1, stft.dim, 1, 2), *caches), names, facts=facts)
    worst = _compare(path, model, stft)
    if not worst <= onnx_stream.TOLERANCE:
        raise UserError(f"{path}: differs from torch by {worst:.1e}: this network cannot be exported")
    return worst


def _ratio(window: Tensor, root: Tensor) -> Tensor:
    """What sherpa-onnx's window `root` has to be multiplied by; both are zero at the first sample."""
    return torch.where(root > 0, window / root.clamp(min=1e-9), 0)


def _product(even: Tensor) -> Tensor:
    """Multiplying frames by something even (n_fft,) as maps (2, bins, bins) of rows: of real and imaginary parts."""
    bins = len(even) // 2 + 1
    units = torch.eye(bins, dtype=torch.complex128)
    real = torch.fft.rfft(torch.fft.irfft(units, len(even)) * even).real
    imaginary = torch.fft.rfft(torch.fft.irfft(1j * units, len(even)) * even).imag
    return torch.stack([real, imaginary]).float()


def _compare(path: Path, model: SpectrumEnhancer, stft: Stft) -> float:
    """As sherpa-onnx's online denoiser does it: a hop more in each frame, frames after their window are summed."""
    waveform, hop = onnx_stream.signal(stft), stft.config.hop_length
    with torch.no_grad():
        (wanted,) = model.enhance([waveform], stft)
    padded = np.pad(waveform.numpy(), hop)
    frames = np.lib.stride_tricks.sliding_window_view(padded, 2 * hop)[::hop]
    window = np.sqrt(0.5 - 0.5 * np.cos(np.pi / hop * np.arange(2 * hop)))
    spectra = np.fft.rfft(frames * window)
    given = onnx_stream.run(
        graph_file.session(path), np.stack([spectra.real, spectra.imag], 2)[:, None, :, None].astype(np.float32)
    )[:, 0, :, 0]
    enhanced = np.fft.irfft(given[..., 0] + 1j * given[..., 1]) * window
    summed = enhanced[1:, :hop] + enhanced[:-1, hop:]
    return float(np.abs(summed.ravel() - wanted.numpy()).max())
