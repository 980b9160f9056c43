"""Models that ship: weights in safetensors, the default where no model is named, publishing."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import soundfile
import torch
from model_maker import make_recogniser, make_shipped, program

from mimic import models
from mimic.errors import UserError
from mimic.io import weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return make_shipped(tmp_path_factory.mktemp("shipped") / "pretrained")


@pytest.fixture
def default(folder, monkeypatch) -> Path:
    """The same, in the place of pretrained/; its model."""
    monkeypatch.setattr(models, "FOLDER", folder)
    return folder / "tiny"


def speech(samples: int = 9000) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)


def test_safetensors_keep_all_bits(tmp_path):
    state = {"a": torch.randn(3, 2).t(), "b": torch.tensor(7), "c.d": torch.zeros(0), "e": torch.tensor([True, False])}
    weights.save_safetensors(state, tmp_path / "x.safetensors")
    for read in (weights.load, safetensors.torch.load_file):
        again = read(tmp_path / "x.safetensors")
        assert again.keys() == state.keys()
        assert all(again[name].dtype == state[name].dtype and torch.equal(again[name], state[name]) for name in state)
    safetensors.torch.save_file({"a": torch.ones(2)}, tmp_path / "y.safetensors")  # another program's, no checksum
    assert weights.load(tmp_path / "y.safetensors")["a"].tolist() == [1, 1]


DAMAGES = {
    "cut": lambda data: data[:-100],
    "longer": lambda data: data + bytes(8),
    "changed": lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
    "header": lambda data: data[:8] + b"?" + data[9:],
    "size": lambda data: b"\xff" * 8 + data[8:],
    "empty": lambda data: b"",
    "text": lambda data: b"version https://git-lfs.github.com/spec/v1\n",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_weights_are_one_line(folder, tmp_path, damage):
    model = shutil.copytree(folder / "tiny", tmp_path / "tiny")
    path = model / "model.safetensors"
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.raises(UserError, match="model.safetensors: damaged checkpoint .*: copy it again") as error:
        models.load(model)
    assert str(model) in str(error.value) and "\n" not in str(error.value)


def test_values_that_are_not_numbers_and_no_weights_at_all(folder, tmp_path):
    model = shutil.copytree(folder / "tiny", tmp_path / "tiny")
    state = weights.load(model / "model.safetensors")
    next(iter(state.values())).view(-1)[0] = torch.nan
    weights.save_safetensors(state, model / "model.safetensors")
    with pytest.raises(UserError, match="model.safetensors: .* has NaN or infinity"):
        models.load(model)
    (model / "model.safetensors").unlink()
    with pytest.raises(UserError, match="model.pt: no such model"):
        models.load(model)


def test_the_default_is_used_where_no_model_is_named(default, tmp_path, monkeypatch, capsysbinary):
    x = speech()
    expected = models.load(default).enhance(x, 16000)
    for words in ((), (None,), ("true",), ("pretrained/tiny",)):
        np.testing.assert_array_equal(models.load(*words).enhance(x, 16000), expected)
    soundfile.write(tmp_path / "in.wav", x, 16000, "FLOAT")
    named, unnamed = tmp_path / "named.wav", tmp_path / "unnamed.wav"
    assert program("enhance_files.py", default, "--device", "cpu", tmp_path / "in.wav", named) == 0
    assert program("enhance_files.py", tmp_path / "in.wav", unnamed, "--mask.limit", "0") == 0
    assert named.read_bytes() == unnamed.read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((tmp_path / "in.wav").read_bytes())))
    assert program("enhance_files.py", "-", "-") == 0 and capsysbinary.readouterr().out == named.read_bytes()
    recogniser = make_recogniser(tmp_path / "asr")
    for enhance in ("true", default):
        out = tmp_path / f"{Path(enhance).name}.txt"
        assert program("transcribe.py", "--enhance", enhance, recogniser, tmp_path / "in.wav", out) == 0
    assert (tmp_path / "true.txt").read_text() == (tmp_path / "tiny.txt").read_text()


def test_without_a_default_it_says_what_to_run(default, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(models, "FOLDER", tmp_path)
    line = "none ships here: name a model directory, or run local/run_pretrained.sh --corpora DIR"
    with pytest.raises(UserError, match=line):
        models.load()
    assert program("enhance_files.py", "in.wav", "out.wav") == 1 and line in caplog.messages[-1]
    for words in ((), ("in.wav",), ("a", "b", "c", "d"), (default, "out.wav")):  # the last one lacks the input
        assert program("enhance_files.py", *words) == 1
        assert "expected [<model-dir>] and 2 paths" in caplog.messages[-1]
    with pytest.raises(UserError, match="pretrained/tine: no such model directory"):
        models.load("pretrained/tine")
