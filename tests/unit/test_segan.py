"""SEGAN: sizes, pre-emphasis, inference by overlapping windows, and both of its networks learning in turn."""

import json
from pathlib import Path

import numpy as np
import pytest
import task_maker
import torch
from data_maker import ROOT

from mimic import settings
from mimic.errors import UserError
from mimic.io.tables import read_table
from mimic.models.blocks import BlockEnhancer
from mimic.models.enhancer import Enhancer
from mimic.nets.segan import (
    Discriminator,
    Generator,
    Segan,
    SeganConfig,
    SeganFront,
    VirtualBatchNorm,
    deemphasise,
    preemphasise,
)
from mimic.tasks import config as configuration
from mimic.tasks.enhance_config import SeganLoss
from mimic.tasks.segan import SeganTask

SMALL = SeganConfig(channels=[4, 6], kernel=7, stride=4, window=4096)
YAML = """
task: segan
net: segan
model: {channels: [4, 6], kernel: 7, stride: 4, window: 1024}
train: {epochs: 2, batch_size: 7, optimiser: rmsprop, lr: 0.002, max_grad_norm: 0.0, best_metric: loss}
"""


def test_published_sizes():
    config = configuration.read(ROOT / "conf/segan.yaml").model
    assert (config.code, config.window) == (8, 16384)
    with torch.device("meta"):
        generator, discriminator = Generator(config), Discriminator(config)
        assert generator(torch.zeros(2, 16384), torch.zeros(2, 1024, 8)).shape == (2, 16384)
        assert discriminator(torch.zeros(2, 2, 16384))[0].shape == (2,)
    assert sum(p.numel() for p in generator.parameters()) == 73_100_049
    assert sum(p.numel() for p in discriminator.parameters()) == 24_373_081
    with pytest.raises(UserError, match="every layer can divide"):
        settings.build(SeganConfig, {"channels": [4, 4], "window": 1002}, "model")


def test_preemphasis_is_undone():
    x = torch.rand(3, 50_001, generator=torch.Generator().manual_seed(0)) * 2 - 1
    y = preemphasise(x, 0.95)
    torch.testing.assert_close(y[:, 1:], x[:, 1:] - 0.95 * x[:, :-1])
    torch.testing.assert_close(y[:, 0], x[:, 0])
    assert (deemphasise(y, 0.95) - x).abs().max() < 1e-5
    assert torch.equal(deemphasise(x, 0.0), x)


def test_windows_and_pieces_of_a_window_line_up():
    """The transposed convolution is the transpose of the convolution: <Down x, y> = <x, Up y>."""
    from mimic.nets.segan import Down, Up

    for kernel, stride in ((31, 2), (31, 4), (7, 4), (8, 4)):
        config = SeganConfig(kernel=kernel, stride=stride)
        down, up = Down(1, 1, config), Up(1, 1, config)
        up.weight.data = down.weight.data
        x, y = torch.randn(1, 1, 64 * stride), torch.randn(1, 1, 64)
        assert (down(x) * y).sum().item() == pytest.approx((x * up(y)).sum().item(), abs=1e-4)


class Identity(Segan):
    def forward(self, noisy, z):
        return noisy


@pytest.mark.parametrize("samples", [1, 2047, 2048, 2049, 4096, 50000])
def test_overlapping_windows_of_an_identity_give_the_input(samples):
    model = Identity(SMALL)
    x = torch.rand(samples, generator=torch.Generator().manual_seed(1)) - 0.5
    (y,) = model.enhance([x], SeganFront(SMALL))
    assert y.shape == x.shape and (y - x).abs().max() < 1e-5


def test_inference_is_the_same_each_time_and_in_pieces():
    torch.manual_seed(0)
    model, front = Segan(SMALL).eval(), SeganFront(SMALL)
    for p in model.parameters():
        p.data *= 10
    x = 0.1 * torch.randn(300_000)
    torch.manual_seed(5)
    (a,) = model.enhance([x], front)
    (b, c) = model.enhance([x, x[:300]], front)
    assert torch.equal(a, b) and len(c) == 300
    other = Segan(SeganConfig(**vars(SMALL) | {"seed": 2})).eval()
    other.load_state_dict(model.state_dict())
    assert not torch.equal(other.enhance([x], front)[0], a)
    whole, pieces = (
        np.concatenate(list(BlockEnhancer(model, front, chunk_s=s)([x[:, None].numpy()], 16000))) for s in (0, 1)
    )
    assert np.abs(whole - pieces).max() < 1e-5 * np.abs(whole).max() + 1e-7


def test_virtual_batch_norm():
    norm, draw = VirtualBatchNorm(3), torch.Generator().manual_seed(0)
    reference, x = torch.randn(8, 3, 50, generator=draw) * 2 + 1, torch.randn(4, 3, 50, generator=draw) - 3
    y, seen = norm(reference, None)
    plain = torch.nn.functional.batch_norm(reference, None, None, norm.weight[:, 0], norm.bias[:, 0], training=True)
    torch.testing.assert_close(y, plain, atol=1e-5, rtol=1e-4)
    z, _ = norm(x, seen)
    mean = 0.2 * x.mean((0, 2)) + 0.8 * reference.mean((0, 2))
    square = 0.2 * x.square().mean((0, 2)) + 0.8 * reference.square().mean((0, 2))
    expected = (x - mean[:, None]) / (square - mean**2 + 1e-5).sqrt()[:, None] * norm.weight
    torch.testing.assert_close(z, expected, atol=1e-5, rtol=1e-4)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("segan")
    for name, prefix in (("train", "a"), ("dev", "bb")):
        task_maker.make_set(root, name, prefix, 3)
    (root / "segan.yaml").write_text(YAML)
    return root


def test_windows_cover_every_sample(corpus, tmp_path):
    task, config = task_maker.build(corpus, "segan", tmp_path / "exp")
    assert isinstance(task, SeganTask)
    for utt in read_table(corpus / "train_noisy/wav.scp"):
        x = torch.from_numpy(task.noisy[utt])
        starts = sorted(int(name.split()[1]) for name in task.lengths if name.startswith(f"{utt} "))
        assert starts == list(range(0, starts[-1] + 1, 512)) and starts[-1] + 1024 >= len(x) > starts[-1] + 512
        batch = task.load([f"{utt} {start}" for start in starts])
        y = preemphasise(x, 0.95)
        for row, start in zip(batch.noisy, starts, strict=True):
            piece = y[start : start + 1024]
            torch.testing.assert_close(row[: len(piece)], piece)
            assert not row[len(piece) :].any()
    assert set(task.trainable()) == {"model", "discriminator"}
    assert set(task_maker.build(corpus, "segan", tmp_path / "l1", "--loss.adversarial_weight", "0")[0].trainable()) == {
        "model"
    }


def test_training_resumes_exactly_and_logs_all_losses(corpus, tmp_path, monkeypatch):
    undisturbed = task_maker.run(corpus, "segan", tmp_path / "a")
    task_maker.assert_equal(task_maker.run_and_kill(monkeypatch, 4, corpus, "segan", tmp_path / "b"), undisturbed)
    log = [json.loads(line) for line in (tmp_path / "a/train_log.jsonl").read_text().splitlines()]
    wanted = ("l1", "adversarial", "loss", "discriminator_loss", "discriminator_real", "discriminator_fake")
    assert all(f"train_{name}" in record for record in log for name in wanted)
    assert all("valid_pesq" in record and "valid_estoi" in record for record in log)
    enhancer = Enhancer.load(tmp_path / "a")
    model, front = enhancer.net, enhancer.front
    assert model.enhance([torch.zeros(5000)], front)[0].shape == (5000,)


def test_losses_of_pieces_add_up(corpus, tmp_path, monkeypatch):
    """Without the discriminator, whose reference is the batch, and with one random vector for all windows."""
    monkeypatch.setattr(Segan, "draw", lambda model, batch, device: torch.ones(batch, 6, model.config.code))
    task, _ = task_maker.build(corpus, "segan", tmp_path / "exp", "--loss.adversarial_weight", "0")
    assert set(task.trainable()) == {"model"}
    names = sorted(task.lengths)[:5]
    batches = [task.load(part) for part in (names, names[:2], names[2:])]
    sizes = [task.sizes(batch) for batch in batches]
    shares = [{name: n / sizes[0][name] for name, n in size.items()} for size in sizes]
    whole, *pieces = (dict(task.optimiser_losses(*pair)) for pair in zip(batches, [1] * 3, shares, strict=True))
    assert whole["model"]["loss"].item() == pytest.approx(sum(piece["model"]["loss"].item() for piece in pieces))


def test_noise_on_the_discriminators_input_decays(corpus, tmp_path):
    given = {"input_noise": 0.5, "input_noise_every": 2, "input_noise_decay": 0.1, "input_noise_least": 0.01}
    loss = settings.build(SeganLoss, given, "loss")
    assert [loss.noise(epoch) for epoch in range(1, 7)] == pytest.approx([0.5, 0.5, 0.05, 0.05, 0, 0])
    assert not any(SeganLoss().noise(epoch) for epoch in range(1, 90))
    task, _ = task_maker.build(corpus, "segan", tmp_path / "exp", "--loss.input_noise", "0.5")
    batch = task.load(sorted(task.lengths)[:5])
    pair = torch.stack([batch.clean, batch.noisy], dim=1)
    noise = task._pair(batch.clean, batch, 1) - pair
    assert noise.std(dim=(0, 2)).tolist() == pytest.approx([0.5, 0.5], rel=0.05)
    assert torch.equal(task._pair(batch.clean, batch, 99), pair)


def test_sides_that_differ_name_the_utterance(corpus, tmp_path):
    with pytest.raises(UserError, match="a-00: is in only one of"):
        task_maker.build(corpus, "segan", tmp_path / "exp", "--data.train_clean", f"{corpus}/dev_clean")
