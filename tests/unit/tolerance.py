"""How far rounding takes two ways of computing the same apart, on any processor and with any number of threads.

A processor, a library and a number of threads each sum in an order of their own, some with fused multiplications; so a
test that compares floats takes its tolerance from the computation:

- `of_sums` where what is compared is a sum (a product of matrices, a convolution, a mean, a filterbank),
- `of_network` where it is what comes out of layers and layers, or their gradient,
- `of_front_end` where it is features of samples: the logarithm makes the errors of quiet bands large.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

FLIPS = 3  # how often all weights are rounded otherwise
# Layers round at each of their steps, flipped weights once; and the largest of so few draws is not a bound.
MARGIN = 32.0


def of_sums(terms: int, size: float, dtype: torch.dtype = torch.float32) -> float:
    """Two sums of the same so many terms, whose absolute values sum up to `size`, differ by no more than this.

    Each addition and each product rounds by half an eps of at most `size`: a sum is off by terms * eps * size at most
    (Higham, Accuracy and stability of numerical algorithms, section 3.1), and there are two of them.
    """
    return 2 * terms * torch.finfo(dtype).eps * size


def of_network(module: nn.Module, evaluate: Callable[[], Mapping[Any, Tensor]]) -> dict[Any, float]:
    """What `evaluate` gives by names may differ by no more than these, whichever way its sums are computed.

    Measured: each weight goes one eps up or down, by a coin, which changes all sums as rounding them does, wherever the
    computation makes little errors large or steps over a threshold. `evaluate` uses `module`, and gives the same when
    it is called again.
    """
    before = {name: value.clone() for name, value in module.state_dict().items()}

    def flipped(draw: torch.Generator) -> Mapping[Any, Tensor]:
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.copy_(_flip(parameter, draw))
        try:
            return evaluate()
        finally:
            module.load_state_dict(before)

    return _measured(evaluate(), flipped)


def of_front_end(front_end: Callable[[Tensor], Tensor], waveform: Tensor) -> float:
    """The same for what is computed from samples: each of these goes one eps up or down."""
    return _measured({"": front_end(waveform)}, lambda draw: {"": front_end(_flip(waveform, draw))})[""]


def _flip(value: Tensor, draw: torch.Generator) -> Tensor:
    return value * (1 + torch.finfo(value.dtype).eps * (torch.randint(0, 2, value.shape, generator=draw) * 2 - 1))


def _measured(
    given: Mapping[Any, Tensor], flipped: Callable[[torch.Generator], Mapping[Any, Tensor]]
) -> dict[Any, float]:
    exact = {name: value.detach().clone() for name, value in given.items()}
    errors = {name: torch.finfo(value.dtype).eps * float(value.abs().max()) for name, value in exact.items()}
    draw = torch.Generator().manual_seed(0)
    for _ in range(FLIPS):
        for name, value in flipped(draw).items():
            errors[name] = max(errors[name], float((value.detach() - exact[name]).abs().max()))
    return {name: MARGIN * error for name, error in errors.items()}


def assert_near(a: Mapping[Any, Tensor], b: Mapping[Any, Tensor], errors: Mapping[Any, float]) -> None:
    """By names, within the errors of `of_network`."""
    assert a.keys() == b.keys() == errors.keys()
    for name, error in errors.items():
        torch.testing.assert_close(a[name], b[name], atol=error, rtol=0, msg=lambda text, name=name: f"{name}: {text}")
