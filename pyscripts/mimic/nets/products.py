"""Products of inputs and weights, by the library that is fast on this processor."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.overrides import handle_torch_function, has_torch_function

SMALL = 1 << 20  # multiplications up to which a call from Python costs more than it saves
# Weights below which code made for each number of rows costs what it saves, and memory: a training of
# conf/enhance_demo.yaml, whose batches differ in length, took 702 MB without and 989 MB with it, in the same time.
NARROW = 1 << 17


def _made_by_amd() -> bool:
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            return any(line.startswith("vendor_id") and "AuthenticAMD" in line for line in file)
    except OSError:
        return False


# torch leaves products of float32 to MKL, which uses AVX2 on AMD's processors with AVX-512: oneDNN takes half the time
# there (torch 2.11.0: 240 in place of 110 GFLOP/s of a core).
_HERE = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
_FASTER = _HERE and torch.backends.cpu.get_cpu_capability() == "AVX512" and _made_by_amd()


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x @ weight.t() + bias by oneDNN, without a gradient: (n, inputs), (outputs, inputs) -> (n, outputs)."""
    if not _HERE or x.dtype != torch.float32 or torch.compiler.is_compiling():  # which has kernels of its own
        return F.linear(x, weight, bias)
    bias = None if bias is None else bias.contiguous()
    return torch.ops.mkldnn._linear_pointwise(_dense(x), _dense(weight), bias, "none", [], "")


def _dense(x: Tensor) -> Tensor:
    # Of a matrix with gaps between its rows, transposed, oneDNN 3.10 takes a thousand times as long.
    return x if x.is_contiguous() or x.t().is_contiguous() else x.contiguous()


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (x, weight), wanted = ctx.saved_tensors, ctx.needs_input_grad
        return (
            product(grad, weight.t()) if wanted[0] else None,
            product(grad.t(), x.t()) if wanted[1] else None,
            grad.sum(0) if wanted[2] else None,
        )


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, faster: bool = _FASTER) -> Tensor:
    """`torch.nn.functional.linear`: (..., inputs), (outputs, inputs), (outputs,) -> (..., outputs).

    Differentiable once. Values are torch's to rounding. faster: whether oneDNN is faster than torch's choice.
    """
    if has_torch_function((x, weight)):
        return handle_torch_function(linear, (x, weight), x, weight, bias, faster)
    if not (faster and _suits(x, weight, bias)):
        return F.linear(x, weight, bias)
    return _Linear.apply(x.reshape(-1, x.shape[-1]), weight, bias).view(*x.shape[:-1], len(weight))


def _suits(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether these are plain matrices of a size that pays; what does not fit is left to torch, which says why."""
    if torch.jit.is_tracing() or torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu"):
        return False
    parts = [x, weight] if bias is None else [x, weight, bias]
    return (
        weight.dim() == 2
        and weight.numel() >= NARROW
        and x.numel() * weight.shape[0] >= SMALL
        and x.shape[-1] == weight.shape[1]
        and (bias is None or bias.shape == weight.shape[:1])
        and all(part.dtype is torch.float32 and part.device.type == "cpu" for part in parts)
        and all(part.layout is torch.strided and not part.is_nested for part in parts)
    )


class Linear(nn.Linear):
    """`torch.nn.Linear` by `linear`, with the same parameters."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)


def adopt(net: nn.Module) -> None:
    """Let the linear layers of a network that others wrote be `Linear`."""
    plain = nn.Linear, nn.modules.linear.NonDynamicallyQuantizableLinear  # others may have a forward of their own
    for module in net.modules():
        if type(module) in plain:
            module.__class__ = Linear
