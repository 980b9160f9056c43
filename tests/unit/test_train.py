"""Configuration, batching, tokens, checkpoints."""

import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from mimic.errors import UserError
from mimic.io.batching import make_batches, pad, prefetch
from mimic.io.tokens import BOS, EOS, UNK, Tokens
from mimic.nets.crdnn import CrdnnConfig
from mimic.tasks import config as configuration
from mimic.training import checkpoint
from mimic.training.config import TrainConfig
from mimic.training.optimiser import Optimiser, learning_rate
from mimic.training.trackers import Curves

YAML = "task: asr\nnet: crdnn\nmodel: {channels: [4]}\ntrain: {lr: 1e-3}\n"


@pytest.fixture
def yaml(tmp_path):
    path = tmp_path / "asr.yaml"
    path.write_text(YAML)
    return path


def test_values_come_from_defaults_then_yaml_then_command_line(yaml):
    config = configuration.read(yaml, ["--train.lr", "0.5", "--model.rnn-units", "7", "--data.train", "exp/x"])
    assert config.model == CrdnnConfig(channels=[4], rnn_units=7)
    assert config.train.lr == 0.5 and config.train.max_grad_norm == 5.0 and config.data.train == "exp/x"


def test_base_is_read_first(yaml, tmp_path):
    path = tmp_path / "finetune.yaml"
    path.write_text("base: asr.yaml\ntrain: {epochs: 2}\n")
    config = configuration.read(path)
    assert config.model == CrdnnConfig(channels=[4]) and config.train.lr == 1e-3 and config.train.epochs == 2


def test_written_configuration_reads_back_equal(yaml, tmp_path):
    config = configuration.read(yaml, ["--decode.beam", "3"])
    configuration.write(config, tmp_path / "config.yaml")
    assert configuration.read(tmp_path / "config.yaml") == config


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train: {epoch: 3}", r"train: unknown name 'epoch': did you mean epochs\?"),
        ("trian: {epochs: 3}", r"unknown name 'trian': did you mean train\?"),
        ("train: {epochs: many}", r"train\.epochs: expected a whole number, from 1 .*many"),
        ("train: {sorting: sideways}", r"train\.sorting"),
        ("net: crdn", r"net: unknown name 'crdn': did you mean crdnn\?"),
        ("train: [1]", r"train: expected a section"),
    ],
)
def test_bad_configuration_is_one_line(tmp_path, line, message):
    path = tmp_path / "bad.yaml"
    path.write_text("task: asr\n" + ("" if line.startswith("net") else "net: crdnn\n") + line + "\n")
    with pytest.raises(UserError, match=message) as error:
        configuration.read(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("overrides", [["--train.lr"], ["train.lr", "1"], ["--train.leraning_rate", "1"]])
def test_bad_override(yaml, overrides):
    with pytest.raises(UserError, match="pairs|unknown name"):
        configuration.read(yaml, overrides)


def test_every_shipped_configuration_reads(repository):
    for path in sorted((repository / "conf").glob("*.yaml")):
        configuration.read(path)


LENGTHS = {f"u{i}": random.Random(i).randint(1, 900) for i in range(300)}


@pytest.mark.parametrize("sorting", ["random", "ascending", "descending"])
def test_batches_hold_everything_once_within_their_limits(sorting):
    batches = make_batches(LENGTHS, 8, 3000, sorting, 1, 1)
    assert sorted(utt for batch in batches for utt in batch) == sorted(LENGTHS)
    assert all(len(b) <= 8 and max(LENGTHS[u] for u in b) * len(b) <= 3000 for b in batches)
    assert batches == make_batches(dict(reversed(LENGTHS.items())), 8, 3000, sorting, 1, 1)
    if sorting == "random":
        assert batches != make_batches(LENGTHS, 8, 3000, sorting, 1, 2)
        padding = sum(max(LENGTHS[u] for u in b) * len(b) for b in batches) / sum(LENGTHS.values())
        assert padding < 1.2
    else:
        firsts = [LENGTHS[b[0]] for b in batches]
        assert firsts == sorted(firsts, reverse=sorting == "descending")


def test_curriculum_begins_with_the_shortest():
    assert make_batches(LENGTHS, 8, 0, "curriculum", 1, 1) == make_batches(LENGTHS, 8, 0, "ascending", 1, 1)
    assert make_batches(LENGTHS, 8, 0, "curriculum", 1, 2) == make_batches(LENGTHS, 8, 0, "random", 1, 2)


def test_an_utterance_longer_than_the_limit_is_alone():
    assert ["long"] in make_batches({"a": 5, "b": 6, "long": 99}, 8, 20, "ascending", 0, 0)


def test_pad():
    batch, lengths = pad([np.ones((2, 3), np.float32), np.ones((4, 3), np.float32)])
    assert batch.shape == (2, 4, 3) and lengths.tolist() == [2, 4] and batch[0, 2:].sum() == 0


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_prefetch_keeps_order_and_raises_where_the_error_is(workers):
    def double(x):
        if x == 3:
            raise ValueError("three")
        return 2 * x

    results = prefetch(double, range(9), workers=workers)
    assert [next(results) for _ in range(3)] == [0, 2, 4]
    with pytest.raises(ValueError, match="three"):
        next(results)


TEXTS = ["TURN ON THE LIGHT", "TURN OFF THE RADIO", "PLAY THE NEXT SONG", "STOP THE MUSIC NOW", "DON'T STOP"]


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_fewer_tokens_than_characters(kind):
    with pytest.raises(UserError, match=r"data.vocabulary 5: these transcripts need at least \d+, one for each"):
        Tokens.build(kind, TEXTS, 5)


@pytest.mark.parametrize("kind", ["phn", "char", "unigram", "bpe"])
def test_tokens_round_trip(kind, tmp_path):
    tokens = Tokens.build(kind, TEXTS, 40)
    tokens.save(tmp_path)
    again = Tokens.load(tmp_path, kind)
    assert again.symbols == tokens.symbols and len(set(tokens.symbols)) == len(tokens)
    for text in TEXTS:
        ids = again.encode(text)
        assert UNK not in ids and again.decode([BOS, *ids, EOS]) == text


def test_unknown_tokens_stay_visible():
    tokens = Tokens.build("char", ["AB"])
    assert tokens.decode(tokens.encode("AZ")) == "A <unk>"


def test_learning_rate_schedules():
    step = TrainConfig(lr=1.0, schedule="step", lr_every=3, lr_factor=0.5)
    assert [learning_rate(step, epoch, 0, 10) for epoch in range(1, 8)] == [1, 1, 1, 0.5, 0.5, 0.5, 0.25]
    warm = TrainConfig(lr=1.0, warmup=4)
    assert [learning_rate(warm, 1, i, 10) for i in range(5)] == [0.25, 0.5, 0.75, 1, 1]
    cosine = TrainConfig(lr=1.0, schedule="cosine")
    assert [learning_rate(cosine, 1, i, 10) for i in (0, 5, 10)] == pytest.approx([1, 0.5, 0])


@pytest.mark.parametrize("kind", ["adam", "adamw", "rmsprop"])
def test_optimisers_step_as_those_of_pytorch(kind):
    torch.manual_seed(0)
    config = TrainConfig(optimiser=kind, weight_decay=0.1, rms_decay=0.9, beta2=0.98, epsilon=1e-7)
    net, same, later = nn.Linear(5, 3), nn.Linear(5, 3), nn.Linear(5, 3)
    same.load_state_dict(net.state_dict())
    adam = {"lr": config.lr, "betas": (0.9, 0.98), "eps": 1e-7, "fused": True}
    torchs = {
        "adam": lambda: torch.optim.Adam(same.parameters(), **adam),
        "adamw": lambda: torch.optim.AdamW(
            [{"params": [same.weight], "weight_decay": 0.1}, {"params": [same.bias], "weight_decay": 0.0}], **adam
        ),
        "rmsprop": lambda: torch.optim.RMSprop(same.parameters(), lr=config.lr, alpha=0.9),
    }[kind]()
    own = Optimiser(net, config)
    for step in range(6):
        if step == 3:  # what PyTorch has saved is resumed here
            later.load_state_dict(same.state_dict())
            net, own = later, Optimiser(later, config)
            own.load_state_dict(torchs.state_dict())
        x = torch.randn(4, 5)
        for module, optimiser in ((net, own), (same, torchs)):
            optimiser.zero_grad()
            for group in optimiser.param_groups:
                group["lr"] = 0.01 * (step + 1)
            module(x).square().sum().backward()
            optimiser.step()
        assert torch.equal(net.weight, same.weight) and torch.equal(net.bias, same.bias)


def test_a_step_does_not_load_the_compiler():
    program = """
import sys, torch
from mimic.training.config import TrainConfig
from mimic.training.optimiser import ModuleOptimiser
optimiser = ModuleOptimiser(torch.nn.Linear(2, 1), TrainConfig(), torch.device("cpu"), True)
optimiser.zero_grad()
optimiser.backward(optimiser.module(torch.ones(3, 2)).sum())
assert optimiser.step(0.1) > 0
print("torch._dynamo" in sys.modules)
"""
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "False\n"


def test_damaged_newest_checkpoint_falls_back_to_the_one_before(tmp_path, caplog):
    for step in (1, 2, 3):
        checkpoint.save_latest({"step": step}, tmp_path, step)
    files = sorted(tmp_path.iterdir())
    assert [f.name for f in files] == ["step-000000002.pt", "step-000000003.pt"]
    files[-1].write_bytes(files[-1].read_bytes()[:50])
    assert checkpoint.load_latest(tmp_path) == {"step": 2}
    assert "step-000000003.pt" in caplog.text


def test_any_damage_to_a_checkpoint_is_noticed(tmp_path):
    path = tmp_path / "epoch-1.pt"
    checkpoint.save({"w": torch.ones(1000)}, path)
    data = bytearray(path.read_bytes())
    place = data.index(torch.ones(10).numpy().tobytes())
    data[place + 100] ^= 1  # one bit of one weight
    path.write_bytes(data)
    with pytest.raises(UserError, match="damaged checkpoint"):
        checkpoint.load(path)
    where = path.parent.parent
    with pytest.raises(UserError, match=f"epoch-1.pt: damaged or gone: remove {where} and run again"):
        checkpoint.average([path])


@contextmanager
def limited_files(size: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_checkpoint_that_does_not_fit_on_the_disk_is_an_error_of_the_disk(tmp_path):
    state = {"a": torch.rand(100, 200), "b": [torch.rand(30) for _ in range(40)]}
    for size in range(100, 88_000, 8_000):
        with limited_files(size), pytest.raises(OSError, match="File too large.*model.pt"):
            checkpoint.save(state, tmp_path / "model.pt")
        assert not list(tmp_path.iterdir())


def test_curves_go_on_where_the_run_does(tmp_path):
    for first, loss in ((0, 2.0), (3, 1.0)):
        curves = Curves(tmp_path, first)
        for step in range(first, 5):
            curves.add({"train/loss": loss, "train/lr": 0.1}, step)
        curves.close()
    read = EventAccumulator(str(tmp_path)).Reload()
    assert [(point.step, point.value) for point in read.Scalars("train/loss")] == [
        (0, 2.0), (1, 2.0), (2, 2.0), (3, 1.0), (4, 1.0)
    ]  # fmt: skip
    assert len(read.Scalars("train/lr")) == 5


def test_curves_that_do_not_fit_on_the_disk_name_their_file(tmp_path):
    curves = Curves(tmp_path, 0)
    with limited_files(100), pytest.raises(OSError, match="File too large.*events.out.tfevents"):
        for step in range(10):
            curves.add({"train/loss": 1.0}, step)


def test_average_takes_the_mean_of_weights_and_copies_counters(tmp_path):
    for i in (1, 2):
        checkpoint.save({"w": torch.full((2,), float(i)), "n": torch.tensor(i)}, tmp_path / f"{i}.pt")
    mean = checkpoint.average([tmp_path / "1.pt", tmp_path / "2.pt"])
    assert mean["w"].tolist() == [1.5, 1.5] and mean["n"] == 2 and mean["n"].dtype == torch.int64


def test_checkpoints_never_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ("code ran",)

    torch.save({"model": Evil()}, tmp_path / "model.pt")
    with pytest.raises(UserError, match="damaged checkpoint"):
        checkpoint.load(tmp_path / "model.pt")
