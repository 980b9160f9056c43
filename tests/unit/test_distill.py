"""Distillation: the published sizes, what the loss counts, and what a trained student can be used for."""

import math

import pytest
import torch
from ssl_maker import tiny, waveforms
from task_maker import (
    DISTILL,
    assert_equal,
    assert_pieces_are_the_batch,
    build,
    make_noises,
    make_set,
    run,
    run_and_kill,
)

from mimic.errors import UserError
from mimic.io.archives import ArkWriter
from mimic.models.enhancer import Enhancer
from mimic.nets import ssl
from mimic.nets.student import EnhancementHead, Predictor, Student, StudentConfig, start_from_teacher
from mimic.tasks.config import read
from mimic.tasks.distill import compare
from mimic.training.config import TrainConfig
from mimic.training.optimiser import learning_rate


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("distill")
    make_set(root, "train", "s1", 5)
    make_set(root, "dev", "s2", 2)
    make_noises(root)
    torch.save(tiny("group_norm").state_dict(), root / "teacher.pt")
    (root / "distill.yaml").write_text(DISTILL)
    return root


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_published_sizes():
    three = Student(StudentConfig(), 3, 768, True, False)
    assert count(three.encoder) == 23_491_200
    assert count(three.encoder) + count(three.predictor) == 27_034_752
    assert count(three.encoder) + count(Predictor(768, 768, 2)) == 25_853_568
    assert count(three.head) == 4_862_721
    assert int(three.encoder.num_frames(torch.tensor(16000))) == 49


def test_published_settings():
    config = read("conf/distill.yaml", ["--teacher.path", "x"])
    rate = [learning_rate(config.train, 1, step, 200_000) for step in (6_999, 14_000, 107_000, 200_000)]
    assert rate == pytest.approx([1e-4, 2e-4, 1e-4, 0.0])
    assert config.train.weight_decay == 0.01 and config.loss.enhance_weight == 2.0
    assert learning_rate(TrainConfig(lr=1.0, schedule="linear"), 1, 0, 2) == 1.0


@pytest.mark.parametrize("kind", ["group_norm", "wavlm"])
def test_student_begins_with_the_weights_of_the_teacher(kind, tmp_path):
    torch.save(tiny(kind).state_dict(), tmp_path / "teacher.pt")
    teacher = ssl.load(tmp_path / "teacher.pt")
    sizes = {"units": 128, "heads": 2, "feedforward": 24, "channels": 16, "position_kernel": 16, "position_groups": 4}
    student = Student(StudentConfig(**sizes), 3, 128, False, False).eval()
    assert start_from_teacher(student.encoder, teacher) == []
    here, there = student.encoder.net.encoder.transformer.layers[1], teacher.net.encoder.transformer.layers[1]
    assert torch.equal(here.feed_forward.output_dense.weight, there.feed_forward.output_dense.weight)
    if kind == "wavlm":
        assert torch.equal(here.attention.k_proj.weight, there.attention.attention.in_proj_weight[128:256])
    else:
        x = torch.randn(1, 20, 128)
        torch.testing.assert_close(here(x)[0], there(x)[0])
    other = Student(StudentConfig(**sizes | {"feedforward": 32}), 3, 128, False, False)
    with pytest.raises(UserError, match=r"32.* in the student and .*24.* in the teacher: take its sizes"):
        start_from_teacher(other.encoder, teacher)


def test_losses_count_the_frames_that_both_sides_have_and_nothing_else():
    draw = torch.Generator().manual_seed(1)
    predictions = [torch.randn(2, 7, 4, generator=draw) for _ in range(2)]
    wanted = [torch.randn(2, 6, 4, generator=draw) for _ in range(2)]
    parts = compare(predictions, wanted, torch.tensor([6, 3]))
    l1, cosine = [], []
    for a, b in zip(predictions, wanted, strict=True):
        for row, frame in [(0, i) for i in range(6)] + [(1, i) for i in range(3)]:
            x, y = a[row, frame], b[row, frame]
            l1.append(float((x - y).abs().mean()))
            cosine.append(math.log(1 + math.exp(-float(x @ y / (x.norm() * y.norm())))))
    assert float(parts["l1"]) == pytest.approx(sum(l1) / len(l1), rel=1e-5)
    assert float(parts["cosine"]) == pytest.approx(sum(cosine) / len(cosine), rel=1e-5)


@pytest.mark.parametrize("enhance", ["l1", "l2", "stft", "si_sdr"])
def test_loss_does_not_depend_on_padding(root, tmp_path, enhance):
    """A batch gives the mean of what its utterances give alone; the input of the teacher is clean speech."""
    where = "last" if enhance == "l2" else "conv"
    options = ("--loss.enhance", enhance, "--augment.crop_s", "0", "--model.head_input", where)
    task, _ = build(root, "distill", tmp_path / "exp", *options)
    task.eval()
    utts = sorted(task.lengths)[:3]
    batch = task.load(utts)
    assert not torch.equal(batch.noisy, batch.clean)
    together, sizes = task.parts(batch), task.sizes(batch)
    single = [(task.parts(task.load([utt])), task.sizes(task.load([utt]))) for utt in utts]
    for name, value in together.items():
        mean = sum(float(parts[name]) * size[name] for parts, size in single) / sizes[name]
        assert float(value) == pytest.approx(mean, rel=1e-4), name
    received = []
    task.teacher.register_forward_pre_hook(lambda _, args: received.append(args[0]))
    task.parts(batch)
    assert all(torch.equal(a, b[: len(a)]) for a, b in zip(received[0], batch.clean, strict=True))
    together["enhance"].backward()
    assert task.model.head.output.weight.grad.abs().sum() > 0


def test_pieces_of_a_batch_add_up(root, tmp_path):
    assert_pieces_are_the_batch(root, "distill", tmp_path, "--augment.crop_s", "0")


def test_known_targets_are_what_the_teacher_says(root, tmp_path):
    plain = ("--augment.crop_s", "0")
    task, _ = build(root, "distill", tmp_path / "asked", *plain)
    task.eval()
    folder = tmp_path / "targets"
    folder.mkdir()
    with ArkWriter(folder / "feats.ark", folder / "feats.scp") as writer:
        for utt in sorted(task.lengths):
            states, _ = task.teacher([torch.from_numpy(task.augmenter.speech[utt].copy())], [1, 2, 3])
            writer.write(utt, torch.cat(states, 2)[0].numpy())
    known, _ = build(root, "distill", tmp_path / "known", *plain, "--data.targets", str(folder))
    known.eval()
    utts = sorted(task.lengths)[1:4]
    for name, value in task.parts(task.load(utts)).items():
        assert float(known.parts(known.load(utts))[name]) == pytest.approx(float(value), rel=1e-3), name
    with pytest.raises(UserError, match="data.targets stay the same in every epoch"):
        build(root, "distill", tmp_path / "bad", "--data.targets", str(folder))
    with pytest.raises(UserError, match="is it of this teacher and these layers"):
        other = ("--teacher.layers", "[1, 2]")
        build(root, "distill", tmp_path / "bad", *plain, *other, "--data.targets", str(folder))[0].load(utts)


def test_resumed_training_ends_with_the_same_weights_of_student_and_heads(root, tmp_path, monkeypatch):
    undisturbed = run(root, "distill", tmp_path / "undisturbed")
    assert {"head.output.weight", "predictor.shared.weight"} <= undisturbed.keys()
    assert_equal(undisturbed, run_and_kill(monkeypatch, 4, root, "distill", tmp_path / "killed"))


def test_exported_student_is_read_by_us_and_by_transformers(root, tmp_path):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    run(root, "distill", tmp_path / "exp", "--train.epochs", "1")
    enhancer = Enhancer.load(tmp_path / "exp")
    model, stft = enhancer.net, enhancer.front
    encoder = ssl.load(tmp_path / "exp/encoder")
    assert encoder.num_layers == 2 and model.num_layers == 5
    peer = transformers.HubertModel.from_pretrained(tmp_path / "exp/encoder").eval()
    for waveform in waveforms():
        states, _ = model([waveform], [0, 1, 2, 4])
        expected = peer(waveform[None], output_hidden_states=True).hidden_states
        for state, read_back, wanted in zip(states[:3], encoder([waveform], [0, 1, 2])[0], expected, strict=True):
            assert torch.equal(state, read_back)
            torch.testing.assert_close(state, wanted, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(states[3], model.predict([waveform]).predictions[1])
    from mimic.deploy.onnx import export  # here: it loads much

    assert export(tmp_path / "exp", tmp_path / "onnx") < 1e-4
    (enhanced,) = model.enhance(waveforms()[:1], stft)
    assert enhanced.shape == waveforms()[0].shape and torch.isfinite(enhanced).all()


def test_teacher_drops_only_where_that_is_asked_for(root, tmp_path):
    for dropout, same in ((0.0, True), (0.1, False)):
        task, _ = build(root, "distill", tmp_path / "exp", "--teacher.dropout", str(dropout))
        task.begin_epoch(1)
        a, b = (task.teacher(waveforms()[:1], [3])[0][0] for _ in range(2))
        assert torch.equal(a, b) == same and not any(p.requires_grad for p in task.teacher.parameters())
        task.eval()
        assert not task.teacher.training


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--teacher.path", "nowhere"), "--teacher.path nowhere: expected a file of weights or a directory"),
        (("--teacher.layers", "[3, 4]"), r"teacher.layers \[3, 4\]: .* has 0 to 3"),
        (("--model.head_input", "first"), "model.head_input: expected one of conv, last, got 'first'"),
        (("--model.heads", "3"), "heads and position_groups have to divide units"),
    ],
)
def test_what_cannot_be_distilled(root, tmp_path, words, message):
    with pytest.raises(UserError, match=message):
        build(root, "distill", tmp_path / "exp", *words)


def test_head_stands_still_after_the_last_frame_of_the_student():
    head = EnhancementHead(4, units=3, layers=1, dropout=0.0).eval()
    states = torch.randn(1, 3, 4)
    mask = head(states, torch.tensor([3]), 9, torch.tensor([9]))
    assert mask.shape == (1, 9, 257) and float(mask.min()) > 0 and float(mask.max()) < 1
