"""Students that are pruned while they learn: gates, their constraint, and what is left when they are gone."""

import pytest
import torch
from ssl_maker import tiny, waveforms
from task_maker import DISTILL, build, make_noises, make_set, run
from tolerance import assert_near, of_network

from mimic.errors import UserError
from mimic.nets import ssl
from mimic.nets.pruned import Gates, PrunedConfig, PrunedStudent, remaining
from mimic.nets.ssl_files import write_directory

PRUNED = (
    DISTILL.replace("net: student", "net: pruned")
    .replace("layers: [1, 2, 3]", "layers: [0, 1, 2, 3]")
    .replace("enhance_weight: 0.5", "enhance_weight: 0")
    .replace("\n".join(DISTILL.splitlines()[3:5]), "model: {sparsity: 0.6, ramp_epochs: 1, gate_rate: 50}")
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("pruned")
    make_set(root, "train", "s1", 4)
    make_set(root, "dev", "s2", 2)
    make_noises(root)
    torch.save(tiny("group_norm").state_dict(), root / "teacher.pt")
    (root / "distill.yaml").write_text(PRUNED)
    return root


def student(path, **sizes) -> PrunedStudent:
    model = PrunedStudent(PrunedConfig(**sizes), ssl.load(path).requires_grad_(True), [0, 1, 2, 3], 128, False)
    draw = torch.Generator().manual_seed(3)
    for name, gates in model.gates.items():  # some wide open, some shut; of the first layer's heads all shut
        odds = torch.randn(len(gates.odds), generator=draw) * 8 - 2
        gates.odds.data = (odds.abs() * -1 - 6 if name == "heads0" else odds) / gates.rate
    return model


def count(net: torch.nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def test_what_is_left_gives_what_the_gated_student_gives_and_is_smaller(root, tmp_path):
    """Also after it was written and read; the count of its parameters is the expected one."""
    model = student(root / "teacher.pt").eval()
    left = model.pruned()
    zeros = {name: gates().count_nonzero() / len(gates.odds) for name, gates in model.gates.items()}
    assert zeros["heads0"] == 0.5 and min(zeros.values()) < 0.6  # a head stays, of two
    gone = count(model.encoder) - count(left)
    assert gone == pytest.approx(model.whole - float(remaining(model.encoder, zeros)))
    ssl_dir = tmp_path / "encoder"
    write_directory(left.net, left.normalise, ssl_dir)
    read = ssl.load(ssl_dir)
    assert count(read) == count(left)
    errors = of_network(model, lambda: dict(enumerate(model(waveforms(), [0, 1, 2, 3])[0])))
    expected, *others = (dict(enumerate(m(waveforms(), [0, 1, 2, 3])[0])) for m in (model, left, read))
    for got in others:
        assert_near(got, expected, errors)


def test_open_gates_change_nothing(root):
    model = student(root / "teacher.pt").eval()
    for gates in model.gates.values():
        gates.odds.data.fill_(100 / gates.rate)
    wanted, _ = ssl.load(root / "teacher.pt")(waveforms(), [1, 3])
    for got, state in zip(model(waveforms(), [1, 3])[0], wanted, strict=True):
        torch.testing.assert_close(got, state, atol=1e-5, rtol=1e-5)
    assert float(model.sparsity()) == pytest.approx(0, abs=1e-4)
    assert not model.pruned().net.feature_extractor.conv_layers[1].conv._forward_pre_hooks


def test_gates_are_drawn_with_the_probability_that_they_are_open():
    torch.manual_seed(1)
    gates = Gates(4000, 100.0)
    gates.odds.data.fill_(-0.01)
    share = (gates.train()() > 0).float().mean()
    assert float(share) == pytest.approx(float(gates.open().mean()), abs=0.03)
    assert int((gates.eval()() > 0).sum()) == round(float(gates.open().sum()))


def test_multipliers_climb_and_gates_close_until_the_wished_share_is_gone(root):
    model = student(root / "teacher.pt", sparsity=0.45, gate_rate=50.0)
    for gates in model.gates.values():
        gates.odds.data.fill_(3 / gates.rate)
    optimiser = torch.optim.Adam([model.multipliers, *model.gates.parameters()], lr=2e-3)
    gaps = []
    for _ in range(160):
        optimiser.zero_grad()
        model.penalty(1).backward()
        optimiser.step()
        gaps.append(abs(float(model.sparsity().detach()) - 0.45))
    assert gaps[0] > 0.4 and min(gaps[-80:]) < 0.03
    assert float(model.penalty(0)) != float(model.penalty(1))


def test_training_prunes_and_writes_what_is_left(root, tmp_path):
    run(root, "distill", tmp_path / "first", "--train.lr", "0.01", "--train.epochs", "1")
    left = ssl.load(tmp_path / "first/encoder")
    assert count(left) < count(ssl.load(root / "teacher.pt"))
    again = ("--model.prune", "[]", "--model.initial_encoder", str(tmp_path / "first/encoder"), "--train.epochs", "1")
    run(root, "distill", tmp_path / "second", *again)
    assert count(ssl.load(tmp_path / "second/encoder")) == count(left)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--model.groups", "[0, 1]"), r"model.groups \[0, 1\]: a number for each of teacher.layers"),
        (("--model.prune", "[layers]"), r"model.prune\[0\]: expected one of conv, heads, feedforward, got 'layers'"),
        (("--model.sparsity", "1.5"), "model.sparsity: 1.5 is out of its range: a number, above 0 and below 1"),
    ],
)
def test_what_cannot_be_pruned(root, tmp_path, words, message):
    with pytest.raises(UserError, match=message):
        build(root, "distill", tmp_path / "exp", *words)


def test_networks_that_cannot_be_pruned(tmp_path):
    for kind, message in (("wavlm", "a WavLM cannot be pruned"), ("layer_norm", "leave conv out of model.prune")):
        torch.save(tiny(kind).state_dict(), tmp_path / "teacher.pt")
        with pytest.raises(UserError, match=message):
            PrunedStudent(PrunedConfig(), ssl.load(tmp_path / "teacher.pt"), [0, 1, 2, 3], 128, False)
