"""Trained models as ONNX graphs from waves to waves, to the log-probabilities of a CTC output, or to hidden states.

The graphs hold everything but the search for words: Fourier transforms are convolutions with their basis, so that any
runtime has the operators.
"""

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mimic.deploy import encoder, enhancer
from mimic.errors import UserError
from mimic.frontend.fbank import INT16_SCALE, WINDOWS, Fbank
from mimic.frontend.feature_config import OPTIONS
from mimic.frontend.front_end import FrontEnd, front_end
from mimic.frontend.logmel import LogMel
from mimic.frontend.ssl import SslFeatures
from mimic.frontend.stft import Stft
from mimic.io.atomic import replace
from mimic.io.tokens import Tokens
from mimic.models.mask_enhancer import MaskEnhancer
from mimic.models.recogniser import Recogniser
from mimic.models.trained import read_config
from mimic.tasks.asr import AsrTask

OPSET = 17
EXAMPLE = Path(__file__).parent / "examples" / "example.py"
TOLERANCE = 1e-4
SHORT = (1, 160, 256, 320, 400, 512, 640, 800, 1024, 1600, 2048, 3200, 4096, 5000)
TRACED = 9000  # samples of the signal that the graph is made with; it takes any other length


class WaveStft(nn.Module):
    """What `Stft` does with one signal, (1, samples), as convolutions."""

    def __init__(self, stft: Stft):
        super().__init__()
        config, window = stft.config, stft.window.double()
        self.n_fft, self.hop, self.log1p_magnitude = config.n_fft, config.hop_length, stft.log1p_magnitude
        spectrum = torch.fft.rfft(torch.eye(self.n_fft, dtype=torch.float64) * window)  # (n_fft, bins)
        basis = torch.cat([spectrum.real, spectrum.imag], dim=1).T.unsqueeze(1)  # (2 * bins, 1, n_fft)
        bins = spectrum.shape[1]
        units = torch.eye(bins, dtype=torch.complex128)
        back = torch.cat([torch.fft.irfft(units, n=self.n_fft), torch.fft.irfft(1j * units, n=self.n_fft)]) * window
        self.register_buffer("basis", basis.float())
        self.register_buffer("back", back.unsqueeze(1).float())  # (2 * bins, 1, n_fft)
        self.register_buffer("square", window.square().float().view(1, 1, -1))

    def transform(self, wave: Tensor) -> tuple[Tensor, Tensor]:
        """Real and imaginary part, each (1, frames, bins)."""
        padded = F.pad(wave, (self.n_fft // 2, self.n_fft // 2)).unsqueeze(1)
        both = F.conv1d(padded, self.basis, stride=self.hop).transpose(1, 2)
        real, imaginary = both.chunk(2, dim=2)
        return real, imaginary

    def inverse(self, real: Tensor, imaginary: Tensor, samples: int) -> Tensor:
        both = torch.cat([real, imaginary], dim=2).transpose(1, 2)  # (1, 2 * bins, frames)
        wave = F.conv_transpose1d(both, self.back, stride=self.hop)
        weight = F.conv_transpose1d(torch.ones_like(both[:, :1]), self.square, stride=self.hop)
        # Behind the last frame there may be no sample of any window, but none of these is in the signal.
        wave, weight = (F.pad(x[:, 0], (0, self.hop))[:, self.n_fft // 2 :][:, :samples] for x in (wave, weight))
        return wave / weight


class MaskGraph(nn.Module):
    """A mask enhancer: noisy wave (1, samples) -> enhanced wave (1, samples)."""

    def __init__(self, model: MaskEnhancer, stft: Stft):
        super().__init__()
        self.model, self.stft = model, WaveStft(stft)

    def forward(self, wave: Tensor) -> Tensor:
        real, imaginary = self.stft.transform(wave)
        magnitude = (real.square() + imaginary.square() + 1e-14).sqrt()
        features = torch.log1p(magnitude)
        enhanced = self.model(features, _frames(features))
        gain = torch.expm1(enhanced).clamp(min=0) / magnitude
        return self.stft.inverse(real * gain, imaginary * gain, wave.shape[1])


class EnhancerGraph(nn.Module):
    """Any other enhancer: noisy wave (1, samples) -> enhanced wave (1, samples)."""

    def __init__(self, model: nn.Module, front: nn.Module):
        super().__init__()
        self.model, self.front = model, front

    def forward(self, wave: Tensor) -> Tensor:
        return self.model.enhance([wave[0]], self.front)[0].unsqueeze(0)


class WaveFbank(nn.Module):
    """What `Fbank` does with one signal, (1, samples) -> (1, frames, bins): a linear map of frames, their energies."""

    def __init__(self, fbank: Fbank):
        super().__init__()
        config, n = fbank.config, fbank.length
        if config.use_energy or not config.snip_edges:
            raise UserError("features with --use-energy=true or --snip-edges=false cannot be exported yet")
        # Columns of an identity, through all that is linear: offset, pre-emphasis, window, Fourier transform.
        x = torch.eye(n, dtype=torch.float64)
        if config.remove_dc_offset:
            x = x - x.mean(0, keepdim=True)
        x = x - config.preemphasis_coefficient * torch.cat([x[:1], x[:-1]])
        angle = 2 * np.pi * torch.arange(n, dtype=torch.float64) / (n - 1)
        x = INT16_SCALE * WINDOWS[config.window_type](angle)[:, None] * x
        spectrum = torch.fft.rfft(x, n=fbank.n_fft, dim=0)[: fbank.n_fft // 2]  # (n_fft / 2, n)
        self.register_buffer("basis", torch.cat([spectrum.real, spectrum.imag]).float().unsqueeze(1))
        filters = torch.zeros(fbank.n_fft // 2, fbank.dim)
        low = fbank.mel_low.shape[1]
        for (name, first, last), columns in zip(fbank.mel_parts, (slice(0, low), slice(low, None)), strict=True):
            filters[first // 2 : last // 2, columns] = getattr(fbank, name)[::2]
        self.register_buffer("filters", filters)
        self.shift = fbank.shift

    def forward(self, wave: Tensor) -> Tensor:
        both = F.conv1d(wave.unsqueeze(1), self.basis, stride=self.shift).transpose(1, 2)
        real, imaginary = both.chunk(2, dim=2)  # (1, frames, n_fft / 2)
        energy = (real.square() + imaginary.square()) @ self.filters
        return energy.clamp(min=torch.finfo(torch.float32).eps).log()


class WaveLogMel(nn.Module):
    """What `LogMel` does with one signal, (1, samples) -> (1, frames, bins)."""

    def __init__(self, logmel: LogMel):
        super().__init__()
        config, window = logmel.config, logmel.window.double()
        spectrum = torch.fft.rfft(torch.eye(config.n_fft, dtype=torch.float64) * window)  # (n_fft, bins)
        self.register_buffer("basis", torch.cat([spectrum.real, spectrum.imag], dim=1).T.unsqueeze(1).float())
        self.register_buffer("filters", logmel.filters)
        self.half, self.hop, self.floor = config.n_fft // 2, config.hop_length, config.floor

    def forward(self, wave: Tensor) -> Tensor:
        padded = F.pad(wave.unsqueeze(1), (self.half, self.half), mode="reflect")
        real, imaginary = F.conv1d(padded, self.basis, stride=self.hop).transpose(1, 2).chunk(2, dim=2)
        return ((real.square() + imaginary.square()) @ self.filters).clamp(min=self.floor).log()


class WaveLog1p(nn.Module):
    """What `Stft` gives of one signal, (1, samples) -> (1, frames, bins)."""

    def __init__(self, stft: Stft):
        super().__init__()
        self.stft = WaveStft(stft)

    def forward(self, wave: Tensor) -> Tensor:
        real, imaginary = self.stft.transform(wave)
        return torch.log1p((real.square() + imaginary.square() + 1e-14).sqrt())


class WaveHidden(nn.Module):
    """What `SslFeatures` gives of one signal, (1, samples) -> (1, frames, units)."""

    def __init__(self, features: SslFeatures):
        super().__init__()
        self.features = features

    def forward(self, wave: Tensor) -> Tensor:
        return self.features(wave[0]).unsqueeze(0)


FEATURES = {Fbank: WaveFbank, LogMel: WaveLogMel, SslFeatures: WaveHidden, Stft: WaveLog1p}


class CtcGraph(nn.Module):
    """A recogniser: wave (1, samples) -> log-probabilities of its CTC output (1, frames, tokens)."""

    def __init__(self, model: Recogniser, features: FrontEnd):
        super().__init__()
        self.model, self.features = model, FEATURES[type(features)](features)

    def forward(self, wave: Tensor) -> Tensor:
        features = self.features(wave)
        return self.model.encode(features, _frames(features))[2]


class StatesGraph(nn.Module):
    """An encoder: wave (1, samples) at 16 kHz -> its hidden states (layers, frames, units)."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, wave: Tensor) -> Tensor:
        return torch.cat(self.model([wave[0]], list(range(self.model.num_layers + 1)))[0])


def _frames(x: Tensor) -> Tensor:
    """The number of frames of (1, frames, bins), (1,): counted, so that a graph counts them too."""
    return torch.ones_like(x[:, :, 0]).cumsum(1)[:, -1].long()


def export(directory: Path, output: Path) -> float:
    """Write model.onnx, model.json and example.py (and tokens.txt of a recogniser) into the folder `output`.

    Gives the largest difference between onnxruntime and torch over signals of several lengths. Raises UserError where
    it is above 1e-4, and for a model that cannot be exported.
    """
    graph, reference, facts = _graph(directory)
    output.mkdir(parents=True, exist_ok=True)
    _write(graph.eval(), output / "model.onnx", (facts["input"], facts["output"]))
    worst, facts["shortest"] = _compare(output / "model.onnx", reference)
    if facts["output"] == "log_probs":
        config = read_config(directory)
        Tokens.load(directory, config.data.token_type).save(output)
    with replace(output / "model.json") as f:
        json.dump(facts, f, indent=2)
    shutil.copyfile(EXAMPLE, output / "example.py")
    return worst


def _graph(directory: Path) -> tuple[nn.Module, Callable[[Tensor], Tensor], dict[str, Any]]:
    """The graph's network, what it should give, what model.json says of it."""
    facts = {"rate": 16000, "input": "wave"}
    if encoder.is_encoder(directory):
        graph = StatesGraph(encoder.load(directory))
        return graph, graph.forward, facts | {"output": "states"}
    config = read_config(directory)
    facts["trained_as"] = f"{config.task}/{config.net}"
    if config.task == "asr":
        extract = front_end(directory / OPTIONS)
        model, _ = AsrTask.build(config, directory)

        def log_probs(wave: Tensor) -> Tensor:
            features = extract(wave)
            features = features if features.dim() == 3 else features.unsqueeze(0)
            return model.encode(features, torch.tensor([features.shape[1]]))[2]

        return CtcGraph(model, extract), log_probs, facts | {"rate": extract.rate, "output": "log_probs"}
    if config.task == "probe_enhance":
        raise UserError(f"{directory}: a probe, which hears features of another model: export that, or an enhancer")
    model, front = enhancer.load(directory)

    def enhanced(wave: Tensor) -> Tensor:
        return model.enhance([wave[0]], front)[0].unsqueeze(0)

    graph = (MaskGraph if type(model) is MaskEnhancer else EnhancerGraph)(model, front)
    return graph, enhanced, facts | {"rate": front.rate, "output": "enhanced"}


def _write(graph: nn.Module, path: Path, names: tuple[str, str]) -> None:
    wave = _signal(TRACED)
    axes = {names[0]: {1: "samples"}, names[1]: {1: "samples" if names[1] == "enhanced" else "frames"}}
    with replace(path, "wb") as f, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about branches on lengths, which are the same for every signal
        torch.onnx.register_custom_op_symbolic("aten::expm1", _expm1, OPSET)
        options = {"input_names": names[:1], "output_names": names[1:], "dynamic_axes": axes, "opset_version": OPSET}
        try:
            torch.onnx.export(graph, (wave,), f, dynamo=False, **options)
        except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"{path}: this network cannot be exported: {reason}") from None


def _expm1(g, x):
    return g.op("Sub", g.op("Exp", x), g.op("Constant", value_t=torch.tensor(1.0)))


def _compare(path: Path, reference: Callable[[Tensor], Tensor]) -> tuple[float, int]:
    """The largest difference between the two, and the fewest samples (of SHORT) that the graph takes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # that a signal is too short is no news
    session = onnxruntime.InferenceSession(path, options)
    worst = 0.0
    for samples in (TRACED, 2 * TRACED + 77, 5000):
        wave = _signal(samples)
        (given,) = session.run(None, {"wave": wave.numpy()})
        with torch.no_grad():
            wanted = reference(wave).numpy()
        if given.shape != wanted.shape:
            raise UserError(
                f"{path}: gives {given.shape} where torch gives {wanted.shape}: this network cannot be exported"
            )
        if not (np.isfinite(given).all() and np.isfinite(wanted).all()):
            raise UserError(f"{path}: gives NaN or infinity: is the model trained?")
        worst = max(worst, float(np.abs(given - wanted).max()))
    if not worst <= TOLERANCE:
        raise UserError(f"{path}: differs from torch by {worst:.1e}: this network cannot be exported")
    return worst, next(samples for samples in SHORT if _takes(session, samples))


def _takes(session: onnxruntime.InferenceSession, samples: int) -> bool:
    try:
        session.run(None, {"wave": _signal(samples).numpy()})
    except Exception:  # a runtime's own errors, of a graph that is known to be right: the signal fills no frame
        return False
    return True


def _signal(samples: int) -> Tensor:
    """Something that sounds, always the same: (1, samples)."""
    draw = torch.Generator().manual_seed(samples)
    time = torch.arange(samples) / 16000
    return (0.2 * torch.sin(2 * torch.pi * 220 * time) + 0.05 * torch.randn(samples, generator=draw)).unsqueeze(0)
