"""Streaming recognisers as ONNX graphs: every chunking gives what torch gives for the whole; sherpa-onnx runs them."""

import io
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from model_maker import make_recogniser
from peers import needs
from torch import nn

from mimic.decoding.ctc.prefix import greedy
from mimic.errors import UserError
from mimic.frontend.cmvn import Cmvn
from mimic.frontend.fbank import Fbank, FbankConfig
from mimic.frontend.logmel import LogMel, LogMelConfig
from mimic.io import weights
from mimic.judging.recognisers import make
from mimic.models.recogniser import Recogniser
from mimic.nets.deepspeech2 import DeepSpeech2, DeepSpeech2Config
from mimic.nets.recogniser import RecogniserNet
from mimic.training import checkpoint

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: steps/setup.sh")
from mimic.deploy import graph_file, onnx_ctc
from mimic.deploy.ctc_graph import CtcGraph, windows
from mimic.deploy.onnx import export

SIZES = {"channels": [2, 3], "kernels": [[5, 7], [3, 5]], "strides": [[2, 2], [1, 2]], "rnn_layers": 2, "rnn_units": 6}
CASES = {
    "gru": (dict(padding=True, norm=True, lookahead=3, limit=20.0, dense=0), Fbank(FbankConfig(num_mel_bins=20))),
    "lstm": (dict(rnn="lstm", dense=5), LogMel(LogMelConfig(num_mel_bins=20))),
}
SHERPA = "--type=fbank\n--num-mel-bins=20\n--snip-edges=false\n--high-freq=-400\n"
EQUAL = 1e-5  # what users ask of a stream; of probabilities
DIRECTION = (
    "{channels: [2], kernels: [[5, 7]], strides: [[2, 2]], padding: true, rnn_layers: 1, rnn_units: 4, dense: 6}"
)


def recogniser(sizes: dict) -> RecogniserNet:
    """With weights, and statistics of batch normalisation, that are not those of a fresh one."""
    torch.manual_seed(2)
    normaliser = Cmvn(20)
    normaliser.mean.add_(8)
    normaliser.scale.mul_(0.3)
    net = RecogniserNet(DeepSpeech2(20, DeepSpeech2Config(**SIZES | sizes)), normaliser, False, 8, None)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
    for weight in net.parameters():
        weight.data *= 1.5
    return net.eval()


@pytest.fixture(scope="module", params=CASES)
def streaming(request, tmp_path_factory) -> SimpleNamespace:
    sizes, front = CASES[request.param]
    folder, net = tmp_path_factory.mktemp(request.param), recogniser(sizes)
    worst = onnx_ctc.export(net, front, folder)
    return SimpleNamespace(folder=folder, net=net, front=front, worst=worst)


def noise(samples: int) -> torch.Tensor:
    return torch.randn(1, samples, generator=torch.Generator().manual_seed(samples)) / 10


@torch.no_grad()
def test_every_chunking_gives_what_the_whole_gives(streaming):
    net, front = streaming.net, streaming.front
    features, graph = front.onnx(), CtcGraph(net, front.onnx())
    session = graph_file.session(streaming.folder / "stream_ctc.onnx")
    assert streaming.worst <= EQUAL
    for samples in (3000, 6400, 6401):  # shorter than the delay, whole chunks, one more
        x = noise(samples)
        whole = front(x)
        wanted = net.encode(whole, torch.tensor([whole.shape[1]]))[2][0].exp().numpy()
        mirrored = onnx_ctc.mirror(x.numpy(), features.mirrored, features.repeat)
        for chunks in (1, 3, 20, 100):
            given = np.exp(onnx_ctc.run(session, mirrored, chunks * graph.unit, graph.unit, graph.delay))
            assert given.shape == wanted.shape and np.abs(given - wanted).max() <= EQUAL


def test_windows_are_late_by_whole_outputs():
    for spans in ([(11, 2, 5, 5), (11, 1, 5, 5), (11, 1, 0, 10)], [(400, 160, 0, 0), (5, 3, 0, 0)], [(5, 5, 2, 2)]):
        inputs_late = 0
        for window, (kernel, stride, left, _) in zip(windows(spans), spans, strict=True):
            assert kernel - stride <= window.held < kernel
            assert window.late * stride == inputs_late + window.held - left
            inputs_late = window.late


def make_exported(folder: Path, net: str, sizes: str = "") -> Path:
    """A directory of a recogniser on sherpa-onnx's features, its graphs, and a recording."""
    make_recogniser(folder / "asr", net, sizes=sizes)
    (folder / "asr/features.conf").write_text(SHERPA)
    state = weights.load(folder / "asr/model.pt")
    state["normaliser.mean"] += 8
    for name in state:  # so that the likeliest token changes often
        state[name] *= 0.3 if name == "normaliser.scale" else 4 if "weight" in name and sizes else 1
    state["ctc.bias"] += torch.tensor([-3.0, -99, -99, *[0] * (len(state["ctc.bias"]) - 3)])  # nor blank, nor ends
    checkpoint.save(state, folder / "asr/model.pt")
    export(folder / "asr", folder / "onnx")
    soundfile.write(folder / "in.wav", noise(32000)[0].numpy(), 16000)
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return make_exported(tmp_path_factory.mktemp("sherpa"), "deepspeech2", DIRECTION)


def wanted(folder: Path, wav: Path | None = None) -> str:
    model, (x, _) = Recogniser.load(folder / "asr"), soundfile.read(wav or folder / "in.wav", dtype="float32")
    features = model.front(torch.from_numpy(x))[None]
    with torch.no_grad():
        log_probs = model.net.encode(features, torch.tensor([features.shape[1]]))[2]
    (ids,) = greedy(log_probs, torch.tensor([log_probs.shape[1]]))
    return "".join(model.tokens.symbols[i] for i in ids if i > 2).replace("\u2581", " ")


@pytest.mark.parametrize("source", ["in.wav", "-"])
@pytest.mark.parametrize("samples", [32000, 32000 // 4800 * 4800 + 1, 700])
def test_the_example_prints_the_words(exported, tmp_path, monkeypatch, capsys, source, samples):
    """Of recordings of any length: a last block of one sample, and less than a block; half a sample is left out."""
    x, rate = soundfile.read(exported / "in.wav", dtype="int16")
    soundfile.write(tmp_path / "in.wav", x[:samples], rate)
    pipe = io.BytesIO(x[:samples].tobytes() + b"x")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=pipe))
    example(exported, monkeypatch, source if source == "-" else str(tmp_path / source))
    found = capsys.readouterr().out.rstrip("\n")
    assert (len(found) > 3 or samples < 1000) and found == wanted(exported, tmp_path / "in.wav")


def example(folder: Path, monkeypatch, *words: str) -> None:
    """Run stream_ctc.py, to which torch is not there."""
    monkeypatch.setattr(sys, "argv", ["stream_ctc.py", *words])
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "torch", None)
        runpy.run_path(str(folder / "onnx/stream_ctc.py"))


def test_what_the_example_refuses(exported, tmp_path, monkeypatch, capsys):
    soundfile.write(tmp_path / "slow.wav", np.zeros(800), 8000)
    for words, line in (((), "stream_ctc.py speech.wav"), ((str(tmp_path / "slow.wav"),), "8000 Hz, the model 16000")):
        with pytest.raises(SystemExit, match=line):
            example(exported, monkeypatch, *words)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO()))
    example(exported, monkeypatch, "-")  # of nothing there are no words
    assert capsys.readouterr().out.endswith("\n")


def test_only_what_sherpa_makes_goes_there(streaming, exported):
    assert (exported / "onnx/sherpa_ctc.onnx").exists() and not (streaming.folder / "sherpa_ctc.onnx").exists()
    for options in ({"high_freq": 7600.0}, {"high_freq": -400, "num_mel_bins": 40}):
        assert onnx_ctc.for_sherpa(Fbank(FbankConfig(snip_edges=False, **options)))
    assert not onnx_ctc.for_sherpa(Fbank(FbankConfig(snip_edges=False)))


@needs("sherpa_onnx")
def test_sherpa_onnx(exported):
    recogniser, (x, _) = make(f"sherpa:{exported / 'onnx'}", "en"), soundfile.read(exported / "in.wav", dtype="float32")
    text, here = dict(recogniser.words([("u", x)]))["u"]["hyp"], wanted(exported)
    # What sherpa-onnx gets after the end is silence, where the whole has nothing: the last frames may differ.
    assert recogniser.streaming and len(here) > 5
    assert text.replace(" ", "").startswith(here.replace(" ", "")[:-2])


@needs("sherpa_onnx")
@pytest.mark.parametrize("net", ["crdnn", "conformer", "deepspeech2"])  # the last one in both directions
def test_sherpa_onnx_of_whole_utterances(tmp_path, net):
    folder = make_exported(tmp_path, net)
    recogniser, (x, _) = make(f"sherpa:{folder / 'onnx'}", "en"), soundfile.read(folder / "in.wav", dtype="float32")
    assert not recogniser.streaming and not (folder / "onnx/stream_ctc.onnx").exists()
    text, here = dict(recogniser.words([("u", x)]))["u"]["hyp"], wanted(folder).strip()
    assert here and text.split() == here.split()


@needs("sherpa_onnx")
def test_features_that_sherpa_does_not_make(tmp_path):
    export(make_recogniser(tmp_path / "asr"), tmp_path / "onnx")
    with pytest.raises(UserError, match="onnx: its features are not those that sherpa-onnx makes .* without sherpa:"):
        make(f"sherpa:{tmp_path / 'onnx'}", "en")
