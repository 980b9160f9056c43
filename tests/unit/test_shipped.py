"""Pretrained models: weights in safetensors, the default where no model is named, publishing."""

import io
import json
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import soundfile
import torch
from model_maker import make_recogniser, make_shipped, program
from task_maker import assert_equal, make_noises, make_set, overrides

from mimic import models
from mimic.deploy.publish import publish as write_shipped
from mimic.errors import UserError
from mimic.io import weights
from mimic.metrics.scores import read_scores
from mimic.models.ratio import Curve


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


@pytest.fixture(scope="module")
def trained(tmp_path_factory, repository) -> Path:
    """exp/fast, a short training of conf/mask_fast.yaml; scores of exp/noisy and exp/fast; exp/fast, published."""
    root = tmp_path_factory.mktemp("trained")
    make_set(root, "train", "aa", 7), make_set(root, "dev", "b", 5), make_noises(root)
    words = (
        "--model.channels 4 --model.units 4 --model.positions 5 --model.heads 2 --train.batch_size 3 --train.epochs 1"
    )
    words += " --augment.babble false --augment.crop_s 0.4 --augment.rir_prob 0 --augment.clean_rir_prob 0"
    words += " --train.best_metric loss --data.valid_utterances 1"
    config, exp = repository / "conf/mask_fast.yaml", root / "exp"
    words = [*words.split(), *overrides(root, "denoise")]
    assert program("train.py", "--device", "cpu", config, exp / "fast", *words) == 0
    (root / "dev_noisy/utt2snr").write_text("".join(f"b-{i:02d} {5 * i}\n" for i in range(5)))
    assert program("enhance.py", exp / "fast", root / "dev_noisy", root / "enhanced") == 0
    (root / "enhanced/wav.1.scp").rename(root / "enhanced/wav.scp")
    for name in ("utt2spk", "utt2snr"):
        shutil.copy(root / "dev_noisy" / name, root / "enhanced")
    for name, data in (("noisy", root / "dev_noisy"), ("fast", root / "enhanced")):
        scoring = exp / name / "scoring/dev"
        assert program("score_enhancement.py", "--measures", "si-sdr", root / "dev_clean", data, scoring) == 0
    assert publish(exp / "fast", exp / "noisy", root / "pretrained/fast_t") == 0
    return root


def publish(experiment: Path, noisy: Path, output: Path) -> int:
    return program("../local/pretrained/publish.py", "--noisy", noisy, experiment, output)


def test_a_published_model_is_the_trained_one_to_the_bit(trained):
    before, after = models.load(trained / "exp/fast"), models.load(trained / "pretrained/fast_t")
    x = speech(20000)
    for rate in (16000, 48000):
        np.testing.assert_array_equal(after.enhance(x, rate), before.enhance(x, rate))
    assert_equal(before.net.state_dict(), after.net.state_dict())
    assert after.config.values() == before.config.values() and after.files == before.files
    names = "README.md card.json config.yaml example.py features.conf model.safetensors stream.json stream.onnx"
    assert sorted(path.name for path in (trained / "pretrained/fast_t").iterdir()) == names.split()


def test_the_stream_that_ships_equals_the_model(trained, tmp_path, monkeypatch):
    x = speech(5000)
    soundfile.write(tmp_path / "in.wav", x, 16000, "FLOAT")
    monkeypatch.setattr("sys.argv", ["example.py", str(tmp_path / "in.wav"), str(tmp_path / "out.wav")])
    runpy.run_path(str(trained / "pretrained/fast_t/example.py"))
    samples, _ = soundfile.read(tmp_path / "out.wav", dtype="float32")
    expected = models.load(trained / "pretrained/fast_t").enhance(x, 16000)
    np.testing.assert_allclose(samples, expected, atol=1e-5 + 2.0**-15, rtol=0)  # of a stream; of 16 bit, not rounded


def test_the_card_says_what_the_training_and_the_scores_say(trained):
    card = json.loads((trained / "pretrained/fast_t/card.json").read_text())
    text = (trained / "pretrained/fast_t/README.md").read_text()
    summary, info = (json.loads((trained / f"exp/fast/{name}.json").read_text()) for name in ("summary", "run_info"))
    model, training = card["model"], card["training"]
    assert card["name"] == "fast_t" and model["parameters"] == summary["parameters"] and model["latency_ms"] == 32
    assert model["weight_bytes"] == (trained / "pretrained/fast_t/model.safetensors").stat().st_size
    assert model["stream_difference"] < 1e-5 and model["macs_per_second"] % (16000 / 256) == 0
    assert (training["steps"], training["batch_size"], training["seed"]) == (3, 3, 1)
    assert training["commit"] == info["revision"] and "mimic_weight" not in training["loss"]
    assert card["data"]["noises"]["types"] == ["hiss", "wind"] and card["data"]["speech"]["speakers"] == 1
    (score,) = card["scores"]
    found = {name: read_scores(trained / f"exp/{name}/scoring/dev").figures["si-sdr"] for name in ("noisy", "fast")}
    assert (
        score["noisy"] == found["noisy"].mean and score["enhanced"] == found["fast"].mean and score["utterances"] == 5
    )
    assert score["low"] <= score["difference"] <= score["high"] < 0  # three steps of training
    assert {("all", ""), ("snr", "0"), ("snr", "20")} <= {(row["condition"], row["value"]) for row in card["worse"]}
    for part in (
        f"parameters: {model['parameters']:,}",
        "without mimic loss",
        "| dev | SI-SDR |",
        "CC BY 4.0",
        "OpenSLR",
    ):
        assert part in text.replace("\n", " "), part
    assert "Worse than noisy speech: dev, snr 0: SI-SDR" in text


def test_the_card_has_the_trainings_before(trained, tmp_path):
    """Of a model that began with a pretrained one's weights, of one that began with this one's, and of lost ones."""
    first = json.loads((trained / "pretrained/fast_t/card.json").read_text())["training"]
    for name, init in (("b", trained / "pretrained/fast_t"), ("c", tmp_path / "b"), ("d", tmp_path / "gone")):
        experiment = shutil.copytree(trained / "exp/fast", tmp_path / name)
        text = (experiment / "config.yaml").read_text()
        (experiment / "config.yaml").write_text(text.replace("init: ''", f"init: {init}"))
    wanted = {"b": [first], "c": [first, first], "d": [{"directory": str(tmp_path / "gone")}]}
    for name, trainings in wanted.items():
        assert publish(tmp_path / name, tmp_path / "none", tmp_path / "out" / name) == 0
        assert json.loads((tmp_path / "out" / name / "card.json").read_text())["before"] == trainings
    assert "\n- 3 steps, 0.0 h of audio: `train.py" in (tmp_path / "out/c/README.md").read_text()
    assert "gone, which is gone\n" in (tmp_path / "out/d/README.md").read_text()


def test_a_curve_ships_with_its_model(trained, tmp_path):
    experiment = shutil.copytree(trained / "exp/fast", tmp_path / "fast")
    curve = {"low": 0.0, "high": 8.0, "at_low": 1.0, "at_high": 0.25}
    fit = {"wer": {"1": 14.0, "0": 13.5, "auto": 13.125}}
    (experiment / "ratio.json").write_text(json.dumps({"curve": curve, "fit": fit}))
    assert publish(experiment, tmp_path / "none", tmp_path / "out") == 0
    assert models.load(tmp_path / "out").ratio() == models.load(experiment).ratio() == Curve(**curve)
    text = (tmp_path / "out/README.md").read_text()
    assert "`auto`: 1.0 up to an estimated SNR of 0.0 dB" in text and "None yet: steps/score" in text
    assert (
        "- 13.50 % at 0, noisy speech\n" in text
        and json.loads((tmp_path / "out/card.json").read_text())["ratio"]["fit"] == fit
    )


def test_what_cannot_ship_is_one_line(trained, tmp_path, caplog, monkeypatch, folder):
    with pytest.raises(UserError, match="no streaming form"):  # a mask of magnitudes
        write_shipped(models.load(folder / "tiny"), tmp_path / "a")
    experiment = shutil.copytree(trained / "exp/fast", tmp_path / "fast")
    (experiment / "summary.json").unlink()
    assert publish(experiment, tmp_path, tmp_path / "b") == 1 and "no training that has finished" in caplog.messages[-1]
    monkeypatch.setattr("mimic.deploy.publish.LARGEST", 1000)
    assert publish(trained / "exp/fast", tmp_path, tmp_path / "c") == 1 and "at most 0.001 MB" in caplog.messages[-1]
    assert not [path for name in "abc" for path in (tmp_path / name).glob("*")]


def test_the_models_in_the_tree_are_whole(repository, tmp_path, monkeypatch):
    """Each is small, loads, has a card of its own, and its stream gives what it gives."""
    found = [path.parent for path in sorted((repository / "pretrained").glob("*/config.yaml"))]
    x = speech(4000)
    soundfile.write(tmp_path / "in.wav", x, 16000, "FLOAT")
    words = ["--ratio", "1", str(tmp_path / "in.wav"), str(tmp_path / "out.wav")]
    monkeypatch.setattr("sys.argv", ["example.py", *words])
    for directory in found:
        model = models.load(directory)
        runpy.run_path(str(directory / "example.py"))
        samples, _ = soundfile.read(tmp_path / "out.wav", dtype="float32")
        expected = model.enhance(x, 16000, ratio=1)
        np.testing.assert_allclose(samples, expected, atol=1e-5 + 2.0**-15, rtol=0, err_msg=str(directory))
        card = json.loads((directory / "card.json").read_text())
        assert not [path for path in directory.glob("*.json") if '": "/' in path.read_text()]  # of a machine
        assert card["name"] == directory.name and f"# {directory.name}" in (directory / "README.md").read_text()
        assert card["model"]["weight_bytes"] == (directory / "model.safetensors").stat().st_size < 2_000_000
        assert card["model"]["parameters"] == sum(p.numel() for p in model.net.parameters())
    if found:
        assert models.load().directory in found
