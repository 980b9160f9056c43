"""Training in several processes and in low precision, and what ends it early: signals, kills, full disks."""

# ruff: noqa: F811 (fixtures)

import os
import shutil
import signal

import pytest
import torch
from task_maker import assert_equal, build, corpus, log, overrides, run, saved  # noqa: F401 (a fixture)

from mimic.errors import UserError
from mimic.io.batching import make_batches, make_groups
from mimic.tasks import config as configuration
from mimic.tasks.asr import AsrTask
from mimic.tasks.lm import LmTask
from mimic.training.batches import Batches
from mimic.training.loop import fit
from mimic.training.step import set_seed
from mimic.training.stop import SIGNALS, Stop, Stopped


@pytest.fixture(scope="module")
def undisturbed(corpus) -> dict[str, torch.Tensor]:
    return run(corpus, "perceptual", corpus / "undisturbed")


@pytest.fixture
def stop():
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield Stop()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGUSR1, 75), (signal.SIGINT, 130)])
def test_a_signal_waits_for_the_end_of_a_step(stop, number, code):
    with pytest.raises(Stopped) as error:
        os.kill(os.getpid(), number)
    assert error.value.code == code
    stop.code, done = 0, False
    with pytest.raises(Stopped) as error, stop.held():
        os.kill(os.getpid(), number)
        done = True
    assert done and error.value.code == code


def test_a_signal_while_the_processes_agree_is_not_lost(stop):
    def total(numbers: list[float]) -> list[float]:
        os.kill(os.getpid(), signal.SIGTERM)
        return numbers

    stop.total = total
    with stop.held():
        pass
    with pytest.raises(Stopped), stop.held():
        pass


@pytest.mark.parametrize(("where", "call"), [("forward", 1), ("load", 2), ("validate", 2)])
def test_a_run_with_a_signal_resumes_where_it_was(corpus, undisturbed, tmp_path, monkeypatch, stop, where, call):
    """The first call of forward tries the largest batch."""
    calls, method = 0, getattr(AsrTask, where)

    def interrupted(self, *words):
        nonlocal calls
        calls += 1
        result = method(self, *words)
        if calls == call:
            os.kill(os.getpid(), signal.SIGUSR1)
        return result

    monkeypatch.setattr(AsrTask, where, interrupted)
    with pytest.raises(Stopped):
        run(corpus, "perceptual", tmp_path / "x", stop=stop)
    stop.code = 0
    assert_equal(undisturbed, run(corpus, "perceptual", tmp_path / "x", stop=stop))
    assert log(tmp_path / "x") == log(corpus / "undisturbed")


def test_a_full_disk_is_one_line_and_the_rerun_is_right(corpus, undisturbed, tmp_path):
    (tmp_path / "x/checkpoints").mkdir(parents=True)
    full = tmp_path / "x/checkpoints/step-000000003.pt.tmp"
    full.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device.*step-000000003.pt"):
        run(corpus, "perceptual", tmp_path / "x", "--train.checkpoint_interval", "0")
    assert not full.is_symlink(), "what could not be written is removed"
    assert_equal(undisturbed, run(corpus, "perceptual", tmp_path / "x"))


def test_an_archive_that_vanishes_is_named_and_the_rerun_is_right(corpus, undisturbed, tmp_path, monkeypatch):
    archive, away = corpus / "train_clean/feats.ark", tmp_path / "away"
    method, calls = AsrTask.load, 0

    def load(self, utterances):
        nonlocal calls
        calls += 1
        if calls == 6:
            archive.rename(away)
        return method(self, utterances)

    monkeypatch.setattr(AsrTask, "load", load)
    with pytest.raises(UserError, match="train_clean/feats.ark:.*No such file.*run the step that makes the archive"):
        run(corpus, "perceptual", tmp_path / "x", "--train.checkpoint_interval", "0")
    away.rename(archive)
    assert_equal(undisturbed, run(corpus, "perceptual", tmp_path / "x"))


def test_too_little_memory_shows_before_the_first_step(corpus, tmp_path, monkeypatch):
    forward = AsrTask.forward

    def hungry(self, batch, *words):
        if batch.features.shape[1] == max(self.lengths.values()):
            torch.empty(1 << 60)
        return forward(self, batch, *words)

    monkeypatch.setattr(AsrTask, "forward", hungry)
    line = r"out of memory on a batch of \d utterances, of which aa-07 is the longest with \d+ frames: lower "
    for option in ("--train.batch_size", "--train.max_frames"):
        with pytest.raises(UserError, match=f"{line}{option} 300, or raise --train.accum_grad 1"):
            run(corpus, "perceptual", tmp_path / "x", option, "300")
    with pytest.raises(UserError, match="a batch of 1 utterances.*aa-07.*: leave it out of the training set, or cut"):
        run(corpus, "perceptual", tmp_path / "x", "--train.batch_size", "1")
    assert saved(tmp_path / "x") == -1


def test_low_precision_trains(corpus, undisturbed, tmp_path):
    run(corpus, "perceptual", tmp_path / "bf16", "--train.precision", "bf16-mixed", "--train.epochs", "1")
    first, reference = log(tmp_path / "bf16")[0], log(corpus / "undisturbed")[0]
    assert first["train_loss"] == pytest.approx(reference["train_loss"], rel=0.02)
    assert first["train_loss"] != reference["train_loss"]
    # The first scale of the loss is too high here; batches are not counted as bad while it is sought.
    run(corpus, "perceptual", tmp_path / "fp16", "--train.precision", "16-mixed", "--train.epochs", "4")
    records = log(tmp_path / "fp16")
    assert records[-1]["train_loss"] < records[1]["train_loss"] and "skipped" not in records[-1]


LM = """
task: lm
net: rnn
model: {embedding: 4, layers: 1, units: 4, dnn_units: 4, dropout: 0.0}
data: {token_type: phn}
train: {epochs: 1, batch_size: 8, lr: 0.01}
"""


def test_compiled_networks_have_the_same_losses(corpus, undisturbed, tmp_path):
    if not shutil.which("g++"):
        pytest.skip("torch.compile needs a C++ compiler on a CPU")
    (corpus / "lm.yaml").write_text(LM)
    words = [*overrides(corpus, "lm"), "--data.tokens", str(corpus / "undisturbed")]
    for compiled in ("false", "true"):
        config = configuration.read(corpus / "lm.yaml", [*words, "--train.compile", compiled])
        (tmp_path / compiled).mkdir()
        set_seed(1, -1)
        fit(LmTask(config, tmp_path / compiled), config.train, tmp_path / compiled, torch.device("cpu"))
    assert log(tmp_path / "true")[0] == pytest.approx(log(tmp_path / "false")[0], rel=1e-4)


LENGTHS = {f"u{i:03d}": 100 + i * 37 % 90 for i in range(95)}


def test_groups_are_made_of_stretches_in_the_order_of_the_archives():
    groups = make_groups(LENGTHS, 4, 0, "random", 1, 1, 10, 3)
    utterances = [[utt for batch in group for utt in batch] for group in groups]
    assert sorted(sum(utterances, [])) == sorted(LENGTHS) and len(groups) == 4
    for group in utterances:
        runs = {int(utt[1:]) // 10 for utt in group}
        assert len(runs) <= 3
        assert sum(len(range(s * 10, min(s * 10 + 10, 95))) for s in runs) == len(group)
    assert groups == make_groups(LENGTHS, 4, 0, "random", 1, 1, 10, 3)
    assert groups != make_groups(LENGTHS, 4, 0, "random", 1, 2, 10, 3)
    assert make_groups(LENGTHS, 4, 0, "random", 1, 1, 10, 10) == [make_batches(LENGTHS, 4, 0, "random", 1, 1)]
    assert len(make_groups(LENGTHS, 4, 0, "ascending", 1, 1, 10, 3)) == 1


def test_a_group_is_read_in_the_order_of_the_archive_before_its_batches(corpus, tmp_path, monkeypatch):
    task, config = build(corpus, "perceptual", tmp_path, "--train.shard_utterances", "2", "--train.shard_buffer", "1")
    order: list[str] = []
    monkeypatch.setattr(task, "stream", lambda utterances: order.append(f"stream {sorted(utterances)}"))
    loader = Batches(task, config.train)
    batches = [utterances for utterances, _ in loader.load_epoch(1, 0)]
    assert batches == loader.of_epoch(1) and sorted(sum(batches, [])) == sorted(task.lengths)
    assert order == [f"stream {sorted(sum(group, []))}" for group in loader.groups(1)]
    assert [utterances for utterances, _ in loader.load_epoch(1, 2)] == batches[2:]
