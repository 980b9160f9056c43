"""Products of matrices are torch's, whichever library makes them."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mimic.nets import products
from mimic.nets.macs import macs_per_frame
from mimic.nets.products import Linear, adopt, linear

EPS = torch.finfo(torch.float32).eps


def draw(*sizes: int) -> torch.Tensor:
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(sum(sizes)))


SHAPES = {
    "rows": (draw(900, 40), draw(70, 40)),
    "utterances": (draw(3, 500, 40), draw(70, 40)),
    "transposed": (draw(40, 900).t(), draw(40, 70).t()),
    "one row in many places": (draw(1, 40).expand(900, 40), draw(70, 1).expand(70, 40)),
    "overlapping": (draw(9000).as_strided((900, 40), (8, 1)), draw(70, 40)),
    "every other": (draw(1800, 80)[::2, ::2], draw(140, 80)[::2, ::2]),
    "gaps between rows": (draw(900, 120)[:, 40:80], draw(70, 120)[:, :40]),
    "one output": (draw(40000, 40), draw(1, 40)),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("biased", [True, False])
def test_values_and_gradients_are_those_of_exact_arithmetic(shape, biased):
    x, weight = (value.clone(memory_format=torch.preserve_format).requires_grad_() for value in SHAPES[shape])
    assert x.numel() * len(weight) >= products.SMALL
    bias = draw(len(weight)).requires_grad_() if biased else None
    inputs = [value for value in (x, weight, bias) if value is not None]
    out = linear(x, weight, bias, faster=True)
    grad = draw(*out.shape)
    found = torch.autograd.grad(out, inputs, grad)

    exact = [value.detach().double().requires_grad_() for value in inputs]
    wanted = F.linear(*exact)
    size = F.linear(*(value.abs() for value in exact))
    # A sum of n products errs by at most n roundings of the sum of their absolute values.
    assert ((out - wanted).abs() <= (x.shape[-1] + 1) * EPS * size).all()
    sizes = torch.autograd.grad(size, exact, grad.double().abs())
    rows = grad[..., 0].numel()
    terms = (len(weight), rows, rows)
    for a, b, c, n in zip(found, torch.autograd.grad(wanted, exact, grad.double()), sizes, terms, strict=False):
        assert ((a - b).abs() <= (n + 1) * EPS * c.abs()).all()


@pytest.mark.filterwarnings("ignore:.*jit.trace:DeprecationWarning")
def test_other_types_and_modes_are_left_to_torch(monkeypatch):
    def never(*_):
        raise AssertionError("not for oneDNN")

    monkeypatch.setattr(products, "product", never)
    x, weight = SHAPES["rows"]
    assert linear(x.double(), weight.double(), faster=True).dtype is torch.float64
    assert linear(x[:2], weight, faster=True).shape == (2, 70)
    assert linear(x[:0], weight, faster=True).shape == (0, 70)
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(x, weight, faster=True).dtype is torch.bfloat16
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        linear(x, weight.t(), faster=True)
    traced = torch.jit.trace(lambda y: linear(y, weight, faster=True), (x,), check_trace=False)
    assert "aten::linear" in str(traced.graph)


def test_layers_of_others_are_adopted_with_their_parameters():
    net = nn.TransformerEncoderLayer(16, 2, 32)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    adopt(net)
    assert {type(m) for m in net.modules() if isinstance(m, nn.Linear)} == {Linear}
    after = net.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


def test_multiplications_are_counted(monkeypatch):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = Linear(2 * 40, 70)

        def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
            return self.layer(x.flatten(2))

    monkeypatch.setattr(products.linear, "__defaults__", (None, True))
    assert macs_per_frame(Net(), 40, 400) == 2 * 40 * 70
