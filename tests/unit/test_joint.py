"""Joint training of enhancer and recogniser, on a tiny corpus of noise."""

import itertools
import json
from pathlib import Path

import pytest
import soundfile
import torch
from data_maker import run as run_program
from task_maker import (
    ENHANCE,
    JOINT,
    PERCEPTUAL,
    RECOGNISER,
    assert_equal,
    assert_pieces_are_the_batch,
    build,
    make_corpus,
    overrides,
    run,
    run_and_kill,
)

from mimic.errors import UserError
from mimic.frontend.fbank import Fbank
from mimic.io.audio import AudioReader
from mimic.io.recording import write_wav
from mimic.models import load
from mimic.models.enhancer import Enhancer
from mimic.tasks.joint import JointTask
from mimic.training import checkpoint


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    make_corpus(root, perceptual=PERCEPTUAL, recogniser=RECOGNISER, enhance=ENHANCE, joint=JOINT)
    for kind in ("perceptual", "recogniser", "enhance"):
        run(root, kind, root / f"exp_{kind}", "--train.epochs", "1")
    return root


@pytest.fixture
def joint(corpus, tmp_path) -> JointTask:
    return build(corpus, "joint", tmp_path / "joint")[0]


def test_it_starts_from_both_models(corpus, joint):
    for name, start in (("enhancer", "exp_enhance"), ("recogniser", "exp_recogniser")):
        assert_equal(getattr(joint.model, name).state_dict(), checkpoint.load(corpus / start / "model.pt"))


def test_the_recogniser_is_given_what_the_written_files_hold(corpus, joint, tmp_path):
    joint.eval()
    utterances = sorted(joint.lengths)[:3]
    with torch.inference_mode():
        given = joint.recogniser_batch(joint.load(utterances))
        start = Enhancer.load(corpus / "exp_enhance")
        enhancer, stft = start.net, start.front
        for utt, features, length in zip(utterances, given.features, given.lengths, strict=True):
            noisy = torch.from_numpy(AudioReader(corpus / "train_noisy")[utt])
            write_wav(tmp_path / "x.wav", enhancer.enhance([noisy], stft)[0].numpy())
            written = torch.from_numpy(soundfile.read(tmp_path / "x.wav", dtype="float32")[0])
            expected = Fbank()(written)
            assert len(expected) == length
            # A few samples round otherwise; no more than all of them, each to one of its neighbours.
            neighbours = written + (torch.randint(0, 2, written.shape) * 2 - 1) / 32768
            error = float((Fbank()(neighbours) - expected).abs().max())
            torch.testing.assert_close(features[:length], expected, atol=error, rtol=0)
    quiet = 1e-6 * torch.randn(1, 8000)  # below the smallest step of 16 bits: a file would hold silence
    features, _ = joint.model.features(quiet, torch.tensor([8000]))
    assert torch.equal(features[0], Fbank()(torch.zeros(8000)))


def test_the_recognisers_loss_reaches_the_enhancer_when_that_is_not_frozen(joint):
    batch = joint.load(sorted(joint.lengths)[:3])
    for epoch, learns in ((1, False), (2, True)):
        joint.begin_epoch(epoch)
        assert joint.enhancer.training == learns and joint.recogniser.training
        joint.zero_grad()
        joint(batch, epoch)["loss"].backward()
        assert all((p.grad is not None) == learns for p in joint.enhancer.parameters())
        assert all(p.grad is not None for p in joint.recogniser.parameters())
    assert all(p.grad.abs().sum() > 0 for p in joint.enhancer.net.output.parameters())


def test_the_loss_of_an_utterance_does_not_depend_on_padding(corpus, tmp_path):
    joint, _ = build(corpus, "joint", tmp_path / "x", "--enhance_loss.spectral_weight", "1")
    joint.eval()
    batch = joint.load(sorted(joint.lengths)[:2])
    pad = torch.nn.functional.pad
    padded = batch._replace(noisy=pad(batch.noisy, (0, 3000)), clean=pad(batch.clean, (0, 3000)))
    torch.testing.assert_close(joint(padded, 1), joint(batch, 1))


def test_enhancement_losses_are_added_by_their_weights(corpus, tmp_path):
    results = []
    for spectral, mimic in (("0", "0"), ("2", "0"), ("2", "0.5")):
        extra = ["--enhance_loss.spectral_weight", spectral, "--enhance_loss.mimic_weight", mimic]
        joint, _ = build(corpus, "joint", tmp_path / "x", *extra)
        joint.eval()
        results.append(joint(joint.load(sorted(joint.lengths)[:3]), 1))
    asr, mse, both = results
    assert set(asr) == {"loss", "ctc", "attention"} and set(both) == {*asr, "spectral", "mimic"}
    torch.testing.assert_close(mse["loss"], asr["loss"] + 2 * mse["spectral"])
    torch.testing.assert_close(both["loss"], mse["loss"] + 0.5 * both["mimic"])
    assert both["mimic"] > 0


def test_pieces_of_a_batch_give_its_losses_and_its_gradient(corpus, tmp_path):
    extra = ["--enhance_loss.spectral_weight", "2", "--enhance_loss.mimic_weight", "0.5"]
    assert_pieces_are_the_batch(corpus, "joint", tmp_path, *extra)


def test_resumed_training_equals_the_undisturbed_run(corpus, tmp_path, monkeypatch):
    """Epoch 1 with a frozen enhancer, epochs 2 and 3 without; stopped inside each and between them."""
    run(corpus, "joint", tmp_path / "whole")
    run_and_kill(monkeypatch, 4, corpus, "joint", tmp_path / "cut")
    for file in ("model.pt", "enhancer/model.pt", "recogniser/model.pt"):
        assert_equal(checkpoint.load(tmp_path / "whole" / file), checkpoint.load(tmp_path / "cut" / file))
    logs = [[json.loads(line) for line in (tmp_path / d / "train_log.jsonl").open()] for d in ("whole", "cut")]
    assert logs[0] == logs[1]
    assert {"valid_loss", "valid_ter", "valid_wer", "valid_pesq", "valid_estoi"} <= set(logs[0][0])


def test_each_part_rests_until_its_epoch(corpus, tmp_path):
    """Enhancer and encoder keep their weights and their statistics; decoder and CTC output learn from the beginning."""
    extra = ["--data.unfreeze_epoch", "3", "--train.num_avg_ckpts", "3"]
    run(corpus, "joint", tmp_path / "x", *extra)
    start = {
        f"{name}.{key}": value
        for name, folder in (("enhancer", "exp_enhance"), ("recogniser", "exp_recogniser"))
        for key, value in checkpoint.load(corpus / folder / "model.pt").items()
    }
    weights = [start, *(checkpoint.load(f) for f in sorted((tmp_path / "x/weights").iterdir()))]
    for name in start:
        same = [torch.equal(a[name], b[name]) for a, b in itertools.pairwise(weights)]
        if name.startswith("enhancer."):
            assert same == [True, False, False], name
        elif name.startswith("recogniser.encoder."):
            assert same == [True, True, False], name
        elif not name.startswith("recogniser.normaliser."):
            assert same == [False, False, False], name


def test_steps_take_the_two_directories_that_it_writes(corpus, tmp_path):
    """train.sh, then enhance.sh, make_feats.sh and decode.sh on enhancer/ and recogniser/."""
    exp = tmp_path / "exp"

    def step(name: str, *words: str) -> None:
        done = run_program(f"steps/{name}.sh", *words)
        assert done.returncode == 0, done.stdout + done.stderr

    extra = ["--joint.mask_weight", "0.7", "--train.epochs", "1", "--enhance_loss.mimic_weight", "0.1"]
    step("train", "--num-threads", "1", f"{corpus}/joint.yaml", f"{exp}/joint", *overrides(corpus, "joint"), *extra)
    enhancer = load(exp / "joint/enhancer").net
    assert enhancer.config.weight == 0.7
    recogniser = load(exp / "joint/recogniser").net
    whole = checkpoint.load(exp / "joint/model.pt")
    parts = {"enhancer": enhancer, "recogniser": recogniser}
    assert_equal(whole, {f"{name}.{k}": v for name, part in parts.items() for k, v in part.state_dict().items()})
    options = ["--nj", "1"]
    ages = "".join(f"{line.split()[0]} adults\n" for line in (corpus / "dev_noisy/spk2utt").read_text().splitlines())
    (corpus / "dev_noisy/spk2age").write_text(ages)
    step("enhance", *options, f"{exp}/joint/enhancer", f"{corpus}/dev_noisy", f"{exp}/joint/enhancer/wav/dev")
    step("make_feats", *options, f"{exp}/joint/enhancer/wav/dev", f"{exp}/joint/enhancer/enhanced/dev")
    assert (exp / "joint/enhancer/enhanced/dev/spk2age").read_text() == ages
    step("decode", *options, f"{exp}/joint/recogniser", f"{exp}/joint/enhancer/enhanced/dev", f"{exp}/decode")
    assert len((exp / "decode/text").read_text().splitlines()) == 3


def test_what_is_missing_is_reported(corpus, tmp_path):
    with pytest.raises(UserError, match="give --data.init DIR and --joint.enhancer DIR"):
        build(corpus, "joint", tmp_path / "x", "--joint.enhancer", "")
    extra = ["--data.train_clean", "", "--enhance_loss.spectral_weight", "1"]
    with pytest.raises(UserError, match="give --data.train_clean DIR"):
        build(corpus, "joint", tmp_path / "x", *extra)
    with pytest.raises(UserError, match="the size of encoder.rnn"):
        build(corpus, "joint", tmp_path / "x", "--model.rnn_units", "5")
