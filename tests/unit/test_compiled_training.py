"""The compiled parts of training steps give what torch gives, for any sizes and any number of threads."""

import shutil
import sys
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mimic.nets import gru
from mimic.nets.attention import attend
from mimic.nets.cnn_transformer import CnnTransformer, CnnTransformerConfig
from mimic.nets.compiled import kernel
from mimic.nets.fast import FastConfig, FastMask
from mimic.nets.gtcrn import Gtcrn, GtcrnConfig
from mimic.nets.norm_silu import norm_silu

WITHOUT = torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512")
pytestmark = pytest.mark.skipif(WITHOUT or shutil.which("c++") is None, reason="no compiler, or no AVX2")
SMALL: dict = {"channels": 8, "units": 8, "positions": 8}
EPS = torch.finfo(torch.float32).eps


@pytest.fixture
def no_library(monkeypatch):
    monkeypatch.setattr(kernel, "library", lambda: None)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def close(found: Tensor, wanted: Tensor, additions: int) -> None:
    """Of sums of so many terms, each rounded; and a sigmoid that is right to three units of the last place."""
    scale = wanted.abs().max().item() + 1e-30
    torch.testing.assert_close(found.double(), wanted.double(), rtol=0, atol=scale * EPS * (8 + additions**0.5))


def by_torch(layer: nn.GRU, x: Tensor, lengths: list[int], backwards: bool) -> Tensor:
    """x (real frames, positions, inputs), utterance by utterance."""
    y = []
    for part in x.split([length for length in lengths if length]):
        part = part.flip(0) if backwards else part
        y.append(layer(part)[0].flip(0) if backwards else layer(part)[0])
    return torch.cat(y)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("inputs,units,positions", [(20, 20, 16), (36, 36, 24), (1, 1, 1), (5, 17, 9), (64, 33, 8)])
def test_a_recurrence_and_its_gradient_are_those_of_torch(inputs, units, positions, backwards, threads):
    torch.manual_seed(units)
    layer, lengths = nn.GRU(inputs, units), [7, 12, 12, 1, 0]
    x, grad = torch.randn(sum(lengths), positions, inputs), torch.randn(sum(lengths), positions, units)
    exact, exact_x = deepcopy(layer).double(), x.double().requires_grad_()
    wanted = by_torch(exact, exact_x, lengths, backwards)
    wanted.backward(grad.double())
    sequences = gru.Sequences.over_frames(torch.tensor(lengths), positions)
    results = []
    for number in (1, 3):
        threads(number)
        layer.zero_grad(), x.requires_grad_(), setattr(x, "grad", None)
        assert gru.pays(layer, x)
        y = gru.recur(layer, x, sequences, backwards)
        y.backward(grad)
        assert x.grad is not None
        results.append([y.detach(), x.grad, *(deepcopy(p.grad) for p in layer.parameters())])
    size = 12 * (inputs + 3 * units)
    close(y, wanted, size)
    close(x.grad, exact_x.grad, size)
    for found, parameter in zip(layer.parameters(), exact.parameters(), strict=True):
        close(found.grad, parameter.grad, size * sum(lengths) * positions)
    assert all(torch.equal(a, b) for a, b in zip(*(result[:2] for result in results), strict=True))


def test_what_the_library_does_not_have_is_left_to_torch(monkeypatch):
    x = torch.randn(3, 4, 20)
    assert gru.pays(nn.GRU(20, 20), x)
    assert not gru.pays(nn.GRU(20, 20, num_layers=2), x) and not gru.pays(nn.GRU(20, 20, bias=False), x)
    assert not gru.pays(nn.GRU(20, 65), x) and not gru.pays(nn.GRU(20, 20), x.double())
    assert not gru.pays(nn.GRU(20, 20).double(), x) and not gru.pays(nn.GRU(21, 20), x)
    with torch.no_grad():
        assert not gru.pays(nn.GRU(20, 20), x)


def test_sequences_that_are_not_those_of_the_array_are_refused():
    net, x = FastMask(65, FastConfig(**SMALL)), torch.randn(2, 20, 2, 65)
    with pytest.raises(ValueError, match="sequences of 960 steps in 320 rows"):
        net(x, torch.tensor([100, 20]))
    net(x, torch.tensor([20, 17], dtype=torch.int32))


def channels_last(frames: int, channels: int, positions: int, dtype: torch.dtype) -> Tensor:
    x = torch.randn(frames, channels, 1, positions) * 3 + (torch.arange(channels) % 5).view(-1, 1, 1)
    return x.to(dtype).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("frames,channels,positions", [(60, 24, 64), (37, 20, 3), (3, 1, 1), (700, 17, 5), (2, 48, 24)])
def test_normalisation_with_silu_is_that_of_torch(frames, channels, positions, dtype, threads):
    torch.manual_seed(channels)
    norm = nn.BatchNorm2d(channels)
    nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    x, grad = (channels_last(frames, channels, positions, dtype) for _ in range(2))
    exact, exact_x = deepcopy(norm).double(), x.double().requires_grad_()
    wanted = F.silu(exact(exact_x))
    wanted.backward(grad.double())
    results = []
    for number in (1, 3):
        threads(number)
        one, leaf = deepcopy(norm), x.clone().requires_grad_()
        y = norm_silu(one, leaf)
        assert y.dtype is dtype and y.is_contiguous(memory_format=torch.channels_last)
        y.backward(grad)
        assert leaf.grad is not None
        results.append([y.detach(), leaf.grad, one.weight.grad, one.bias.grad])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    assert one.num_batches_tracked == 1
    torch.testing.assert_close(one.running_mean.double(), exact.running_mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(one.running_var.double(), exact.running_var, rtol=1e-5, atol=1e-6)
    rows = frames * positions
    if dtype is torch.float32:
        close(y, wanted, rows), close(leaf.grad, exact_x.grad, rows)
    else:  # an 8-bit mantissa
        torch.testing.assert_close(y.double(), wanted, rtol=2**-8, atol=1e-4)
        atol = 1e-3 * exact_x.grad.abs().max().item()
        torch.testing.assert_close(leaf.grad.double(), exact_x.grad, rtol=2**-8, atol=atol)
    close(one.weight.grad, exact.weight.grad, rows), close(one.bias.grad, exact.bias.grad, rows)


def attended(projected: Tensor, bias: Tensor, grad: Tensor, p: float = 0.1) -> list[Tensor]:
    """Output and gradient, with the same random numbers each time."""
    torch.manual_seed(5)
    leaf = projected.clone().requires_grad_()
    y = attend(leaf, bias.to(leaf.dtype), p)
    y.backward(grad.to(leaf.dtype))
    assert leaf.grad is not None
    return [y.detach(), leaf.grad]


SIZES = [(2, 70, 3, 20), (1, 1, 1, 1), (3, 33, 2, 32), (1, 117, 2, 64), (2, 40, 2, 13), (2, 64, 4, 8), (1, 31, 1, 88)]


@pytest.mark.parametrize("batch,frames,heads,size", SIZES)
def test_attention_and_its_gradient_are_those_of_torch(batch, frames, heads, size, threads):
    torch.manual_seed(size)
    projected, grad = torch.randn(batch, frames, 3, heads, size), torch.randn(batch, frames, heads, size)
    bias = torch.zeros(batch, 1, 1, frames)
    bias[-1, ..., frames - frames // 3 :] = -torch.inf
    if frames > 50:
        bias[0, ..., 7] = -torch.inf  # and no padding
        bias[0, ..., 9] = 2.5
    wanted, wanted_gradient = attended(projected.double(), bias, grad)
    results = []
    for number in (1, 3):
        threads(number)
        results.append(attended(projected, bias, grad))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    found, gradient = results[0]
    assert found.shape == (batch, frames, heads, size) and (gradient[-1, frames - frames // 3 :, 1:] == 0).all()
    close(found, wanted, frames + size)  # weights are at most one, whose sum is one
    close(gradient, wanted_gradient, 2 * frames + 2 * size)


def test_attention_that_the_library_does_not_have_is_left_to_torch(monkeypatch):
    projected, grad = torch.randn(2, 9, 3, 2, 4), torch.randn(2, 9, 2, 4)
    bias = torch.zeros(2, 1, 1, 9)
    used: list[str] = []
    real = kernel.call
    monkeypatch.setattr(kernel, "call", lambda name, *rest: (used.append(name), real(name, *rest))[1])
    attended(projected, bias.expand(2, 1, 9, 9), grad), attended(projected, bias, grad, 0.0)
    attended(projected.bfloat16(), bias, grad)
    with torch.no_grad():
        attend(projected, bias, 0.1)
    assert not used
    attended(projected, bias, grad)
    assert used == ["attention_forward", "attention_backward"]


def test_attention_passes_on_what_is_no_number_and_takes_large_scores():
    projected, grad, bias = torch.randn(2, 40, 3, 1, 8), torch.randn(2, 40, 1, 8), torch.zeros(2, 1, 1, 40)
    assert all(part.isfinite().all() for part in attended(projected * 1e3, bias, grad))
    projected[0, 3, 1] = torch.nan  # a key of one utterance
    y, gradient = attended(projected, bias, grad)
    assert (
        y[0].isnan().all()
        and gradient[0, :, 0].isnan().all()
        and y[1].isfinite().all()
        and gradient[1].isfinite().all()
    )
    bias[0] = -torch.inf  # nothing to see
    assert attended(projected, bias, grad)[0][0].isnan().all()


def test_large_values_and_what_is_no_number_pass_as_in_torch(no_library, monkeypatch):
    norm = nn.BatchNorm2d(4)
    x = channels_last(50, 4, 8, torch.float32) * 1e6
    wanted = norm_silu(norm, x)
    monkeypatch.undo()
    torch.testing.assert_close(norm_silu(norm, x), wanted, rtol=1e-5, atol=1e-5)
    norm.weight.data.fill_(1e4)  # where float32 has e^-z = 0 and infinite
    assert norm_silu(norm, x).isfinite().all()
    x[3, 2, 0, 5] = torch.nan
    assert norm_silu(norm, x).isnan().any(dim=(0, 2, 3)).tolist() == [False, False, True, False]
    layer = nn.GRU(3, 3)
    rows = torch.randn(6, 2, 3)
    rows[1, 0, 0] = torch.nan
    y = gru.recur(layer, rows, gru.Sequences.over_frames(torch.tensor([3, 3]), 2))
    assert y.isnan().any(2).tolist() == [[False, False], [True, False], [True, False]] + [[False, False]] * 3
    rows[1, 0, 0] = 1e30
    assert gru.recur(layer, rows, gru.Sequences.over_frames(torch.tensor([3, 3]), 2)).isfinite().all()


def test_in_inference_the_running_statistics_count():
    norm = nn.BatchNorm2d(4)
    norm(channels_last(9, 4, 5, torch.float32))
    norm.eval()
    x = channels_last(9, 4, 5, torch.float32)
    assert torch.equal(norm_silu(norm, x), F.silu(norm(x))) and norm.num_batches_tracked == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: FastMask(65, FastConfig(**SMALL)),
        lambda: FastMask(65, FastConfig(**SMALL, bidirectional=True)),
        lambda: Gtcrn(65, GtcrnConfig(channels=8, low=9, bands=20)),
        lambda: CnnTransformer(130, CnnTransformerConfig([16], 2, 2, 32)),
    ],
    ids=["fast", "bidirectional", "gtcrn", "transformer"],
)
def test_a_network_trains_as_without_a_compiler(make, monkeypatch):
    torch.manual_seed(1)
    net = make()
    other, exact = deepcopy(net), deepcopy(net).double()
    x, grad, lengths = torch.randn(3, 20, 2, 65), torch.randn(3, 20, 2, 65), torch.tensor([20, 20, 13])
    if isinstance(net, CnnTransformer):
        x, grad = x.flatten(2), grad.flatten(2)
    results = []
    for one in (net, other, exact):
        torch.manual_seed(2)  # of dropout
        if one is other:
            monkeypatch.setattr(kernel, "library", lambda: None)
        kind = next(one.parameters()).dtype
        y = one(x.to(kind), lengths)
        y.backward(grad.to(kind))
        results.append([y.detach()] + [p.grad for p in one.parameters() if p.grad is not None])
    for found, too, right in zip(*results, strict=True):
        allowed = 3 * (too.double() - right).abs().max().item() + 1e-5 * right.abs().max().item() + 1e-6
        assert (found.double() - right).abs().max().item() <= allowed


def test_without_a_compiler_one_line_says_so(tmp_path, monkeypatch, caplog):
    kernel.library.cache_clear()
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("PATH", str(tmp_path))
    x = torch.randn(2, 3, 4)
    assert not gru.pays(nn.GRU(4, 4), x) and not gru.pays(nn.GRU(4, 4), x)
    (line,) = caplog.messages
    assert line == "training runs in torch alone, slower: there is no C++ compiler (apt install g++)"
    kernel.library.cache_clear()
