"""The package `mimic-asr`: its metadata, its command, and the public Python API."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from data_maker import ROOT
from model_maker import make_enhancer, make_recogniser, make_shipped, program

from mimic import models
from mimic.__main__ import VERBS
from mimic.__main__ import main as command
from mimic.errors import UserError
from mimic.io.tables import write_table

TRAINED = ROOT / "tests/unit/models_75b122b"


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("trained")
    make_recogniser(root / "asr"), make_enhancer(root / "enhance", "causal")
    return root


def speech(rate: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, (rate, channels)).astype(np.float32)


def test_metadata_and_entry_point():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 and newer read TOML")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["name"] == "mimic-asr" and project["project"]["scripts"] == {
        "mimic": "mimic.__main__:console"
    }
    assert project["tool"]["setuptools"]["dynamic"]["dependencies"] == {"file": ["requirements.txt"]}
    heading = re.compile(r"^## (?:Unreleased: )?(\d+\.\d+\.\d+)(?:: (\d{4}-\d\d-\d\d))?$", re.MULTILINE)
    versions = heading.findall((ROOT / "CHANGELOG.md").read_text())
    assert project["project"]["version"] == versions[0][0]
    version, date = next(pair for pair in versions if pair[1])  # the newest that was released
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {version}\ndate-released: {date}\n" in citation


def test_the_package_has_all_modules_and_the_models_that_ship(tmp_path, monkeypatch):
    pytest.importorskip("setuptools", reason="of some Pythons a part")
    from distutils.core import run_setup  # what setuptools puts in its place

    for name in ("pyproject.toml", "requirements.txt", "README.md", "setup.py", "pyscripts"):
        (tmp_path / name).symlink_to(ROOT / name)
    make_shipped(tmp_path / "pretrained")
    make_enhancer(tmp_path / "pretrained/tiny.old", "causal")
    monkeypatch.chdir(tmp_path)
    package = run_setup("setup.py", stop_after="init")
    found = (ROOT / "pyscripts/mimic").rglob("__init__.py")
    library = {".".join(path.parent.relative_to(ROOT / "pyscripts").parts) for path in found}
    assert set(package.packages) == library | {"mimic.pretrained", "mimic.pretrained.tiny"}
    for name, patterns in package.package_data.items():
        folder = name.replace("mimic.", "").replace(".", "/")
        for pattern in patterns:
            parts = tmp_path, tmp_path / "pyscripts/mimic"
            assert any(list((place / folder).glob(pattern)) for place in parts), (name, pattern)


def test_verbs(trained, tmp_path, monkeypatch, capsys):
    soundfile.write(tmp_path / "in.wav", speech(16000), 16000)
    write_table(tmp_path / "ref", {"a": "ONE TWO", "b": "THREE"})
    write_table(tmp_path / "hyp", {"a": "ONE", "b": "THREE"})
    for verb, words in (
        ("enhance", (trained / "enhance", tmp_path / "in.wav", tmp_path / "out.wav")),
        ("transcribe", (trained / "asr", tmp_path / "in.wav")),
        ("score", (tmp_path / "ref", tmp_path / "hyp")),
    ):
        monkeypatch.setattr("sys.argv", ["mimic", verb, *map(str, words)])
        assert not command()
    assert soundfile.info(tmp_path / "out.wav").frames == 16000
    assert "%WER 33.33 [ 1 / 3, 0 ins, 1 del, 0 sub ]" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["mimic", "enhanse"])
    with pytest.raises(UserError, match="did you mean enhance"):
        command()
    assert list(VERBS) == ["enhance", "transcribe", "score"]
    assert program("enhance_files.py", trained / "enhance", tmp_path / "in.wav", tmp_path / "same.wav") == 0
    assert (tmp_path / "same.wav").read_bytes() == (tmp_path / "out.wav").read_bytes()


@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (44100, 2)])
def test_arrays_in_and_out(trained, rate, channels):
    enhancer, recogniser = models.load(trained / "enhance"), models.load(trained / "asr")
    x = speech(rate, channels)
    x = x[:, 0] if channels == 1 else x
    y = enhancer.enhance(x, rate)
    assert y.shape == x.shape and y.dtype == np.float32 and np.abs(y - x).max() > 1e-3
    np.testing.assert_array_equal(enhancer.enhance(x, rate, ratio=0), x)
    found = recogniser.recognise(y, rate)
    assert found.text == " ".join(word.word for word in found.words)
    assert all(0 <= word.start < word.end <= found.end == 1 for word in found.words)


def test_save_and_load(trained, tmp_path):
    for name in ("enhance", "asr"):
        model = models.load(trained / name)
        model.save(tmp_path / name)
        again = models.load(tmp_path / name)
        assert type(again) is type(model) and again.config == model.config and again.files == model.files
        for key, value in model.net.state_dict().items():
            assert torch.equal(again.net.state_dict()[key], value)


OLD = """
task: asr
net: crdnn
model: {channels: [2, 2], time_pooling: 4, rnn: ligru, rnn_layers: 1, rnn_units: 6, dnn_layers: 1, dnn_units: 8}
decoder: {embedding: 4, units: 6, attention: 5, channels: 2, kernel: 2, dropout: 0.0}
data: {train: exp/fbank/train_clean, dev: exp/fbank/dev_clean, token_type: char, vocabulary: 1000, alphabet: '',
  normalise: none, init: '', init_features: same, unfreeze_epoch: 1, max_skip: 0.01, max_unknown: 0.05, noises: '',
  rooms: ''}
augment: {}
waves: {speeds: [], noise_prob: 0.0, room_prob: 0.0}
loss: {ctc_weight: 0.3, ctc_epochs: -1, attention_weight: 0.7, label_smoothing: 0.1}
decode: {search: auto, beam: 2, ctc_weight: 1.0, lm: '', lm_weight: 0.3, ngram: '', ngram_weight: 0.3, word_bonus: 0.0}
train: {seed: 1, epochs: 1, batch_utterances: 8, batch_frames: 0, accumulate: 1, clip: 5.0, select: wer, average: 1,
  average_of: best, save_minutes: 10.0, nonfinite_limit: 3}
"""


def test_models_that_commit_75b122b_trained():
    """Its train.py wrote these directories after one step each, its programs gave the output that is expected here."""
    t = np.arange(16000) / 16000
    x = 0.3 * np.sin(880 * np.pi * t) * np.sin(6 * np.pi * t) ** 2 + 0.05 * np.sin(2 * np.pi * (200 + 1500 * t) * t)
    x = x.astype(np.float32)
    enhanced = models.load(TRAINED / "enhance").enhance(x, 16000)
    expected = [-0.00164, -0.00272, -0.00056, -0.00636, 0.00126, 0.0036, -0.0016, -0.00107]
    # Half of the last decimal, and float32's rounding in sums of 257 terms of at most 0.35.
    np.testing.assert_allclose(enhanced[800::1900], expected, rtol=0, atol=5e-6 + 257 * 0.35 * 6e-8)
    (word,) = models.load(TRAINED / "asr").recognise(x, 16000).words
    assert word.word == "HMHKHKHKHKHKHKHKHKHKHKH"
    assert (word.start, word.end, word.confidence) == pytest.approx((0.0, 0.98, 0.03691), abs=1e-5)


def test_a_configuration_of_before_the_settings_were_renamed(trained, tmp_path, caplog):
    """config.yaml as commit 75b122b wrote it: its former names are read, without a note."""
    models.load(trained / "asr").save(tmp_path / "old")
    (tmp_path / "old/config.yaml").write_text(OLD)
    old, now = models.load(tmp_path / "old"), models.load(trained / "asr")
    assert (old.config.decode.lm_scale, old.config.decode.ngram_lm_scale) == (0.3, 0.3)
    x = speech(16000)
    assert old.recognise(x, 16000) == now.recognise(x, 16000) and "is now" not in caplog.text
