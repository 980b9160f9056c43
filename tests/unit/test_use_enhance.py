"""Enhancing files of every kind, and samples as they come."""

import io
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from data_maker import ROOT, in_tmpfs, run
from model_maker import ENHANCERS, make_enhancer, make_recogniser, program

from mimic.deploy.stream import Stream
from mimic.errors import UserError
from mimic.io.tables import read_table
from mimic.models.blocks import BlockEnhancer
from mimic.models.enhancer import Enhancer
from mimic.nets.causal_mask import CausalMask
from mimic.tasks import config as configuration

ENHANCE = ROOT / "steps/enhance.sh"


def speech(seconds: float, rate: int = 16000, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Noise whose level changes: (samples, channels) float32."""
    draw = np.random.default_rng(seed)
    n = round(seconds * rate)
    level = np.repeat(draw.uniform(0.02, 0.2, n // 4000 + 1), 4000)[:n, None]
    return (level * draw.standard_normal((n, channels))).clip(-0.99, 0.99).astype(np.float32)


def in_blocks(x: np.ndarray, size: int = 30011):
    return (x[i : i + size] for i in range(0, len(x), size))


def decibels(difference: np.ndarray, reference: np.ndarray) -> float:
    return 10 * np.log10(np.mean(difference**2) / np.mean(reference**2) + 1e-30)


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("models")
    for net in ENHANCERS:
        make_enhancer(root / net, net)
    return root


@pytest.mark.parametrize("net", ENHANCERS)
def test_pieces_equal_the_whole(models, net):
    loaded = Enhancer.load(models / net)
    x = speech(40.123)
    whole, pieces = (np.concatenate(list(loaded.blocks(chunk_s=seconds)(in_blocks(x), 16000))) for seconds in (0, 4))
    assert whole.shape == pieces.shape == x.shape
    assert decibels(pieces - whole, whole) < -60
    assert decibels(whole - x, x) > -20  # and it is not the input


def test_what_fits_into_the_reach_is_as_the_published_network_has_it(models):
    for net in ("cnn_transformer", "wide_resnet"):
        loaded = Enhancer.load(models / net)
        model, stft = loaded.net, loaded.front
        x = speech(7)
        expected = model.enhance([torch.from_numpy(x[:, 0])], stft)[0].detach().numpy()
        (given,) = BlockEnhancer(model, stft)([x], 16000)
        np.testing.assert_array_equal(given[:, 0], expected)


@pytest.mark.parametrize(
    ("rate", "channels", "samples"), [(8000, 7, 1), (44100, 2, 44099), (48000, 1, 100), (11025, 1, 9)]
)
def test_length_rate_and_channels_stay(models, rate, channels, samples):
    work = Enhancer.load(models / "causal").blocks()
    x = speech(1, rate, channels)[:samples]
    y = np.concatenate(list(work(in_blocks(x, 1000), rate)))
    assert y.shape == x.shape and np.isfinite(y).all()


def test_resampled_signals_stay_in_time(models):
    """A mask of ones gives the input back, below the model's Nyquist frequency."""
    loaded = Enhancer.load(models / "causal")
    model, stft = loaded.net, loaded.front
    torch.nn.init.zeros_(model.net.output.weight)
    torch.nn.init.ones_(model.net.output.bias)
    t = np.arange(3 * 44100)[:, None] / 44100
    x = (0.3 * np.sin(2 * np.pi * np.array([[440.0, 3000.0]]) * t)).astype(np.float32)
    y = np.concatenate(list(BlockEnhancer(model, stft)(in_blocks(x), 44100)))
    assert decibels((y - x)[2000:-2000], x) < -80


@pytest.mark.parametrize("net", ENHANCERS)
def test_threads_change_nothing(models, net):
    """One thread enhances, however many there are; afterwards there are as many as before."""
    loaded, x, threads = Enhancer.load(models / net), speech(2.0), torch.get_num_threads()
    found = []
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            found.append(loaded.enhance(x, 16000))
            assert torch.get_num_threads() == number
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(*found)


def test_enhancement_ratio(models):
    loaded, x = Enhancer.load(models / "causal"), speech(1.5, 22050, 2)
    enhanced, half, noisy = (
        np.concatenate(list(loaded.blocks(ratio=share)(in_blocks(x, 777), 22050))) for share in (1, 0.5, 0)
    )
    np.testing.assert_array_equal(noisy, x)
    np.testing.assert_allclose(half, (enhanced + x) / 2, atol=1e-6)
    with pytest.raises(UserError, match="enhancement ratio 1.5"):
        loaded.blocks(ratio=1.5)


@pytest.mark.parametrize("total", [0, 1, 255, 256, 511, 513, 20000])
def test_stream_equals_the_whole_and_is_as_late_as_it_says(models, total):
    loaded = Enhancer.load(models / "causal")
    model, stft = loaded.net, loaded.front
    stream, x, draw = Stream(model, stft), torch.from_numpy(speech(2)[:total, 0]), np.random.default_rng(total)
    given, taken = [], 0
    while taken < total:
        piece = x[taken : taken + int(draw.integers(0, 900))]
        taken += len(piece)
        given.append(stream(piece))
        assert sum(map(len, given)) >= taken - stream.latency
    given.append(stream(x[:0], last=True))
    if total:
        torch.testing.assert_close(torch.cat(given), model.enhance([x], stft)[0], atol=1e-5, rtol=0)
    else:
        assert not len(torch.cat(given))
    assert stream.latency == 512


def test_a_stream_cannot_have_the_future(models):
    with pytest.raises(UserError, match="conf/enhance_causal.yaml"):
        Stream(Enhancer.load(models / "crdnn").net, Enhancer.load(models / "crdnn").front)


def test_causal_configuration_has_its_stated_size():
    config = configuration.read(ROOT / "conf/enhance_causal.yaml")
    net = CausalMask(257, config.model)
    count = sum(p.numel() for p in net.parameters())
    assert f" {count:,} parameters" in (ROOT / "conf/enhance_causal.yaml").read_text()


def write(path: Path, x: np.ndarray, rate: int = 16000, subtype: str = "PCM_16") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, x, rate, subtype)
    return path


def test_a_folder_keeps_its_structure(models, tmp_path):
    files = {
        "a.wav": (speech(0.5), 16000, "PCM_16"),
        "deep/er/b.flac": (speech(0.3, 48000, 2), 48000, "PCM_24"),
        "deep/c.wav": (speech(0.2, 8000, 7), 8000, "PCM_U8"),
        "deep/d.mp3": (speech(0.7, 22050), 22050, "MPEG_LAYER_III"),
        "e.wav": (speech(0.2), 16000, "FLOAT"),
    }
    for name, (x, rate, subtype) in files.items():
        write(tmp_path / "in" / name, x, rate, subtype)
    (tmp_path / "in/notes.txt").write_text("not audio")
    done = run(ENHANCE, models / "causal", tmp_path / "in", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "real-time factor" in done.stderr
    for name in files:
        target = tmp_path / "out" / name.replace(".mp3", ".wav")
        there, here = soundfile.info(tmp_path / "in" / name), soundfile.info(target)
        assert (here.frames, here.samplerate, here.channels) == (there.frames, there.samplerate, there.channels)
        assert here.subtype == (there.subtype if there.subtype in ("PCM_24", "FLOAT") else "PCM_16")
        # libsndfile dates floating-point files there, and a later run would give other bytes
        assert b"PEAK" not in target.read_bytes()
    assert not list(tmp_path.rglob("*.tmp")) and not list((tmp_path / "out").rglob("*.txt"))


def test_one_bad_file_does_not_stop_the_others(models, tmp_path, caplog):
    write(tmp_path / "in/good.wav", speech(0.1))
    (tmp_path / "in/bad.wav").write_text("no audio")
    assert program("enhance_files.py", models / "causal", tmp_path / "in", tmp_path / "out") == 1
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["good.wav"]
    assert "bad.wav is not readable audio" in caplog.text and "1 of 2 files" in caplog.text


def test_a_list_becomes_a_list(models, tmp_path, caplog):
    paths = {f"s-{i}": write(tmp_path / f"{i}.wav", speech(0.2, seed=i), 8000) for i in range(2)}
    listed, out = tmp_path / "in.scp", tmp_path / "out"
    listed.write_text("".join(f"{utt} {path}\n" for utt, path in paths.items()))
    words = ("enhance_files.py", models / "causal", listed, out)
    assert program(*words) == 0
    for utt, path in read_table(out / "wav.scp").items():
        assert soundfile.info(path).frames == soundfile.info(paths[utt]).frames
    listed.write_text(f"s-1 cat {paths['s-1']} |\n")
    assert program(*words) == 1 and "--allow-pipes true" in caplog.text
    assert program(*words, "--allow-pipes", "true") == 0 and len(read_table(out / "wav.scp")) == 1
    listed.write_text(f"../../x {paths['s-1']}\n")
    assert program(*words) == 0 and (out / "wav" / "..%2F..%2Fx.wav").exists()


def piped(data: bytes, *words: str | Path) -> subprocess.CompletedProcess:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [str(word) for word in (ENHANCE, *words)]
    return subprocess.run(command, cwd=ROOT, env=environment, input=data, capture_output=True, timeout=120)


def test_standard_input_and_output(models, tmp_path, caplog, monkeypatch):
    path = write(tmp_path / "a.wav", speech(0.5, 44100, 2), 44100)
    assert program("enhance_files.py", models / "causal", path, tmp_path / "b.wav") == 0
    done = piped(path.read_bytes(), models / "causal", "-", "-")
    assert done.returncode == 0 and done.stdout == (tmp_path / "b.wav").read_bytes()
    raw = (speech(1.01)[:, 0] * 32768).astype("<i2").tobytes()
    done = piped(raw + b"\0", "--stream", "true", models / "causal", "-", "-")
    assert done.returncode == 0 and len(done.stdout) == len(raw)
    assert b"latency 512 samples, 32 ms" in done.stderr and b"half sample" in done.stderr
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert program("enhance_files.py", models / "causal", "-", tmp_path / "c.wav") == 1
    assert "standard input is not readable audio (it is empty)" in caplog.text


BAD = {
    "text.wav": (lambda path: path.write_text("hello"), "is not readable audio"),
    "empty.wav": (lambda path: path.write_bytes(b""), "it is empty"),
    "nothing.wav": (lambda path: write(path, speech(0)), "holds no samples"),
    "nan.wav": (lambda path: write(path, speech(0.1) * np.nan, subtype="FLOAT"), "holds NaN"),
    "absent.wav": (lambda path: None, "cannot be opened"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(models, tmp_path, caplog, name):
    make, line = BAD[name]
    make(tmp_path / name)
    assert program("enhance_files.py", models / "causal", tmp_path / name, tmp_path / "out.wav") == 1
    (message,) = caplog.messages
    assert line in message and name in message
    assert not list(tmp_path.glob("out*"))


def test_outputs_that_cannot_be(models, tmp_path, caplog):
    path = write(tmp_path / "in/a.wav", speech(0.1))
    write(tmp_path / "in/a.mp3", speech(0.1), subtype="MPEG_LAYER_III")
    for source, output, line in (
        (path, path, "is the input itself"),
        (path, tmp_path / "out.xyz", "expected a file that ends in .wav"),
        (tmp_path / "in", path, "give a folder"),
        (tmp_path / "in", tmp_path / "in/out", "lies inside"),
        (tmp_path / "in", tmp_path / "out", "would both become"),
        (tmp_path / "in", "-", "several files do not fit"),
    ):
        caplog.clear()
        assert program("enhance_files.py", models / "causal", source, output) == 1
        assert line in caplog.messages[-1]


def test_an_output_that_cannot_be_written(models, tmp_path):
    path = write(tmp_path / "a.wav", speech(0.1))
    (tmp_path / "ro").mkdir()
    script = f"mount -o remount,ro {tmp_path}/ro && {ENHANCE} {models}/causal {path} {tmp_path}/ro/out.wav"
    done = run(*in_tmpfs(tmp_path / "ro", "1m", script))
    if done.returncode == 77:
        pytest.skip("no tmpfs can be mounted here")
    assert done.returncode == 1 and "out.wav.tmp: Read-only file system" in done.stderr


def test_a_model_in_the_place_of_the_input_is_seen(models, tmp_path):
    """Where the input is forgotten, the model is not taken for a folder of audio."""
    done = run(ENHANCE, models / "causal", tmp_path / "out.wav")
    assert done.returncode == 1 and "expected [<model-dir>] <in> <out>, got 2 words" in done.stderr


def test_models_that_do_not_enhance(models, tmp_path):
    with pytest.raises(UserError, match="a model of task asr, not an enhancer"):
        Enhancer.load(make_recogniser(tmp_path / "asr"))
    (tmp_path / "joint").mkdir()
    (tmp_path / "joint/config.yaml").write_text("task: joint\nnet: crdnn\n")
    with pytest.raises(UserError, match="joint/enhancer"):
        Enhancer.load(tmp_path / "joint")
