"""The training loop, on a tiny corpus of random features."""

import itertools
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from task_maker import (
    assert_equal,
    assert_pieces_are_the_batch,
    build,
    make_mimic_corpus,
    overrides,
    run,
    run_and_kill,
)

from mimic.errors import UserError
from mimic.io.tables import write_table
from mimic.training import checkpoint
from mimic.training.batches import Batches
from mimic.training.loop import PROFILE_FROM, profiled
from mimic.training.optimiser import Optimiser
from mimic.training.step import set_seed


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return make_mimic_corpus(tmp_path_factory.mktemp("corpus"))


def test_transcripts_longer_than_the_frames_are_listed_and_too_many_stop(corpus, tmp_path):
    root = tmp_path / "corpus"
    shutil.copytree(corpus, root)
    table = {f"aa-{i:02d}": "AA B K" for i in range(8)} | {"aa-00": "AA AA " * 40}
    write_table(root / "train_clean" / "text.phn", table)
    with pytest.raises(UserError, match=r"1 of 8 training utterances.*aa-00: 80 tokens and 79 repeats"):
        build(root, "perceptual", tmp_path / "x")
    task, _ = build(root, "perceptual", tmp_path / "y", "--data.max_skip", "0.2")
    assert len(task.lengths) == 7
    assert (tmp_path / "y" / "skipped.tsv").read_text().startswith("aa-00\t80 tokens")


@pytest.mark.parametrize("normalise", ["none", "global", "utterance"])
def test_asr_loss_does_not_depend_on_padding(corpus, tmp_path, normalise):
    task, _ = build(corpus, "perceptual", tmp_path / "x", "--data.normalise", normalise)
    task.eval()
    batch = task.load(sorted(task.lengths)[:3])
    padded = batch._replace(
        features=torch.nn.functional.pad(batch.features, (0, 0, 0, 9), value=5.0),
        tokens=torch.nn.functional.pad(batch.tokens, (0, 4), value=6),
    )
    torch.testing.assert_close(task(padded, 1)["loss"], task(batch, 1)["loss"])


def test_centred_features_do_not_depend_on_a_constant_channel(corpus, tmp_path):
    task, _ = build(corpus, "perceptual", tmp_path / "x", "--data.normalise", "utterance")
    task.eval()
    batch = task.load(sorted(task.lengths)[:3])
    coloured = batch._replace(features=batch.features + torch.linspace(-1, 1, batch.features.shape[2]))
    torch.testing.assert_close(task(coloured, 1)["loss"], task(batch, 1)["loss"])


def test_ctc_stops_strictly_before_its_epoch(corpus, tmp_path):
    task, _ = build(corpus, "perceptual", tmp_path / "x", "--loss.ctc_epochs", "3")
    batch = task.load(sorted(task.lengths)[:3])
    assert ["ctc" in task(batch, epoch) for epoch in (1, 2, 3, 4)] == [True, True, False, False]


@pytest.mark.parametrize(
    ("kind", "extra"),
    [("perceptual", []), ("enhance", []), ("enhance", ["--loss.mimic_layer", "logits"])],
)
def test_pieces_of_a_batch_give_its_losses_and_its_gradient(corpus, tmp_path, kind, extra):
    assert_pieces_are_the_batch(corpus, kind, tmp_path, *extra)


@pytest.mark.parametrize("kind", ["perceptual", "enhance"])
def test_training_is_the_plain_loop(corpus, tmp_path, kind):
    """The loop at the top of training/loop.py, with the epochs averaged in the end."""
    task, config = build(corpus, kind, tmp_path / "plain", "--train.avg_policy", "last")
    train, batches = config.train, Batches(task, config.train)
    optimiser, step, weights, losses = Optimiser(task.model, train), 0, [], []
    for epoch in range(1, train.epochs + 1):
        task.begin_epoch(epoch)
        for utterances in batches.of_epoch(epoch):
            set_seed(train.seed, step)
            optimiser.zero_grad()
            loss = task(task.load(utterances), epoch)["loss"]
            loss.backward()
            torch.nn.utils.clip_grad_norm_(task.model.parameters(), train.max_grad_norm)
            optimiser.step()
            step += 1
        task.eval()
        losses.append(task.validate()["loss"])
        weights.append(tmp_path / f"{epoch}.pt")
        checkpoint.save(task.model.state_dict(), weights[-1])
    assert_equal(
        run(corpus, kind, tmp_path / "whole", "--train.avg_policy", "last"),
        checkpoint.average(weights[-train.num_avg_ckpts :]),
    )
    log = [json.loads(line) for line in (tmp_path / "whole/train_log.jsonl").open()]
    assert [record["valid_loss"] for record in log] == losses


def test_a_training_says_what_later_steps_ask(corpus, tmp_path, monkeypatch):
    run_and_kill(monkeypatch, 4, corpus, "perceptual", tmp_path / "x")
    summary = json.loads((tmp_path / "x/summary.json").read_text())
    log = [json.loads(line) for line in (tmp_path / "x/train_log.jsonl").open()]
    events = [json.loads(line) for line in (tmp_path / "x/progress.jsonl").open()]
    assert summary["utterances"] == 8 and summary["epochs"] == 3 and summary["steps"] == log[-1]["step"]
    assert summary["averaged_epochs"] == [2, 3] and summary["best_metric"] == "ter" and summary["parameters"] > 100
    best = min(log, key=lambda record: record["valid_ter"])
    assert summary["best_epoch"] == best["epoch"] and summary["metrics"]["ter"] == best["valid_ter"]
    assert [event["epoch"] for event in events if event["event"] == "epoch"] == [1, 2, 3]
    assert sum(event["event"] == "begin" for event in events) > 1 and events[0]["event"] == "begin"
    status = json.loads((tmp_path / "x/status.json").read_text())
    assert status["step"] == status["steps"] == summary["steps"] and status["memory_mb"] > 10
    times = [event["time"] for event in events]
    assert times == sorted(times) and 0 < summary["seconds"] <= times[-1] - times[0]


def test_a_limit_of_steps_ends_in_the_middle_of_an_epoch(corpus, tmp_path):
    """With anomaly detection and a profile, of which no weight depends."""
    options = ("--train.max_steps", "5", "--train.validate_every", "2", "--train.schedule", "linear")
    plain = run(corpus, "perceptual", tmp_path / "plain", *options)
    ways = ("--train.detect_anomaly", "true", "--train.profile", "1")
    assert_equal(plain, run(corpus, "perceptual", tmp_path / "x", *options, *ways))
    summary = json.loads((tmp_path / "x/summary.json").read_text())
    log = [json.loads(line) for line in (tmp_path / "x/train_log.jsonl").open()]
    assert summary["steps"] == log[-1]["step"] == 5 and "valid_ter" in log[-1] and log[-1]["lr"] > 0
    assert_equal(plain, run(corpus, "perceptual", tmp_path / "x", *options))  # nothing is left to do


@pytest.mark.parametrize("kind", ["perceptual", "enhance"])
def test_resumed_training_equals_the_undisturbed_run(corpus, tmp_path, kind, monkeypatch):
    """Stopped inside every epoch and between them, with a checkpoint after every step."""
    expected = run(corpus, kind, tmp_path / "whole")
    resumed = run_and_kill(monkeypatch, 4, corpus, kind, tmp_path / "cut")
    assert_equal(expected, resumed)
    logs = [[json.loads(line) for line in (tmp_path / d / "train_log.jsonl").open()] for d in ("whole", "cut")]
    assert logs[0] == logs[1]


def test_training_survives_kill_9(corpus, tmp_path, repository):
    expected = run(corpus, "perceptual", tmp_path / "whole", "--train.epochs", "6")
    directory = tmp_path / "killed"
    command = [sys.executable, str(repository / "pyscripts/train.py"), "--device", "cpu"]
    command += [str(corpus / "perceptual.yaml"), str(directory), *overrides(corpus, "perceptual")]
    command += ["--train.epochs", "6", "--train.checkpoint_interval", "0"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(directory.glob("checkpoints/*.pt")):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (directory / "model.pt").exists()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    assert_equal(expected, checkpoint.load(directory / "model.pt"))


def test_loss_that_is_not_finite_stops_with_the_utterances(corpus, tmp_path):
    with pytest.raises(UserError, match="3 batches in a row.*nonfinite_batch.txt"):
        run(corpus, "perceptual", tmp_path / "x", "--train.lr", "1e30", "--train.max_grad_norm", "0")
    assert (tmp_path / "x" / "nonfinite_batch.txt").read_text().startswith("aa-")


def test_fine_tuning_starts_from_the_given_weights(corpus, tmp_path):
    base = checkpoint.load(corpus / "exp_perceptual" / "model.pt")
    task, _ = build(corpus, "perceptual", tmp_path / "x", "--data.init", str(corpus / "exp_perceptual"))
    assert_equal(base, task.model.state_dict())


def test_encoder_of_a_given_model_rests_until_its_epoch(corpus, tmp_path):
    init = str(corpus / "exp_perceptual")
    extra = ["--data.unfreeze_epoch", "2", "--train.epochs", "2", "--train.avg_policy", "last"]
    task, _ = build(corpus, "perceptual", tmp_path / "new", *extra)
    assert task.frozen(1) == [], "an encoder with random weights never rests"
    run(corpus, "perceptual", tmp_path / "x", "--data.init", init, *extra)
    weights = [
        checkpoint.load(f) for f in (corpus / "exp_perceptual/model.pt", *sorted((tmp_path / "x/weights").iterdir()))
    ]
    for name in weights[0]:
        same = [torch.equal(a[name], b[name]) for a, b in itertools.pairwise(weights)]
        if name.startswith("encoder."):
            assert same == [True, False], name
        elif not name.startswith("normaliser."):
            assert same == [False, False], name


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--model.rnn_units 5", "the size of encoder.rnn"),
        ("--decoder.units 7", "the size of decoder."),
        ("--data.token_type char", "data.token_type is phn there and char here: give --data.token_type phn"),
        ("--data.normalise global", "data.normalise is none there and global here"),
        ("--data.init enhancer", "was trained as task enhance, not asr: give a recogniser"),
        ("--data.init nowhere", "nowhere: no such model directory"),
        ("features", "feature option --hop-length is 256 there and 128 here: make the features with"),
    ],
)
def test_a_recogniser_that_does_not_fit_is_no_start_and_one_line_says_why(corpus, tmp_path, words, line):
    extra = ["--data.init", str(corpus / "exp_perceptual"), *words.split()]
    if words == "features":
        shutil.copytree(corpus / "train_clean", tmp_path / "train_clean")
        (tmp_path / "train_clean" / "conf" / "stft.conf").write_text("--hop-length=128  # samples\n--n-fft=512\n")
        extra[2:] = ["--data.train", str(tmp_path / "train_clean")]
    elif words == "--data.init enhancer":
        build(corpus, "enhance", tmp_path / "enhancer")
        extra[3:] = [str(tmp_path / "enhancer")]
    with pytest.raises(UserError) as error:
        build(corpus, "perceptual", tmp_path / "new", *extra)
    assert line in str(error.value) and "\n" not in str(error.value)


def test_averaged_model_is_the_mean_of_its_epochs(corpus):
    files = sorted((corpus / "exp_perceptual/weights").iterdir())
    assert [f.name for f in files] == ["epoch-0002.pt", "epoch-0003.pt"]
    states = [checkpoint.load(f) for f in files]
    model = checkpoint.load(corpus / "exp_perceptual/model.pt")
    torch.testing.assert_close(model["ctc.weight"], (states[0]["ctc.weight"] + states[1]["ctc.weight"]) / 2)


def test_a_profile_of_some_steps(tmp_path):
    with profiled(2, tmp_path / "profile") as step_done:
        for _ in range(PROFILE_FROM + 3):
            torch.ones(3) @ torch.ones(3)
            step_done()
    assert "aten::" in (tmp_path / "profile/table.txt").read_text() and (tmp_path / "profile/trace.json").exists()
