"""Training in several processes: losses of one, kills, signals, and which process this is."""

# ruff: noqa: F811 (fixtures)

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from task_maker import PERCEPTUAL, assert_equal, build, corpus, log, make_set, overrides, run, saved  # noqa: F401 (a fixture)

from mimic.training import checkpoint
from mimic.training.processes import RankInfo, rank_info

# No batch statistics and no random numbers: what several processes share is then the batch of one.
EVEN = ["--model.rnn", "gru", "--model.dnn_layers", "0", "--model.dropout", "0"]


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
