"""Mimic loss in the training of an enhancer, on a tiny corpus of random features."""

from pathlib import Path

import pytest
import torch
from task_maker import (
    assert_equal,
    build,
    enhanced_alone_as_together,
    make_mimic_corpus,
)

from mimic.errors import UserError
from mimic.tasks.enhance import Batch, EnhanceTask
from mimic.training.step import set_seed


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return make_mimic_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture
def enhance(corpus, tmp_path) -> EnhanceTask:
    return build(corpus, "enhance", tmp_path / "enhance")[0]


def test_mimic_loss_is_zero_for_clean_and_more_otherwise(enhance):
    enhance.train()
    batch = enhance.load(sorted(enhance.lengths)[:3])
    assert float(enhance.losses.mimic(batch.clean, batch.clean, batch.lengths)) == 0.0
    assert float(enhance.losses.mimic(batch.noisy, batch.clean, batch.lengths)) > 0.0


def test_the_mimic_weight_rises_over_epochs(corpus, tmp_path):
    task, _ = build(corpus, "enhance", tmp_path / "x", "--loss.mimic_weight", "0.6", "--loss.mimic_rise", "3")
    weights = [task.losses.weights_at(epoch)["mimic"] for epoch in range(5)]
    assert weights == pytest.approx([0.6, 0.2, 0.4, 0.6, 0.6])  # epoch 0: validation, comparable between epochs
    batch = task.eval().load(sorted(task.lengths)[:3])  # both epochs without dropout
    first, last = (task(batch, epoch) for epoch in (1, 3))
    assert (last["loss"] - first["loss"]).item() == pytest.approx(0.4 * last["mimic"].item(), rel=1e-4)


@pytest.mark.parametrize("layer", ["cnn", "rnn", "dnn", "logits"])
@pytest.mark.parametrize("distance", ["mse", "l1", "cosine"])
def test_mimic_gradient_reaches_the_enhancer_and_changes_nothing_else(corpus, tmp_path, layer, distance):
    extra = ["--loss.mimic_layer", layer, "--loss.mimic_distance", distance]
    task, _ = build(corpus, "enhance", tmp_path / "x", *extra)
    before = {name: value.clone() for name, value in task.losses.perceptual.state_dict().items()}
    task.train()
    assert task.model.training and not any(m.training for m in task.losses.perceptual.modules())
    batch = task.load(sorted(task.lengths)[:3])
    enhanced = task.model(batch.noisy, batch.lengths)
    task.losses.mimic(enhanced, batch.clean, batch.lengths).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in task.model.net.output.parameters())
    assert all(p.grad is None for p in task.losses.perceptual.parameters())
    assert_equal(before, task.losses.perceptual.state_dict())


def test_losses_leave_padding_out(enhance):
    enhance.eval()
    utterances = sorted(enhance.lengths)[:2]
    batch = enhance.load(utterances)
    padded = Batch(*(torch.nn.functional.pad(x, (0, 0, 0, 9), value=5.0) for x in batch[:2]), batch.lengths)
    torch.testing.assert_close(enhance(padded, 1)["loss"], enhance(batch, 1)["loss"])


def test_without_mimic_only_that_term_is_gone(corpus, tmp_path):
    results = {}
    for weight in ("0.15", "0"):
        task, _ = build(corpus, "enhance", tmp_path / weight, "--loss.mimic_weight", weight)
        task.train()
        batch = task.load(sorted(task.lengths)[:3])
        set_seed(1, 0)
        results[weight] = task(batch, 1)
    full, plain = results["0.15"], results["0"]
    assert torch.equal(full["spectral"], plain["spectral"]) and "mimic" not in plain
    torch.testing.assert_close(full["loss"], plain["loss"] + 0.15 * full["mimic"])


def test_enhanced_waveforms_keep_their_lengths_and_do_not_depend_on_the_batch(enhance):
    enhanced_alone_as_together(enhance.model.eval(), enhance.stft, (1, 200, 4097, 8000, 8255))


def test_training_on_a_few_utterances_of_the_set(corpus, tmp_path):
    everything, few = (
        sorted(build(corpus, "enhance", tmp_path / n, "--data.train_utterances", n)[0].lengths) for n in ("0", "3")
    )
    assert len(everything) > 6 and len(few) == 3 and few[0] == everything[0] and few[2] in everything[-3:]
    many = build(corpus, "enhance", tmp_path / "many", "--data.train_utterances", "1000")[0]
    assert sorted(many.lengths) == everything


def test_mimic_without_perceptual_model_says_what_to_do(corpus, tmp_path):
    with pytest.raises(UserError, match="--loss.perceptual DIR"):
        build(corpus, "enhance", tmp_path / "x", "--loss.perceptual", "")
