"""Products of matrices are torch's, whichever library makes them."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mimic.nets import products
from mimic.nets.macs import macs_per_frame
from mimic.nets.products import Linear, adopt, linear

EPS = torch.finfo(torch.float32).eps


@pytest.fixture(autouse=True)
def narrow_too(monkeypatch):
    """Small matrices show what large ones would."""
    monkeypatch.setattr(products, "NARROW", 0)


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


@pytest.mark.parametrize(
    ("x", "weight", "bias"),
    [
        (draw(9000, 40), draw(2, 70, 40), None),
        (draw(9000, 40), draw(40), None),
        (draw(9000, 40), draw(70, 40), draw(71)),
        (draw(9000, 40), draw(70, 40), draw(1)),
        (draw(9000, 40), draw(70, 40), draw(70).double()),
        (draw(900, 40).to_sparse(), draw(70, 40), None),
    ],
    ids=["three axes", "one axis", "long bias", "short bias", "float64 bias", "sparse"],
)
def test_what_is_no_plain_product_is_torchs_and_so_are_its_errors(x, weight, bias):
    results = []
    for function in (F.linear, lambda *parts: linear(*parts, faster=True)):
        try:
            results.append(function(x, weight, bias))
        except RuntimeError as error:
            results.append(str(error))
    if isinstance(results[0], str):
        assert results[0] == results[1]
    else:
        torch.testing.assert_close(*results)


@pytest.mark.parametrize("bias", [draw(140)[::2], draw(1).expand(70)], ids=["every other", "one in many places"])
def test_a_bias_with_gaps(bias):
    x, weight = SHAPES["rows"]
    torch.testing.assert_close(linear(x, weight, bias, faster=True), F.linear(x, weight, bias))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_network_and_an_exported_one_have_torchs_products(monkeypatch):
    monkeypatch.setattr(products.linear, "__defaults__", (None, True))
    net = Linear(40, 70)
    x = SHAPES["rows"][0]
    wanted = net(x)
    compiled = torch.compile(net, dynamic=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), wanted)
    exported = torch.export.export(net, (x,), dynamic_shapes=({0: torch.export.Dim("n", min=2)},))
    assert "mkldnn" not in str(exported.graph) and "linear" in str(exported.graph)


def test_a_layer_with_a_forward_of_its_own_is_not_adopted():
    class Double(nn.Linear):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(input)

    net = nn.Sequential(Double(3, 4), nn.Linear(4, 2))
    adopt(net)
    assert [type(layer) for layer in net] == [Double, Linear]


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


def test_narrow_weights_are_left_to_torch(monkeypatch):
    called = []
    monkeypatch.setattr(products, "product", lambda *args: called.append(args[1].shape) or F.linear(*args))
    monkeypatch.setattr(products, "NARROW", 70 * 40)
    x = draw(900, 40)
    linear(x, draw(70, 40), faster=True)
    linear(x, draw(69, 40), faster=True)
    assert called == [(70, 40)]
