"""Speaker and phone similarity by trained models as measures of enhanced speech."""

import sys
from pathlib import Path

import numpy as np
import pytest
import score_enhancement
import torch
from data_maker import edit
from model_maker import make_recogniser
from score_maker import noisy, speechlike, write_pair

from mimic import models
from mimic.errors import NotScored, UserError
from mimic.frontend.cmvn import Cmvn
from mimic.judging.similarity import phone_similarity, similarities
from mimic.metrics.comparison import compare, read_system
from mimic.metrics.scores import read_rows
from mimic.nets.probe import Classifier, ProbeConfig
from mimic.training import checkpoint


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """Directories of a classifier, of recognisers of phones and of characters, with random weights."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "speakers").mkdir()
    (folder / "speakers/config.yaml").write_text("task: classify\nnet: probe\nmodel: {states: 1, units: 4}\n")
    (folder / "speakers/features.conf").write_text("--type=fbank\n--num-mel-bins=20\n")
    (folder / "speakers/labels.txt").write_text("a\nb\n")
    torch.manual_seed(1)
    net = Classifier(ProbeConfig(units=4), Cmvn(20), 2)
    checkpoint.save(net.state_dict(), folder / "speakers/model.pt")
    for name in ("letters", "phones"):
        make_recogniser(folder / name, "deepspeech2")
    edit(folder / "phones/config.yaml", "token_type: char", "token_type: phn")
    return folder


def run(monkeypatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["score_enhancement.py", *map(str, words)])
    score_enhancement.main()


def test_phone_similarity():
    """By hand: one of four replaced, one more than there are; 3 errors in one phone."""
    assert phone_similarity("a b c d".split(), "a x c d e".split()) == 1 - 2 / 4
    assert phone_similarity(["a"], ["b", "c", "d"]) == -2 and phone_similarity(["a"], ["a"]) == 1
    with pytest.raises(NotScored, match="no phone is recognised in the clean audio"):
        phone_similarity([], ["a"])


def test_measures_have_the_names_of_their_models(tmp_path, trained, monkeypatch, capsys):
    clean, data = write_pair(tmp_path, 3)
    options = ["--measures", "si-sdr", "--speaker-model", trained / "speakers"]
    options += ["--phone-model", f"tiny={trained / 'phones'}"]
    run(monkeypatch, *options, clean, data, tmp_path / "scoring")
    rows = read_rows(tmp_path / "scoring")
    assert all(list(row.scores) == ["si-sdr", "spksim-speakers", "lps-tiny"] for row in rows.values())
    assert all(-1 <= row.scores["spksim-speakers"] < 1 and row.scores["lps-tiny"] <= 1 for row in rows.values())
    about = f"; spksim-speakers: cosine of the embeddings of {trained / 'speakers'} ("
    assert about in capsys.readouterr().out and about in (tmp_path / "scoring/summary.tsv").read_text()
    system = read_system(str(tmp_path / "scoring"), "test")
    found = compare([(system, system)], ("a", "b"), replications=10)
    assert [one.measure for one in found] == ["si-sdr", "spksim-speakers", "lps-tiny"]


def test_the_same_signal_and_an_encoder_or_classifier(trained):
    x = speechlike(1.0)
    speakers, phones = similarities(str(trained / "speakers"), str(trained / "phones"))
    assert speakers(x, x) == [pytest.approx(1, abs=1e-6)] and phones(x, x) == [1]
    a, b = (models.load(trained / "speakers").embed(signal, 16000) for signal in (x, noisy(x, 0.1)))
    expected = float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    assert speakers(x, noisy(x, 0.1)) == [pytest.approx(expected, abs=1e-5)]
    with pytest.raises(NotScored, match="too short for the features"):  # other measures of the pair are scored
        speakers(x[:100], x[:100])


def test_bad_models_are_one_line(tmp_path, trained, monkeypatch):
    with pytest.raises(UserError, match="--speaker-model nowhere: there is no nowhere: give a classifier of speakers"):
        similarities("nowhere", None)
    with pytest.raises(UserError, match="--speaker-model .*: a model of task asr: give a classifier"):
        similarities(str(trained / "letters"), None)
    with pytest.raises(UserError, match="--phone-model .*: a model of task classify: give a recogniser of phones"):
        similarities(None, str(trained / "speakers"))
    with pytest.raises(UserError, match="needs clean speech"):
        similarities(None, str(trained / "phones"), clean=False)
    (tmp_path / "a b").mkdir()
    with pytest.raises(UserError, match="write NAME=DIR"):
        similarities(None, str(tmp_path / "a b"))
    clean, data = write_pair(tmp_path, 1)
    with pytest.raises(UserError, match="letters: its tokens are char: give a recogniser of phones"):
        run(monkeypatch, "--measures", "si-sdr", "--phone-model", trained / "letters", clean, data)
