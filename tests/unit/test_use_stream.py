"""Graphs of streams elsewhere: in sherpa-onnx, and in the example, which needs neither torch nor this repository."""

import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import soundfile
from model_maker import make_enhancer
from peers import run_peer

from mimic.io.resampling import resample
from mimic.models.enhancer import Enhancer
from mimic.models.ratio import Curve, RunningRatio

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: steps/setup.sh")
from mimic.deploy.onnx import export

STREAM = 1e-5  # of a stream; see test_fast.py
SHERPA = """
import json, sys, numpy, soundfile, sherpa_onnx as s
x, rate = soundfile.read(sys.argv[2], dtype="float32")
model = s.OfflineSpeechDenoiserModelConfig(gtcrn=s.OfflineSpeechDenoiserGtcrnModelConfig(model=sys.argv[1]))
whole = s.OfflineSpeechDenoiser(s.OfflineSpeechDenoiserConfig(model=model)).run(x, rate)
online = s.OnlineSpeechDenoiser(s.OnlineSpeechDenoiserConfig(model=model))
parts = [online.run(x[i : i + 100], rate).samples for i in range(0, len(x), 100)] + [online.flush().samples]
soundfile.write(sys.argv[3], numpy.concatenate(parts), rate, "FLOAT")
soundfile.write(sys.argv[4], whole.samples, rate, "FLOAT")
print(json.dumps([whole.sample_rate, online.frame_shift_in_samples]))
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """onnx/ of an enhancer, in.wav, and out.wav: by torch."""
    root = tmp_path_factory.mktemp("stream")
    model = make_enhancer(root / "model", "fast")
    export(model, root / "onnx")
    time = np.arange(8100) / 16000
    x = 0.2 * np.sin(2 * np.pi * 220 * time) * np.sin(20 * time) + np.random.default_rng(1).normal(0, 0.02, 8100)
    soundfile.write(root / "in.wav", x.astype(np.float32), 16000, "PCM_16")
    x, _ = soundfile.read(root / "in.wav", dtype="float32")
    soundfile.write(root / "out.wav", Enhancer.load(model).enhance(x, 16000), 16000, "FLOAT")
    return root


def test_sherpa_onnx_runs_the_graph(exported, tmp_path):
    online, whole = tmp_path / "online.wav", tmp_path / "whole.wav"
    graph = exported / "onnx/sherpa.onnx"
    assert run_peer("sherpa_onnx", SHERPA, graph, exported / "in.wav", online, whole) == [16000, 256]
    expected, _ = soundfile.read(exported / "out.wav", dtype="float32")
    given, _ = soundfile.read(online, dtype="float32")
    np.testing.assert_allclose(given, expected, atol=STREAM, rtol=0)
    # Of a recording it mirrors the ends where mimic has silence, and leaves out what fills no hop.
    given, _ = soundfile.read(whole, dtype="float32")
    assert len(given) == 8100 // 256 * 256
    middle = slice(512, len(given) - 512)
    assert np.abs(given - expected[: len(given)])[middle].max() < 0.1 * np.abs(expected[middle]).max()


def test_sherpa_onnx_runs_the_shipped_model_on_real_speech(repository, real_data, tmp_path):
    model = Enhancer.load(repository / "pretrained/fast_t")
    export(model.directory, tmp_path / "onnx")
    recording = min((real_data / "speechocean762/audio").rglob("*.opus"))
    x = resample(*soundfile.read(recording, dtype="float32"), 16000)[: 3 * 16000]
    x += np.random.default_rng(1).normal(0, 0.01, len(x)).astype(np.float32)
    soundfile.write(tmp_path / "in.wav", x, 16000, "FLOAT")
    words = (tmp_path / "onnx/sherpa.onnx", tmp_path / "in.wav", tmp_path / "online.wav", tmp_path / "whole.wav")
    assert run_peer("sherpa_onnx", SHERPA, *words) == [16000, 256]
    given, _ = soundfile.read(tmp_path / "online.wav", dtype="float32")
    expected = model.enhance(x, 16000, ratio=1)
    np.testing.assert_allclose(given[: len(x)], expected, atol=STREAM, rtol=0)
    assert np.abs(expected).max() > 0.01 and np.abs(expected - x).max() > 0.01


def example(folder: Path, *words: object, sent: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """example.py in Python's isolated mode, with torch made impossible, and soundfile where it gets a pipe."""
    without = ["torch", *(["soundfile"] if sent else [])]
    code = f"import sys, runpy; sys.modules.update(dict.fromkeys({without})); runpy.run_path(sys.argv.pop(1))"
    command = [sys.executable, "-I", "-c", code, str(folder / "onnx/example.py"), *map(str, words)]
    return subprocess.run(command, input=sent, capture_output=True, cwd=folder)


@pytest.mark.parametrize("ratio", [None, 0.25, 0])
def test_a_pipe_hop_by_hop_without_torch(exported, ratio):
    sent = (exported / "in.wav").read_bytes()[-2 * 8100 :]
    words = [] if ratio is None else ["--ratio", ratio]
    done = example(exported, *words, "-", "-", sent=sent + b"x")  # half a sample at the end is left out
    assert done.returncode == 0, done.stderr.decode()
    given, delay = (
        np.frombuffer(done.stdout, "<i2") / 32767,
        json.loads((exported / "onnx/stream.json").read_text())["delay"],
    )
    assert len(given) % 256 == 0 and len(given) >= 8100 + delay
    expected = mixed(exported, 1 if ratio is None else ratio).clip(-1, 1)
    np.testing.assert_allclose(given[delay : delay + 8100], expected, atol=STREAM + 0.5 / 32767, rtol=0)


def mixed(folder: Path, ratio: float) -> np.ndarray:
    enhanced, noisy = (soundfile.read(folder / name)[0] for name in ("out.wav", "in.wav"))
    return ratio * enhanced + (1 - ratio) * noisy


def test_a_file_and_its_input_in_a_ratio(exported):
    x, rate = soundfile.read(exported / "in.wav")
    soundfile.write(exported / "two.wav", np.stack([x, 0 * x], axis=1), rate, "PCM_16")
    done = example(exported, "--ratio", "0.25", "two.wav", "mixed.wav")
    assert done.returncode == 0, done.stderr.decode()
    given, _ = soundfile.read(exported / "mixed.wav")
    assert given.shape == (8100, 2)
    np.testing.assert_allclose(given[:, 0], mixed(exported, 0.25), atol=STREAM + 1 / 32767, rtol=0)


def test_the_ratio_by_snr_is_that_of_streams(exported, tmp_path):
    """The export has the curve, and it is the default, as of the model itself."""
    model, curve = tmp_path / "model", Curve(-20, 40, 0.1, 0.9)
    shutil.copytree(exported / "model", model)
    (model / "ratio.json").write_text(json.dumps({"curve": asdict(curve)}))
    export(model, tmp_path / "onnx")
    shutil.copy(exported / "in.wav", tmp_path)
    for name, words in (("auto.wav", ["--ratio", "auto"]), ("default.wav", [])):
        done = example(tmp_path, *words, "in.wav", name)
        assert done.returncode == 0, done.stderr.decode()
    enhanced, noisy = (soundfile.read(exported / name, dtype="float32")[0] for name in ("out.wav", "in.wav"))
    ratios = RunningRatio(curve, 16000)(noisy, enhanced)
    assert np.ptp(ratios) > 0.05
    given, _ = soundfile.read(tmp_path / "auto.wav")
    # Samples differ by 1e-5, so SNRs of the first ones, which are few, and by 1/60 of it their ratios.
    np.testing.assert_allclose(given, ratios * enhanced + (1 - ratios) * noisy, atol=1e-4, rtol=0)
    assert (tmp_path / "auto.wav").read_bytes() == (tmp_path / "default.wav").read_bytes()


def test_what_the_example_refuses(exported):
    soundfile.write(exported / "slow.wav", np.zeros(800), 8000)
    for words, line in (
        (("--ratio", "2", "in.wav", "x.wav"), "--ratio is from 0 to 1 or auto"),
        (("--ratio", "x", "in.wav", "x.wav"), "argument --ratio: invalid share value: 'x'"),
        (("--ratio", "auto", "in.wav", "x.wav"), "--ratio auto: none was fitted"),
        (("-", "x.wav"), "- stands for both wavs"),
        (("slow.wav", "x.wav"), "slow.wav has 8000 Hz, the model 16000: resample it first"),
        (("in.wav",), "the following arguments are required: "),
    ):
        done = example(exported, *words)
        assert done.returncode == 2 and line in done.stderr.decode().splitlines()[-1], done.stderr.decode()
    assert not (exported / "x.wav").exists()
