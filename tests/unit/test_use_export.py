"""ONNX graphs equal torch at every length, and their examples run without torch and without this repository."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from data_maker import ROOT
from model_maker import ENHANCERS, make_enhancer, make_recogniser, make_segan, program
from tolerance import of_front_end

from mimic.decoding.ctc.prefix import greedy
from mimic.errors import UserError
from mimic.frontend.fbank import Fbank, FbankConfig
from mimic.frontend.front_end import front_end
from mimic.io.tokens import Tokens
from mimic.models.enhancer import Enhancer
from mimic.models.recogniser import Recogniser

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: steps/setup.sh")
from mimic.deploy.onnx import export  # noqa: E402

LENGTHS = (700, 4096, 12345)


def signal(samples: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(samples).standard_normal((1, samples))).astype(np.float32)


def session(folder: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(folder / "model.onnx", options)


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("models")
    for net in ("cnn_transformer", "causal"):
        make_enhancer(root / net, net)
    make_enhancer(root / "wide_resnet", "wide_resnet", "{domain: complex, weight: 0.99, limit: 1.0}")
    make_segan(root / "segan")
    make_recogniser(root / "conformer", "conformer")
    make_recogniser(root / "crdnn", "crdnn", "ligru", "utterance")
    make_recogniser(root / "deepspeech2", "deepspeech2", features="logmel")
    make_recogniser(root / "quartznet", "quartznet", features="stft")
    return root


@pytest.mark.parametrize("net", ["cnn_transformer", "wide_resnet", "causal", "segan"])
def test_enhancers(exported, tmp_path, net):
    assert net == "segan" or net in ENHANCERS
    assert export(exported / net, tmp_path) < 1e-4
    run, enhancer = session(tmp_path), Enhancer.load(exported / net)
    model, front = enhancer.net, enhancer.front
    for n in LENGTHS:
        x = signal(n)
        (given,) = run.run(None, {"wave": x})
        with torch.no_grad():
            (wanted,) = model.enhance([torch.from_numpy(x[0])], front)
        assert given.shape == x.shape and np.abs(given[0] - wanted.numpy()).max() < 1e-4


@pytest.mark.parametrize("net", ["crdnn", "conformer", "deepspeech2", "quartznet"])
def test_recognisers(exported, tmp_path, net):
    assert export(exported / net, tmp_path) < 1e-4
    recogniser = Recogniser.load(exported / net)
    model = recogniser.net
    extract, run = front_end(exported / net / "features.conf"), session(tmp_path)
    for n in (*LENGTHS, 2000):
        x = signal(n)
        features = extract(torch.from_numpy(x))
        if features.shape[1] < 4:
            continue
        (given,) = run.run(None, {"wave": x})
        with torch.no_grad():
            wanted = model.encode(features, torch.tensor([features.shape[1]]))[2]
        assert given.shape == wanted.shape and np.abs(given - wanted.numpy()).max() < 1e-4
    assert (tmp_path / "tokens.txt").read_text() == (exported / net / "tokens.txt").read_text()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"remove_dc_offset": False, "window_type": "hamming", "preemphasis_coefficient": 0.0},
        {"snip_edges": False, "high_freq": -400},
    ],
)
def test_features_of_the_graph(options):
    fbank, x = Fbank(FbankConfig(**options)), torch.from_numpy(signal(8000)) + 0.05
    torch.testing.assert_close(fbank.onnx()(x), fbank(x), atol=of_front_end(fbank, x), rtol=0)
    with pytest.raises(UserError, match="cannot be exported yet"):
        Fbank(FbankConfig(use_energy=True)).onnx()


@pytest.mark.parametrize("net", ["causal", "conformer"])
def test_examples_need_nothing_of_this_repository(exported, tmp_path, net):
    """Python's isolated mode, in another directory, with torch made impossible."""
    out = tmp_path / "onnx"
    export(exported / net, out)
    soundfile.write(tmp_path / "in.wav", signal(16000)[0], 16000)
    code = f"import sys, runpy; sys.modules['torch'] = None; runpy.run_path({str(out / 'example.py')!r})"
    words = [sys.executable, "-I", "-c", code, "in.wav", *(["out.wav"] if net == "causal" else [])]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if net == "causal":
        assert soundfile.info(tmp_path / "out.wav").frames == 16000
    else:
        (log_probs,) = session(out).run(None, {"wave": soundfile.read(tmp_path / "in.wav", dtype="float32")[0][None]})
        (ids,) = greedy(torch.from_numpy(log_probs), torch.tensor([log_probs.shape[1]]))
        assert done.stdout.split() == Tokens.load(out, "char").decode(ids).replace(" <unk> ", "<unk>").split()
    facts = json.loads((out / "model.json").read_text())
    assert facts["shortest"] <= 512 and facts["rate"] == 16000 and facts["input"] == "wave"


def test_the_example_in_hands_that_know_nothing(exported, tmp_path, monkeypatch, capsys):
    export(exported / "cnn_transformer", tmp_path)
    for samples in (1, 200):
        soundfile.write(tmp_path / "in.wav", signal(samples)[0], 16000)
        monkeypatch.setattr(sys, "argv", ["example.py", str(tmp_path / "in.wav"), str(tmp_path / "out.wav")])
        runpy.run_path(str(tmp_path / "example.py"))
        assert soundfile.info(tmp_path / "out.wav").frames == samples
    monkeypatch.setattr(sys, "argv", ["example.py"])
    with pytest.raises(SystemExit, match="example.py noisy.wav enhanced.wav"):
        runpy.run_path(str(tmp_path / "example.py"))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(SystemExit, match="onnxruntime is not installed: .* -m pip install numpy onnxruntime"):
        runpy.run_path(str(tmp_path / "example.py"))


def test_program_says_how_equal_it_is(exported, tmp_path, caplog):
    caplog.set_level("INFO")
    assert program("export.py", exported / "causal", tmp_path / "out") == 0
    assert "largest difference between onnxruntime and torch" in caplog.text
    (tmp_path / "joint").mkdir()
    (tmp_path / "joint/config.yaml").write_text("task: joint\nnet: crdnn\n")
    assert program("export.py", tmp_path / "joint", tmp_path / "out2") == 1
    assert "give " in caplog.text and not (tmp_path / "out2").exists()
    assert (ROOT / "pyscripts/mimic/deploy/examples/example.py").read_text() == (
        tmp_path / "out/example.py"
    ).read_text()
