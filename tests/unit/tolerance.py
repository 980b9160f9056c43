"""How far rounding takes two ways of computing the same apart, on any processor and with any number of threads.

A processor, a library and a number of threads each sum in an order of their own, some with fused multiplications; so a
test that compares floats takes its tolerance from the computation:

- `of_sums` where what is compared is a sum (a product of matrices, a convolution, a mean, a filterbank),
- `of_network` where it is what comes out of layers and layers, or their gradient.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

FLIPS = 3  # how often all weights are rounded otherwise
MARGIN = 32.0  # layers round at each of their steps, flipped weights once; and the largest of so few draws is no bound


def of_sums(terms: int, size: float, dtype: torch.dtype = torch.float32) -> float:
    """Two sums of the same so many terms, whose absolute values sum up to `size`, differ by no more than this.

    Each addition and each product rounds by half an eps of at most `size`: a sum is off by terms * eps * size at most
    (Higham, Accuracy and stability of numerical algorithms, section 3.1), and there are two of them.
    """
    return 2 * terms * torch.finfo(dtype).eps * size


def of_network(module: nn.Module, evaluate: Callable[[], Mapping[str, Tensor]]) -> dict[str, float]:
    """What `evaluate` gives by names may differ by no more than these, whichever way its sums are computed.

    Measured: each weight goes one eps up or down, by a coin, which changes all sums as rounding them does, wherever the
    computation makes little errors large or steps over a threshold. `evaluate` uses `module`, and gives the same when
    it is called again.
    """
    before = {name: value.clone() for name, value in module.state_dict().items()}
    exact = {name: value.detach().clone() for name, value in evaluate().items()}
    errors = {name: torch.finfo(value.dtype).eps * float(value.abs().max()) for name, value in exact.items()}
    draw = torch.Generator().manual_seed(0)
    for _ in range(FLIPS):
        with torch.no_grad():
            for parameter in module.parameters():
                coins = torch.randint(0, 2, parameter.shape, generator=draw) * 2 - 1
                parameter.mul_(1 + torch.finfo(parameter.dtype).eps * coins)
        for name, value in evaluate().items():
            errors[name] = max(errors[name], float((value.detach() - exact[name]).abs().max()))
        module.load_state_dict(before)
    return {name: MARGIN * error for name, error in errors.items()}


def assert_near(a: Mapping[str, Tensor], b: Mapping[str, Tensor], errors: Mapping[str, float]) -> None:
    """By names, within the errors of `of_network`."""
    assert a.keys() == b.keys() == errors.keys()
    for name, error in errors.items():
        torch.testing.assert_close(a[name], b[name], atol=error, rtol=0, msg=lambda text, name=name: f"{name}: {text}")
