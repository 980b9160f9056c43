"""Classes of utterances from frozen features, and whether two utterances have one speaker."""

import numpy as np
import pytest
import torch
from model_maker import program
from task_maker import CLASSIFY, build, make_set, run

from mimic.errors import UserError
from mimic.io import archives
from mimic.io.tables import read_table
from mimic.metrics.verification import equal_error_rate, trials


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("classify")
    make_set(root, "train", "s1", 5)
    make_set(root, "dev", "s1", 3)
    (root / "labels").write_text("s1-00 a\ns1-01 b\ns1-02 a\ns1-04 b\n")
    (root / "dev_labels").write_text("s1-00 a\ns1-01 b\n")
    (root / "classify.yaml").write_text(CLASSIFY)
    return root


def words(root) -> list[str]:
    return ["--data.labels", str(root / "labels"), "--data.dev_labels", str(root / "dev_labels")]


def test_equal_error_rate():
    same = np.array([True, True, True, False, False, False, False])
    assert equal_error_rate(np.array([9, 8, 7, 3, 2, 1, 0]), same) == 0
    assert equal_error_rate(np.array([0, 1, 2, 7, 8, 9, 9]), same) == 1
    assert equal_error_rate(np.array([9, 8, 1, 7, 0, 0, 0]), same) == pytest.approx(1 / 3, abs=0.09)
    assert equal_error_rate(np.ones(7), same) == pytest.approx(0.5)
    assert equal_error_rate(np.ones(2), np.array([True, True])) is None
    draw = np.random.default_rng(1)
    scores = np.concatenate([draw.normal(2, 1, 20000), draw.normal(0, 1, 20000)])
    rate = equal_error_rate(scores, np.arange(40000) < 20000)
    assert rate == pytest.approx(0.1587, abs=0.005)  # of two normal distributions, one deviation to the middle
    pairs, equal = trials(
        {"a": np.array([1.0, 0]), "b": np.array([2.0, 0]), "c": np.array([0, 1.0])}, {"a": "x", "b": "x", "c": "y"}
    )
    assert pairs.tolist() == [1, 0, 0] and equal.tolist() == [True, False, False]


def test_utterances_without_a_class_are_left_out_and_padding_does_not_count(root, tmp_path):
    task, _ = build(root, "classify", tmp_path / "exp", *words(root))
    assert sorted(task.lengths) == ["s1-00", "s1-01", "s1-02", "s1-04"] and task.names == ["a", "b"]
    batch = task.load(sorted(task.lengths))
    together = task.model(batch.features, batch.lengths)[0]
    for row, n in enumerate(batch.lengths.tolist()):
        single = task.model(batch.features[row : row + 1, :n], torch.tensor([n]))[0]
        torch.testing.assert_close(together[row], single[0], atol=1e-5, rtol=1e-5)
    (root / "other").write_text("s1-00 c\n")
    with pytest.raises(UserError, match="s1-00: class c is not in training"):
        build(root, "classify", tmp_path / "exp", *words(root)[:2], "--data.dev_labels", str(root / "other"))


def test_the_output_of_a_classifier_is_written_and_counted(root, tmp_path, caplog):
    run(root, "classify", tmp_path / "exp", *words(root))
    (tmp_path / "out").mkdir()
    features = root / "fbank/train_clean"
    assert program("classify.py", "--labels", root / "labels", tmp_path / "exp", features, tmp_path / "out") == 0
    found, truth = read_table(tmp_path / "out/utt2class"), read_table(root / "labels")
    lines = [line.split("\t") for line in (tmp_path / "out/scoring/test/summary.tsv").read_text().splitlines()]
    right = 100 * sum(found[utt] == truth[utt] for utt in truth) / len(truth)
    assert found.keys() == truth.keys() and float(lines[1][1]) == pytest.approx(right) and lines[1][4] == "4"
    embeddings = {u: archives.load(e) for u, e in archives.read_scp(tmp_path / "out/embeddings.scp").items()}
    assert lines[2][0] == "eer"
    assert float(lines[2][1]) == pytest.approx(100 * equal_error_rate(*trials(embeddings, truth)), abs=1e-3)
    few = "model.pt has 2 classes and labels.txt has 1"
    for content, line in ((b"a\n", few), (b"a\n\xe9\n", "labels.txt:2: not UTF-8")):
        (tmp_path / "exp/labels.txt").write_bytes(content)
        assert program("classify.py", tmp_path / "exp", features, tmp_path / "out") == 1 and line in caplog.text
