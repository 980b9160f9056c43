"""Recognisers of CTC as ONNX graphs. Those that stream, see `mimic.deploy.ctc_graph`: a chunk and the state in and out.

- stream_ctc.onnx: samples (1, n) -> log-probabilities. Where the front end mirrors the ends of a recording, who feeds
  the graph does so, as stream_ctc.json says and stream_ctc.py does.
- sherpa_ctc.onnx: the same of features. sherpa-onnx (2.0, read and tried) takes it for a streaming CTC model of WeNet:
  of that kind it asks, by position, for a chunk of features (1, n, bins), the number of outputs before, two tensors of
  state of the sizes that the metadata name, and a mask of attention. Its features are Kaldi's with the options of
  conf/fbank_sherpa.conf; it never says that a signal has ended.

Of the others, whole utterances: sherpa_ctc.onnx, features (1, n, bins) and n -> log-probabilities and their number,
which sherpa-onnx takes for an offline CTC model of WeNet.
"""

import json
from dataclasses import replace as changed
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from mimic.deploy import graph_file
from mimic.deploy.ctc_feeds import SHERPA, STATE, chunks, mirror, sherpa_chunks
from mimic.deploy.ctc_graph import CtcGraph
from mimic.errors import UserError
from mimic.frontend.fbank import Fbank
from mimic.frontend.front_end import FrontEnd
from mimic.frontend.onnx import LogFilters
from mimic.io.atomic import replace
from mimic.nets.graphs import count_frames
from mimic.nets.recogniser import RecogniserNet

TOLERANCE = 1e-5  # of probabilities
SECONDS = 2  # of the signal that a graph is compared with torch by


def export(net: RecogniserNet, front: FrontEnd, output: Path) -> float:
    """Write stream_ctc.onnx and stream_ctc.json, and sherpa_ctc.onnx where the features are sherpa-onnx's.

    Gives the largest difference between the probabilities of onnxruntime, for chunks of several sizes, and those of
    torch, for the whole signal at once. Raises UserError where it is above 1e-5.

    net, front: of which `ctc_graph.streams` is true.
    """
    features: LogFilters = front.onnx()  # type: ignore[assignment]  # those of fbank and logmel
    net = net.eval().cpu()
    graph, path = CtcGraph(net, features).eval(), output / "stream_ctc.onnx"
    output.mkdir(parents=True, exist_ok=True)
    facts: dict[str, object] = {
        "rate": front.rate,
        "unit": graph.unit,
        "delay": graph.delay,
        "frame_s": graph.unit / front.rate,
    }
    facts |= {
        "mirrored": features.mirrored,
        "mirror": "symmetric" if features.repeat else "reflect",
        "state": [1, 1, 1, graph.size],
    }
    x, names = torch.zeros(1, 4 * graph.unit), [f"{name}_out" for name in STATE]
    axes = {"samples": {1: "samples"}, "log_probs": {1: "outputs"}}
    inputs = (x, torch.tensor([x.shape[1]]), *graph.initial())
    graph_file.write(graph, path, inputs, (["samples", "length", *STATE], ["log_probs", "frames", *names]), axes)
    signal = _signal(SECONDS * front.rate + 77)
    mirrored = mirror(signal.numpy(), features.mirrored, features.repeat)
    worst = check(path, graph, mirrored, _whole(net, features(signal)))
    with replace(output / "stream_ctc.json") as f:
        json.dump(facts, f, indent=2)
    if for_sherpa(front):
        worst = max(worst, _export_sherpa(net, front, features(signal), output / "sherpa_ctc.onnx"))
    return worst


def for_sherpa(front: FrontEnd) -> bool:
    """Whether sherpa-onnx makes these features, of any rate and number of bins."""
    if not isinstance(front, Fbank):
        return False
    own = front.config
    high = own.high_freq - own.sample_frequency / 2 if own.high_freq > 0 else own.high_freq
    any_size = changed(SHERPA, sample_frequency=own.sample_frequency, num_mel_bins=own.num_mel_bins)
    return changed(own, high_freq=high, raw_energy=SHERPA.raw_energy, energy_floor=0.0) == any_size


class SherpaGraph(nn.Module):
    """The same with the inputs of a streaming CTC model of WeNet, of whose two states the second is the graph's."""

    def __init__(self, graph: CtcGraph):
        super().__init__()
        self.graph = graph

    def forward(
        self, x: Tensor, offset: Tensor, before: Tensor, attention: Tensor, state: Tensor, mask: Tensor
    ) -> tuple[Tensor, ...]:
        position = (offset - before) * self.graph.unit
        whole = torch.ones_like(offset) * x.shape[1]
        log_probs, _, state, _, _ = self.graph(x, whole, state, torch.zeros(1, 1, 1, 1), position)
        # What is not used has to exist: an input that no operator has is left out of the graph.
        return log_probs, attention + 0 * mask.to(x.dtype).mean(), state


class OfflineGraph(nn.Module):
    """Features (1, frames, bins) of an utterance and their number -> log-probabilities (1, n, tokens) and n."""

    def __init__(self, net: RecogniserNet):
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        log_probs = self.net.encode(x, count_frames(x))[2]
        return log_probs, count_frames(log_probs) + 0 * length  # an input that is not used would be left out


def export_offline(net: RecogniserNet, front: FrontEnd, output: Path) -> float:
    """Write sherpa_ctc.onnx of a recogniser of whole utterances, of which `for_sherpa` is true.

    Gives the largest difference between the probabilities of onnxruntime and of torch, over utterances of several
    lengths. Raises UserError where it is above 1e-5.
    """
    net, path, worst = net.eval().cpu(), output / "sherpa_ctc.onnx", 0.0
    x = front(_signal(SECONDS * front.rate))
    shorter = int(net.encoder.output_lengths(torch.tensor([x.shape[1]])))
    facts = _facts(net, front, max(1, round(x.shape[1] / shorter)))
    axes = {"features": {1: "frames"}, "log_probs": {1: "outputs"}}
    names = ["features", "length"], ["log_probs", "outputs"]
    graph_file.write(OfflineGraph(net).eval(), path, (x, torch.tensor([x.shape[1]])), names, axes, facts)
    session = graph_file.session(path)
    for frames in (x.shape[1], x.shape[1] // 2 + 1):
        part = x[:, :frames]
        given, count = session.run(None, {"features": part.numpy(), "length": np.array([frames])})
        wanted = _whole(net, part)
        if given[0].shape != wanted.shape or count != [len(wanted)]:
            raise UserError(f"{path}: gives {given[0].shape} where torch gives {wanted.shape}")
        worst = max(worst, float(np.abs(np.exp(given[0]) - np.exp(wanted)).max()))
    return _small(path, worst)


def _export_sherpa(net: RecogniserNet, front: FrontEnd, features: Tensor, path: Path) -> float:
    graph = CtcGraph(net, None).eval()
    facts = _facts(net, front, graph.unit) | {"right_context": graph.unit - 1}  # so that chunks do not overlap
    facts |= {"head": 1, "num_blocks": 1, "output_size": 1, "cnn_module_kernel": graph.size + 1}  # sizes of its states
    x, before, attention = torch.zeros(1, 2 * graph.unit, front.dim), torch.tensor([8]), torch.zeros(1, 1, 8, 2)
    state, mask = graph.initial()[0], torch.ones(1, 1, 10, dtype=torch.bool)
    inputs = ["features", "offset", "before", "attention", "state", "mask"]
    axes = {"features": {1: "frames"}, "log_probs": {1: "outputs"}, "mask": {2: "places"}}
    axes |= {"attention": {2: "past"}, "attention_out": {2: "past"}}
    names = inputs, ["log_probs", "attention_out", "state_out"]
    graph_file.write(SherpaGraph(graph).eval(), path, (x, before, before, attention, state, mask), names, axes, facts)
    return check(path, graph, features.numpy(), _whole(net, features))


def _facts(net: RecogniserNet, front: FrontEnd, factor: int) -> dict[str, object]:
    """What sherpa-onnx, and who opens a graph in it, has to know. factor: frames of features for one of output."""
    facts: dict[str, object] = {"model_type": "wenet_ctc", "comment": "a recogniser of mimic", "version": 1}
    facts |= {"subsampling_factor": factor, "vocab_size": net.ctc.out_features}
    return facts | {"sample_rate": front.rate, "feature_dim": front.dim}


def run(session: onnxruntime.InferenceSession, x: np.ndarray, chunk: int, unit: int, delay: int) -> np.ndarray:
    """A whole signal through stream_ctc.onnx in chunks: (1, samples) -> log-probabilities (frames, tokens)."""
    found = [out for _, out in chunks(session, x, chunk, unit, delay)]
    frames = sum(int(count[0]) for _, count in found)
    return np.concatenate([log_probs for log_probs, _ in found])[delay : delay + frames]


def _whole(net: RecogniserNet, features: Tensor) -> np.ndarray:
    """What torch makes of all features (1, frames, bins) at once: (frames', tokens)."""
    with torch.no_grad():
        return net.encode(features, torch.tensor([features.shape[1]]))[2][0].numpy()


def check(path: Path, graph: CtcGraph, x: np.ndarray, wanted: np.ndarray) -> float:
    """The largest difference of probabilities to `wanted` (frames, tokens), for chunks of several sizes.

    Raises UserError where it is too large.
    """
    session, worst = graph_file.session(path), 0.0
    for chunk in (5 * graph.unit, 32 * graph.unit, x.shape[1] // graph.unit * graph.unit):
        if graph.front:
            given = run(session, x, chunk, graph.unit, graph.delay)
        else:
            given = np.concatenate([out for _, out in sherpa_chunks(session, x, chunk, graph.unit)])[graph.delay :]
        if graph.front and given.shape != wanted.shape:
            raise UserError(f"{path}: gives {given.shape} where torch gives {wanted.shape}")
        worst = max(worst, float(np.abs(np.exp(given) - np.exp(wanted[: len(given)])).max()))
    return _small(path, worst)


def _small(path: Path, worst: float) -> float:
    """The same difference. UserError where it is too large."""
    if not worst <= TOLERANCE:
        raise UserError(f"{path}: differs from torch by {worst:.1e}: this network cannot be exported")
    return worst


def _signal(samples: int) -> Tensor:
    """Something that sounds, always the same: (1, samples)."""
    draw = torch.Generator().manual_seed(samples)
    time = torch.arange(samples) / 16000
    swell = (1 + torch.sin(2 * torch.pi * 3 * time)) / 2
    return (0.2 * torch.sin(2 * torch.pi * 220 * time) * swell + 0.05 * torch.randn(samples, generator=draw))[None]
