"""Enhancers as ONNX graphs for streams: one hop and the state in, one enhanced hop and the state out.

Two graphs, of the same network with its normalisations folded into plain weights:

- spectrum.onnx: a noisy frame of an STFT (2, bins), real and imaginary part -> the enhanced frame;
- waveform.onnx: the next samples (hop,) -> as many enhanced samples, `delay` samples late. It has Fourier transforms
  inside, as matrix products.

stream.json says rate, hop, delay, window and the shapes of the states, which begin as zeros, and the curve of the
enhancement ratio "auto" where one was fitted.
"""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from mimic.deploy import graph_file
from mimic.errors import UserError
from mimic.frontend.stft import COMPRESSION, COMPRESSION_FLOOR, Stft
from mimic.io.atomic import replace
from mimic.models.ratio import Curve
from mimic.nets import fast_step, gtcrn
from mimic.nets.enhancers import SpectrumEnhancer
from mimic.nets.fast import FastMask

TOLERANCE = 1e-5  # of samples, full scale 1
SECONDS = 1  # of the signal that a graph is compared with torch by


class GtcrnStep(nn.Module):
    """GTCRN as a network of one frame (2, bins)."""

    def __init__(self, net: gtcrn.Gtcrn):
        super().__init__()
        self.net = gtcrn.folded(net)

    def initial(self) -> tuple[Tensor, ...]:
        return self.net.initial()

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        mask, after = self.net.step(x[None, None], state)
        return (mask[0, 0], *after)


class SpectrumGraph(nn.Module):
    """A noisy frame (2, bins) and the state -> the enhanced frame and the state."""

    net: fast_step.FoldedFast | GtcrnStep

    def __init__(self, model: SpectrumEnhancer):
        super().__init__()
        self.net = fast_step.folded(model.net) if isinstance(model.net, FastMask) else GtcrnStep(model.net)

    def forward(self, spectrum: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        noisy = spectrum * _power(spectrum).pow((COMPRESSION - 1) / 2)
        mask, *after = self.net(noisy, *state)
        (a, b), (c, d) = mask.split(1), noisy.split(1)
        enhanced = torch.cat([a * c - b * d, a * d + b * c])
        return (enhanced * _power(enhanced).pow((1 / COMPRESSION - 1) / 2), *after)


class WaveformGraph(nn.Module):
    """The next samples (hop,), the samples before them, what overlaps, and the state -> enhanced samples, all after it.

    The transforms are products with the cosines of the even part of a frame and the sines of its odd part: half of the
    work of one with all of the frame.
    """

    window: Tensor
    cosines: Tensor
    sines: Tensor
    back_cosines: Tensor
    back_sines: Tensor
    synthesis: Tensor

    def __init__(self, graph: SpectrumGraph, stft: Stft):
        super().__init__()
        n, half = stft.config.n_fft, stft.config.n_fft // 2
        if stft.config.hop_length != half:
            raise UserError(f"--hop-length={stft.config.hop_length}: a graph of waveforms needs half of --n-fft={n}")
        self.graph, self.hop = graph, half
        window = stft.window.double()
        angle = 2 * torch.pi / n * torch.arange(half + 1)[:, None] * torch.arange(half + 1)
        twice = torch.full((half + 1,), 2.0)
        twice[0] = twice[half] = 1
        self.register_buffer("window", window.float())
        self.register_buffer("cosines", angle.cos().float())  # (half + 1, bins)
        self.register_buffer("sines", -angle.sin()[1:half].float())  # (half - 1, bins)
        self.register_buffer("back_cosines", (twice[:, None] * angle.cos() / n).float())  # (bins, half + 1)
        self.register_buffer("back_sines", (-2 * angle.sin()[:, 1:half] / n).float())  # (bins, half - 1)
        square = window.square()
        weight = square[:half] + square[half:]  # of the two frames that each sample is in
        self.register_buffer("synthesis", (window / weight.repeat(2)).float())

    def initial(self) -> tuple[Tensor, ...]:
        return self.window.new_zeros(self.hop), self.window.new_zeros(self.hop), *self.graph.net.initial()

    def forward(self, samples: Tensor, before: Tensor, overlap: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        half = self.hop
        frame = torch.cat([before, samples]) * self.window
        left, right = frame[None, 1:half], frame[None, half + 1 :].flip(1)
        even = torch.cat([frame[None, :1], left + right, frame[None, half : half + 1]], dim=1)
        spectrum = torch.cat([even @ self.cosines, (left - right) @ self.sines])  # (2, bins)
        spectrum, *after = self.graph(spectrum, *state)
        real, imaginary = spectrum.split(1)
        even, odd = real @ self.back_cosines, imaginary @ self.back_sines
        inner = even[:, 1:half]
        frame = torch.cat([even[:, :1], inner + odd, even[:, half:], (inner - odd).flip(1)], dim=1)[0] * self.synthesis
        return (frame[:half] + overlap, samples, frame[half:], *after)


def export(model: nn.Module, stft: Stft, output: Path, curve: Curve | None = None) -> float:
    """Write spectrum.onnx, waveform.onnx and stream.json into the folder `output`; curve: of "auto".

    Gives the largest difference between onnxruntime, hop by hop, and torch, the whole signal at once. waveform.onnx is
    left out where the hop is not half of the window. Raises UserError where the difference is above 1e-5, and for a
    model that has no streaming form.
    """
    if not isinstance(model, SpectrumEnhancer) or getattr(model.net.config, "bidirectional", False):
        raise UserError("no streaming form: train conf/enhance_fast.yaml or another causal network of spectra")
    model = model.eval().cpu()
    output.mkdir(parents=True, exist_ok=True)
    graph = SpectrumGraph(model).eval()
    names = [f"state{number}" for number in range(len(graph.net.initial()))]
    _write(graph, output / "spectrum.onnx", (torch.zeros(2, stft.dim), *graph.net.initial()), ["spectrum", *names])
    worst, config = _compare_spectra(output / "spectrum.onnx", model, stft), stft.config
    facts = {"rate": stft.rate, "n_fft": config.n_fft, "hop": config.hop_length, "window": config.window_type}
    facts |= {"delay": config.n_fft - config.hop_length, "spectrum": _shapes(graph.net.initial(), names)}
    if config.n_fft == 2 * config.hop_length:
        waveforms = WaveformGraph(graph, stft).eval()
        names = ["before", "overlap", *names]
        _write(
            waveforms,
            output / "waveform.onnx",
            (torch.zeros(config.hop_length), *waveforms.initial()),
            ["samples", *names],
        )
        worst = max(worst, _compare_waveforms(output / "waveform.onnx", model, stft))
        facts["waveform"] = _shapes(waveforms.initial(), names)
    if curve:
        facts["ratio"] = asdict(curve)
    if not worst <= TOLERANCE:
        raise UserError(f"{output}: differs from torch by {worst:.1e}: this network cannot be exported")
    with replace(output / "stream.json") as f:
        json.dump(facts, f, indent=2)
    return worst


def run(graph: onnxruntime.InferenceSession, hops: np.ndarray) -> np.ndarray:
    """All hops (count, ...) of one signal through a graph, from states of zeros: (count, ...)."""
    first, *states = graph.get_inputs()
    values, outputs = [np.zeros(state.shape, np.float32) for state in states], []
    for hop in hops:
        feed = dict(zip([state.name for state in states], values, strict=True))
        out, *values = graph.run(None, {first.name: hop, **feed})
        outputs.append(out)
    return np.stack(outputs)


def _write(graph: nn.Module, path: Path, inputs: tuple[Tensor, ...], names: list[str]) -> None:
    graph_file.write(graph, path, inputs, (names, ["enhanced", *(f"{name}_out" for name in names[1:])]))


def _compare_spectra(path: Path, model: SpectrumEnhancer, stft: Stft) -> float:
    waveform = signal(stft)
    with torch.no_grad():
        spectrum = stft.transform(waveform[None])
        wanted = stft.inverse(model(spectrum, torch.tensor([spectrum.shape[1]])), len(waveform))[0]
        frames = torch.stack([spectrum[0].real, spectrum[0].imag], dim=1).numpy()  # (frames, 2, bins)
        given = torch.from_numpy(run(graph_file.session(path), frames))
        given = stft.inverse(torch.complex(given[:, 0], given[:, 1])[None], len(waveform))[0]
    return float((given - wanted).abs().max())


def _compare_waveforms(path: Path, model: SpectrumEnhancer, stft: Stft) -> float:
    waveform, hop = signal(stft), stft.config.hop_length
    with torch.no_grad():
        (wanted,) = model.enhance([waveform], stft)
    hops = torch.cat([waveform, torch.zeros(hop)]).view(-1, hop).numpy()
    given = torch.from_numpy(run(graph_file.session(path), hops)).flatten()[hop:]
    return float((given - wanted).abs().max())


def signal(stft: Stft) -> Tensor:
    """Something that sounds, always the same, of a whole number of hops."""
    samples = SECONDS * stft.rate // stft.config.hop_length * stft.config.hop_length
    time = torch.arange(samples) / stft.rate
    noise = torch.randn(samples, generator=torch.Generator().manual_seed(1))
    return 0.2 * torch.sin(2 * torch.pi * 220 * time) * (1 + torch.sin(2 * torch.pi * 3 * time)) / 2 + 0.02 * noise


def _shapes(states: tuple[Tensor, ...], names: list[str]) -> dict[str, list[int]]:
    return {name: list(state.shape) for name, state in zip(names, states, strict=True)}


def _power(spectrum: Tensor) -> Tensor:
    return spectrum.square().sum(0, keepdim=True) + COMPRESSION_FLOOR
