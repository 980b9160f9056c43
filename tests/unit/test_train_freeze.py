"""Parts of a model that are frozen in some epochs, weights that are kept, and models of them."""

import re
from pathlib import Path

import pytest
import torch
from model_maker import program
from task_maker import build, corpus, run  # noqa: F401 (a fixture)

from mimic.errors import UserError
from mimic.io.weights import load
from mimic.models.recogniser import Recogniser
from mimic.training.freezing import Frozen, parse
from mimic.training.loop import check


def test_entries_of_the_list():
    assert parse(["a", "b.*:3", "c:1-4", "d:5-"]) == [
        Frozen("a", 1, float("inf")), Frozen("b.*", 3, 3), Frozen("c", 1, 4), Frozen("d", 5, float("inf"))
    ]  # fmt: skip
    for word in ("", "a:0", "a:4-1", "a:x", "a b:1"):
        with pytest.raises(UserError, match=f"--train.freeze: '{word}' is not NAME"):
            parse([word])


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory) -> Path:  # noqa: F811
    directory = tmp_path_factory.mktemp("frozen") / "exp"
    run(corpus, "perceptual", directory, "--train.freeze", "[encoder.*:1-2, ctc:2-]", "--train.keep_ckpts", "-1")
    return directory


def test_parts_rest_in_their_epochs(corpus, trained, tmp_path):  # noqa: F811
    task, _ = build(corpus, "perceptual", tmp_path / "new")
    states = [task.model.state_dict(), *(load(trained / f"weights/epoch-000{epoch}.pt") for epoch in (1, 2, 3))]
    learnt = {"encoder": [False, False, True], "ctc": [True, False, False], "decoder": [True, True, True]}
    for name, _ in task.model.named_parameters():
        changed = [not torch.equal(a[name], b[name]) for a, b in zip(states, states[1:], strict=False)]
        assert changed == learnt[name.split(".")[0]], name


def test_what_cannot_rest_is_one_line(corpus, tmp_path):  # noqa: F811
    for words, line in (
        ("[encodr]", "no part of the model is called 'encodr': it has .*encoder.* and their parts"),
        ("['*:3']", "all of the model is frozen in epoch 3"),
    ):
        task, config = build(corpus, "perceptual", tmp_path / "x", "--train.freeze", words)
        with pytest.raises(UserError, match=line):
            check(task, config.train)


def test_a_model_of_epochs_that_were_kept(trained, tmp_path, caplog):
    assert program("average_checkpoints.py", trained, tmp_path / "mean", "3", "1") == 0
    weights = [load(trained / f"weights/epoch-000{epoch}.pt")["decoder.output.weight"] for epoch in (1, 3)]
    mean = Recogniser.load(tmp_path / "mean").net.state_dict()["decoder.output.weight"]
    torch.testing.assert_close(mean, sum(weights) / 2)
    for words, line in (
        ((tmp_path / "y", "4"), "no weights of epoch 4: .* there: 1 2 3"),
        ((tmp_path / "mean", "1"), "holds a model"),
    ):
        assert program("average_checkpoints.py", trained, *words) == 1
        assert re.search(line, caplog.messages[-1])
