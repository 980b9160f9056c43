"""Training in several processes and in low precision, and what ends it early: signals, kills, full disks."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from task_maker import PERCEPTUAL, assert_equal, build, make_set, overrides, run

from mimic.errors import UserError
from mimic.io.batching import make_batches, make_groups
from mimic.tasks import config as configuration
from mimic.tasks.asr import AsrTask
from mimic.tasks.lm import LmTask
from mimic.training import checkpoint
from mimic.training.batches import Batches
from mimic.training.loop import fit
from mimic.training.processes import RankInfo, rank_info
from mimic.training.step import set_seed
from mimic.training.stop import SIGNALS, Stop, Stopped

# No batch statistics and no random numbers: what several processes share is then the batch of one.
EVEN = ["--model.rnn", "gru", "--model.dnn_layers", "0", "--model.dropout", "0"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    make_set(root, "train", "aa", 8)
    make_set(root, "dev", "b", 3)
    (root / "perceptual.yaml").write_text(PERCEPTUAL)
    return root


@pytest.fixture(scope="module")
def undisturbed(corpus) -> dict[str, torch.Tensor]:
    return run(corpus, "perceptual", corpus / "undisturbed")


@pytest.fixture
def stop():
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield Stop()
    for number, handler in before.items():
        signal.signal(number, handler)


def log(directory: Path) -> list[dict]:
    return [json.loads(line) for line in (directory / "train_log.jsonl").open()]


def program(corpus: Path, directory: Path, *extra: str) -> list[str]:
    """The words after steps/train.sh or pyscripts/train.py."""
    return [str(corpus / "perceptual.yaml"), str(directory), *overrides(corpus, "perceptual"), *extra]


def two(repository: Path, *words: str) -> subprocess.CompletedProcess:
    command = [
        sys.executable,
        str(repository / "pyscripts/train.py"),
        "--device",
        "cpu",
        "--num-processes",
        "2",
        *words,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_two_processes_have_the_losses_of_one(corpus, tmp_path, repository):
    """But for rounding: sums over a batch are made in another order. Relative tolerance 1e-4."""
    done = two(repository, *program(corpus, tmp_path / "two", *EVEN))
    assert done.returncode == 0, done.stderr
    run(corpus, "perceptual", tmp_path / "one", *EVEN)
    for one, both in zip(log(tmp_path / "one"), log(tmp_path / "two"), strict=True):
        assert both == pytest.approx(one, rel=1e-4)


def test_two_processes_stop_together_where_the_loss_is_not_finite(corpus, tmp_path, repository):
    done = two(repository, *program(corpus, tmp_path / "x", "--train.lr", "1e30", "--train.max_grad_norm", "0"))
    assert done.returncode == 1
    assert done.stderr.count("3 batches in a row without a finite loss") == 2, done.stderr
    assert (tmp_path / "x/nonfinite_batch.txt").read_text().startswith("aa-")


def test_two_processes_go_on_after_a_kill_and_a_signal(corpus, tmp_path, repository):
    """One of them is killed; the next run gets a signal, is started again, and ends as an undisturbed one does."""
    extra = ["--train.epochs", "12", "--train.validate_every", "12", "--train.checkpoint_interval", "0"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert two(repository, *program(corpus, whole, *extra)).returncode == 0
    command = ["steps/train.sh", "--num-threads", "2", "--num-processes", "2", *program(corpus, cut, *extra)]
    codes = []
    for after, number in ((2, signal.SIGKILL), (6, signal.SIGTERM)):
        process = subprocess.Popen(command, cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        deadline = time.monotonic() + 120
        while not any(saved(cut) == step for step in range(after, 36)):
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
            time.sleep(0.005)
        first = int((cut / "checkpoints/.lock").read_text().split()[1])
        parent = int(Path(f"/proc/{first}/stat").read_text().rpartition(")")[2].split()[1])
        children = [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
        os.kill(parent if number == signal.SIGTERM else max(children), number)
        codes.append((process.communicate(timeout=120)[0], process.returncode))
    assert codes[0][1] == 1 and "process 1 of this training was killed by signal 9" in codes[0][0]
    assert "another process of this training has ended" in codes[0][0]
    assert codes[1][1] == 0 and "stopped with its state saved (code 75): starting it again" in codes[1][0], codes[1]
    assert_equal(checkpoint.load(whole / "model.pt"), checkpoint.load(cut / "model.pt"))
    assert log(whole) == log(cut)


LEAVES = """
import os, torch
from mimic.training import parallel
from mimic.training.batches import Batches
from mimic.training.processes import RankInfo
rank = int(os.fork() == 0)
parallel.init(RankInfo(rank, 2, rank, 2))
net = torch.nn.Linear(3, 3)
parallel.broadcast_parameters([net])
torch.optim.AdamW(net.parameters())
assert parallel.all_gather({rank: rank}) == [0, 1]
there = len(os.listdir("/proc/self/task"))
parallel.destroy()
assert there > len(os.listdir("/proc/self/task")) == 1, there
if not rank:
    assert os.wait()[1] == 0
"""


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_no_thread_of_a_group_outlives_it(tmp_path):
    """It might abort Python at its end: a training that is done would have failed."""
    env = os.environ | {"OMP_NUM_THREADS": "1", "MIMIC_INIT_FILE": str(tmp_path / "meeting")}
    done = subprocess.run([sys.executable, "-c", LEAVES], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def saved(directory: Path) -> int:
    """The last step that a checkpoint holds."""
    return max((int(path.stem[5:]) for path in (directory / "checkpoints").glob("step-*.pt")), default=-1)


SRUN = {"PROCID": "3", "LOCALID": "1", "STEP_NUM_TASKS": "4", "STEP_TASKS_PER_NODE": "2(x2)"}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, RankInfo()),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, RankInfo()),  # a job's script, not a task of srun
        ({f"SLURM_{name}": value for name, value in SRUN.items()}, RankInfo(3, 4, 1, 2)),
        ({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}, RankInfo(3, 4, 1, 2)),
    ],
)
def test_torchrun_and_srun_say_which_process_this_is(monkeypatch, variables, expected):
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert rank_info() == expected


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
        stretches = {int(utt[1:]) // 10 for utt in group}
        assert len(stretches) <= 3
        assert sum(len(range(s * 10, min(s * 10 + 10, 95))) for s in stretches) == len(group)
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
