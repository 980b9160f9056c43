"""Decoding with the directory of a trained recogniser: batches, jobs, and what is refused."""

import json
import shutil
from dataclasses import replace

import pytest
from arpa_maker import arpa
from model_maker import make_features, make_recogniser, program

from mimic.errors import UserError
from mimic.io import archives
from mimic.io.batching import pad
from mimic.models.recogniser import Recogniser

ctc_beam = pytest.importorskip("mimic.decoding.ctc.beam")
if ctc_beam.flashlight is None:
    pytest.skip("flashlight-text is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def recogniser(tmp_path_factory):
    """A model directory and a feature directory of 5 utterances."""
    root = tmp_path_factory.mktemp("recogniser")
    return make_recogniser(root / "model"), make_features(root / "feats", 5)


def settings(name: str, words: str) -> list[str]:
    extra = {"greedy": (), "lexicon": ("--decode.ngram", words)}.get(name, ("--decode.nbest", "3"))
    return ["--decode.search", name, "--decode.beam", "6", *extra]


@pytest.mark.parametrize("name", ["greedy", "lexicon-free", "lexicon", "joint"])
def test_the_result_is_the_same_in_any_batch(recogniser, tmp_path, name):
    model, feats = recogniser
    words = arpa(tmp_path / "w.arpa", (["-1\tAB\t-0.1", "-1\tCA\t-0.1"], ["-1\tAB CA"]))
    decode = Recogniser.load(model, settings(name, words)).decoder
    features = [archives.load(entry) for entry in archives.read_scp(feats / "feats.scp").values()]
    together = decode(*pad(features), 0.01)
    for one, several in zip(features, together, strict=True):
        (alone,) = decode(*pad([one]), 0.01)
        assert [(x.text, x.words) for x in alone] == [
            (x.text, [replace(w, confidence=pytest.approx(w.confidence, abs=1e-4)) for w in x.words]) for x in several
        ]
        assert alone[0].words[-1].end <= 0.01 * len(one) + 1e-9
        if name == "lexicon":
            assert set(alone[0].text.split()) <= {"AB", "CA"}


def test_the_program_gives_the_same_with_any_number_of_jobs(recogniser, tmp_path):
    model, feats = recogniser
    found = []
    for nj in (1, 2):
        where = tmp_path / str(nj)
        where.mkdir()
        for job in range(1, nj + 1):
            options = ("--job", job, "--nj", nj, "--batch-size", 2, model, feats, where)
            assert program("decode.py", *options, *settings("lexicon-free", "")) == 0
        names = ("text", "ctm", "nbest")
        found.append(["".join((where / f"{n}.{j + 1}").read_text() for j in range(nj)) for n in names])
    assert found[0] == found[1]
    text, ctm, lines = found[0]
    assert all(line.split()[1] == "1" and len(line.split()) == 6 for line in ctm.splitlines())
    for line, record in zip(text.splitlines(), map(json.loads, lines.splitlines()), strict=True):
        assert f"{record['utt']} {record['hypotheses'][0]['text']}" == line and len(record["hypotheses"]) == 3


def test_features_that_are_not_made_as_those_of_training_are_refused(recogniser, tmp_path, caplog):
    model, feats = recogniser
    other = tmp_path / "feats"
    shutil.copytree(feats, other)
    (other / "conf").mkdir()
    (other / "conf/fbank.conf").write_text("--type=fbank\n--num-mel-bins=40  # more of them\n")
    for words in (("decode.py",), ("tune_decode.py", "outputs")):
        assert program(*words, model, other, tmp_path) == 1
        line = f"{other}: feature option --num-mel-bins is 40, and 20 in {model}/features.conf: make the features with"
        assert line in caplog.text
        caplog.clear()


def test_weights_without_their_model_are_refused(recogniser):
    model, _ = recogniser
    with pytest.raises(UserError, match="--decode.lm_scale: there is no --decode.lm; the weights are"):
        Recogniser.load(model, ["--decode.search", "lexicon-free", "--decode.lm_scale", "0.3"])
