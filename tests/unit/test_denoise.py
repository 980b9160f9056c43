"""Enhancers from clean speech: their networks, training that resumes exactly, MetricGAN+."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from task_maker import (
    DENOISE,
    assert_equal,
    build,
    enhanced_alone_as_together,
    make_noises,
    make_set,
    overrides,
    run,
    run_and_kill,
)

from mimic.errors import UserError
from mimic.frontend.stft import Stft
from mimic.io.audio import AudioReader
from mimic.models.enhancer import Enhancer, network
from mimic.nets.demucs import Demucs, DemucsConfig
from mimic.nets.metricgan import MetricDiscriminator
from mimic.tasks import config as configuration
from mimic.tasks.dev_scores import DevScores
from mimic.tasks.metricgan import Critic, MetricganConfig, _distance

METRICGAN = DENOISE.replace("task: denoise", "task: metricgan").replace("net: bilstm", "net: metricgan").replace(
    "{units: 4, bottleneck: 3}", "{units: 4, layers: 1, dense: 5}"
) + "gan: {channels: 2, replay: 4, replay_share: 0.5}\nloss: {spectral_weight: 0.1}\n"  # fmt: skip
SIZES = {
    "bilstm": 2_042_753,
    "fcn": 6_224_577,
    "cnn_transformer": 7_241_472,
    "demucs": 33_533_569,
    "metricgan": 1_895_514,
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    make_set(root, "train", "aa", 7)
    make_set(root, "dev", "b", 5)  # the last ones have 0.4 s of speech, as STOI needs
    make_noises(root)
    (root / "denoise.yaml").write_text(DENOISE)
    (root / "metricgan.yaml").write_text(METRICGAN)
    (root / "demucs.yaml").write_text(
        DENOISE.replace("net: bilstm", "net: demucs")
        .replace("{units: 4, bottleneck: 3}", "{channels: 2, layers: 2, lstm_layers: 1, upsample: 2}")
        .replace("best_metric: stoi", "best_metric: loss")
        + "loss: {si_sdr_weight: 0.1, stft_weight: 0.1, stoi_weight: 0.1}\n"
    )
    return root


def test_the_processes_that_score_end_with_their_scores(corpus):
    """Left to Python's own exit, their thread closes at that moment what the exit writes to, and a training fails."""
    before = set(threading.enumerate())
    scores = DevScores(str(corpus / "dev_noisy"), str(corpus / "dev_clean"), ["b0"], 0)
    assert set(threading.enumerate()) > before
    scores.close()
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize("name", SIZES)
def test_published_sizes(name, repository):
    config = configuration.read(repository / "conf" / f"mask_{name}.yaml")
    stft = Stft()
    with torch.device("meta"):
        model = network(config, stft)
    assert sum(p.numel() for p in model.parameters()) == SIZES[name]


def test_metricgan_discriminator_has_its_published_size():
    assert sum(p.numel() for p in MetricDiscriminator(15).parameters()) == 19_010


MODELS = {
    "bilstm": "model: {units: 4, bottleneck: 3}",
    "fcn": "model: {channels: 3, kernel: 3, layers: 3}",
    "metricgan": "model: {units: 4, layers: 2, dense: 5}",
    "demucs": "model: {channels: 2, layers: 3, lstm_layers: 1, upsample: 2}",
}


@pytest.mark.parametrize("name", MODELS)
def test_an_enhanced_waveform_is_as_long_and_does_not_depend_on_its_batch(name, tmp_path):
    (tmp_path / "x.yaml").write_text(f"task: denoise\nnet: {name}\n{MODELS[name]}\n")
    torch.manual_seed(1)
    model, stft = network(configuration.read(tmp_path / "x.yaml"), Stft()).eval(), Stft()
    together = enhanced_alone_as_together(model, stft, (1, 300, 4097, 8000, 7255))
    assert max(float(waveform.abs().max()) for waveform in together) > 1e-3


def test_demucs_does_not_depend_on_later_samples():
    """But for the samples under one window of its encoder."""
    torch.manual_seed(1)
    net, at = Demucs(DemucsConfig(channels=2, layers=2, lstm_layers=1, upsample=1)), 4096
    waveform = 0.1 * torch.randn(1, 6000)
    changed = waveform.clone()
    changed[0, at:] = 0.3
    with torch.inference_mode():
        a, b = (net(x, torch.tensor([6000])) for x in (waveform, changed))
    window = 8 + 4 * (8 - 1)
    assert torch.equal(a[0, : at - window], b[0, : at - window]) and not torch.equal(a[0, at:], b[0, at:])


@pytest.mark.parametrize("kind", ["denoise", "metricgan"])
def test_resumed_training_equals_the_undisturbed_run_with_any_number_of_threads(corpus, tmp_path, kind, monkeypatch):
    """Stopped inside every epoch and between them, with a checkpoint after every step."""
    expected = run(corpus, kind, tmp_path / "whole", "--train.workers", "1")
    assert_equal(expected, run(corpus, kind, tmp_path / "threads", "--train.workers", "3"))
    assert_equal(expected, run_and_kill(monkeypatch, 4, corpus, kind, tmp_path / "cut"))
    logs = [[json.loads(line) for line in (tmp_path / d / "train_log.jsonl").open()] for d in ("whole", "cut")]
    assert logs[0] == logs[1]
    wanted = {"train_loss", "train_spectral", "valid_loss", "valid_pesq", "valid_stoi", "valid_estoi"}
    wanted |= {"train_metric", "train_critic_noisy", "train_critic_former"} if kind == "metricgan" else set()
    assert wanted <= set(logs[0][-1])


def test_training_starts_from_an_enhancer_of_the_same_network_and_spectrum(corpus, tmp_path):
    trained = run(corpus, "denoise", tmp_path / "first", "--train.epochs", "1")
    begun, _ = build(corpus, "denoise", tmp_path / "second", "--data.init", str(tmp_path / "first"))
    assert_equal(trained, begun.model.state_dict())
    with pytest.raises(UserError, match=r"the size of .* take the network and its sizes of .*first/config.yaml"):
        build(corpus, "denoise", tmp_path / "x", "--data.init", str(tmp_path / "first"), "--model.units", "3")
    (tmp_path / "stft.conf").write_text("--hop-length=128\n")
    with pytest.raises(UserError, match="option --hop-length is 256 there and 128 here"):
        options = ("--data.init", str(tmp_path / "first"), "--data.stft", str(tmp_path / "stft.conf"))
        build(corpus, "denoise", tmp_path / "y", *options)


def test_waveforms_to_waveforms_with_all_losses(corpus, tmp_path):
    run(corpus, "demucs", tmp_path / "x", "--train.epochs", "1")
    enhancer = Enhancer.load(tmp_path / "x")
    model, stft = enhancer.net, enhancer.front
    waveform = torch.from_numpy(AudioReader(corpus / "dev_noisy")["b-00"])
    with torch.inference_mode():
        (enhanced,) = model.enhance([waveform], stft)
    assert enhanced.shape == waveform.shape and torch.isfinite(enhanced).all()
    record = json.loads((tmp_path / "x" / "train_log.jsonl").read_text())
    assert {"train_si_sdr", "train_stft", "train_stoi"} <= set(record)


def test_every_epoch_receives_other_mixtures_and_validation_the_stored_ones(corpus, tmp_path):
    task, _ = build(corpus, "denoise", tmp_path / "x")
    utts = sorted(task.lengths)[:2]
    batches = []
    for epoch in (1, 2, 1):
        task.begin_epoch(epoch)
        batches.append(task.load(utts))
    assert torch.equal(batches[0].noisy, batches[2].noisy)
    assert not torch.equal(batches[0].noisy[:, :100], batches[1].noisy[:, :100])
    dev = task.load_dev(["b-00"])
    assert torch.equal(dev.noisy[0], torch.from_numpy(AudioReader(corpus / "dev_noisy")["b-00"]))


def test_what_does_not_fit_is_one_line(corpus, tmp_path):
    for number, (extra, line) in enumerate(
        [
            (("--data.noises", ""), "no noises to mix in"),
            (("--data.noises", str(tmp_path)), "no audio files in it"),
            (("--data.dev_clean", f"{corpus}/train_clean"), "is in only one of"),
            (("--augment.babble", "true"), "babble needs more than 4 speakers"),
            (("--train.best_metric", "wer"), "this task has loss, pesq, stoi, estoi"),
        ]
    ):
        with pytest.raises(UserError, match=line) as error:
            run(corpus, "denoise", tmp_path / str(number), *extra)
        assert "\n" not in str(error.value)
    make_set(tmp_path, "short", "b", 1)
    short = [word for side in ("noisy", "clean") for word in (f"--data.dev_{side}", f"{tmp_path}/short_{side}")]
    with pytest.raises(UserError, match="best_metric stoi: no utterance .*best_metric loss"):
        run(corpus, "denoise", tmp_path / "short", *short, "--train.best_metric", "stoi")


def test_a_training_that_diverged_says_so_at_its_end(corpus, tmp_path):
    huge = ("--train.lr", "1e30", "--train.max_nonfinite_batches", "1000")
    with pytest.raises(UserError, match="no epoch has a finite .*diverged.*lower --train.lr"):
        run(corpus, "denoise", tmp_path / "diverged", *huge)
    assert not (tmp_path / "diverged/model.pt").exists()
    stft = tmp_path / "stft.conf"
    stft.write_text("--sample-frequency=8000\n")
    with pytest.raises(UserError, match="at 16000 Hz, not at 8000"):
        build(corpus, "denoise", tmp_path / "rate", "--data.stft", str(stft))


def test_the_critic_learns_scores_and_remembers(corpus):
    torch.manual_seed(2)
    critic = Critic(MetricganConfig(channels=4, replay=3, replay_share=1.0, replay_frames=30))
    optimiser = torch.optim.Adam(critic.parameters(), 1e-2)
    clean, lengths = torch.rand(8, 30, 24), torch.full((8,), 30)
    degraded = clean + torch.linspace(0, 2, 8)[:, None, None] * torch.rand(8, 30, 24)
    scores = torch.linspace(1, 0.2, 8)
    errors = []
    for _ in range(40):
        loss = (critic(degraded, clean, lengths) - scores).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        errors.append(float(loss.detach()))
    assert np.mean(errors[-5:]) < 0.3 * np.mean(errors[:5])
    assert critic.sample(4, clean.device) is None
    scores[3] = torch.nan
    critic.store(degraded, clean, torch.tensor([30, 29, 31, 30, 30, 30, 30, 5]), scores)
    assert len(critic.memory) == 3
    copy = Critic(critic.config)
    copy.load_state_dict(critic.state_dict())
    torch.manual_seed(0)
    first = critic.sample(2, clean.device)
    torch.manual_seed(0)
    again = copy.sample(2, clean.device)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True)) and len(first[0]) == 2


def test_the_critic_does_not_depend_on_padding():
    critic = MetricDiscriminator(3)
    clean, degraded, lengths = torch.rand(2, 40, 30), torch.rand(2, 40, 30), torch.tensor([40, 22])
    critic.eval()
    together = critic(degraded, clean, lengths)
    single = critic(degraded[1:, :22], clean[1:, :22], lengths[1:])
    torch.testing.assert_close(together[1:], single)
    assert torch.isfinite(critic(degraded[:, :3], clean[:, :3], torch.tensor([3, 2]))).all()  # shorter than its reach


def test_metricgan_turns_teach_each_side_by_itself(corpus, tmp_path):
    task, _ = build(corpus, "metricgan", tmp_path / "x")
    task.begin_epoch(1)
    batch = task.load(sorted(task.lengths)[:3])
    turns = task.optimiser_losses(batch, 1)
    name, losses = next(turns)
    assert name == "critic" and {"clean", "enhanced", "noisy"} <= set(losses)
    losses["loss"].backward()
    assert all(p.grad is None for p in task.model.parameters())
    name, losses = next(turns)
    assert name == "model" and {"metric", "spectral"} <= set(losses) and len(task.critic.memory) > 0
    losses["loss"].backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in task.model.net.output.parameters())
    with pytest.raises(StopIteration):
        next(turns)


def test_an_utterance_without_a_score_costs_the_critic_nothing(corpus, tmp_path):
    task, _ = build(corpus, "metricgan", tmp_path / "x")
    waveforms = torch.stack([torch.from_numpy(task.dev[1]["b-01"])[:5000], torch.zeros(5000)])
    scores = task._scores(waveforms, waveforms, torch.tensor([5000, 5000]))
    assert bool(scores[1].isnan())
    predicted = torch.zeros(2, requires_grad=True)
    loss = _distance(predicted, torch.tensor([0.5, torch.nan]))
    loss.backward()
    assert loss.item() == 0.125 and predicted.grad.tolist() == [-0.5, 0.0]


@pytest.mark.parametrize("which", range(min(2, os.cpu_count())))
def test_a_killed_process_of_those_that_score_ends_the_training(corpus, tmp_path, repository, which):
    """Whichever it is: while they have nothing to do, one of them holds the lock that the others wait for."""
    command = [sys.executable, str(repository / "pyscripts/train.py"), "--device", "cpu", str(corpus / "denoise.yaml")]
    command += [str(tmp_path / "x"), *overrides(corpus, "denoise")]
    command += ["--train.epochs", "10000", "--train.validate_every", "20"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            while not list((tmp_path / "x/weights").glob("*")):
                assert process.poll() is None
                time.sleep(0.1)
            workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[: os.cpu_count()]
            os.kill(int(workers[which]), signal.SIGKILL)
            output = process.communicate(timeout=60)[1]
        finally:
            process.kill()
    assert process.returncode == 1 and "Traceback" not in output
    assert "a process beside this one was killed, maybe for lack of memory: run again to resume" in output
