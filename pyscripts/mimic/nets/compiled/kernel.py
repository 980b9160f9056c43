"""The functions of the compiled library on tensors."""

import ctypes
import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mimic import compiled

LONG, POINTER = ctypes.c_int64, ctypes.c_void_p
LANES = 8  # of vector.h
SIGNATURES = {
    "attention_forward": (None, [POINTER] * 7),
    "attention_backward": (None, [POINTER] * 9),
    "gru_forward": (None, [POINTER] * 10),
    "gru_backward": (None, [POINTER] * 11),
    "norm_moments": (None, [POINTER] * 4),
    "norm_silu": (None, [POINTER] * 5),
    "norm_silu_sums": (None, [POINTER] * 8),
    "norm_silu_gradient": (None, [POINTER] * 9),
}


@functools.cache
def library() -> Any:
    """The library; None where MIMIC_COMPILED is false or, with a line in the log, where it cannot be built.

    Also None without AVX2, where torch is as fast.
    """
    if torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        return None
    return compiled.load("nets/compiled", SIGNATURES, "training runs in torch alone, slower")


def pays(x: Tensor) -> bool:
    """Whether a step with x is one of training that the library has: on a CPU, with gradients."""
    if not torch.is_grad_enabled() or torch.jit.is_tracing() or torch.compiler.is_compiling():
        return False
    return x.device.type == "cpu" and x.numel() > 0 and library() is not None


def call(name: str, sizes: Sequence[int], *tensors: Tensor) -> None:
    """A function of the library: sizes and the number of threads, then contiguous tensors."""
    assert all(tensor.is_contiguous() and tensor.device.type == "cpu" for tensor in tensors)
    numbers = (LONG * (len(sizes) + 1))(*sizes, torch.get_num_threads())
    getattr(library(), name)(ctypes.byref(numbers), *(tensor.data_ptr() for tensor in tensors))
