"""What an enhancer costs: its size, and the time of a hop of a stream, of several side by side."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Size:
    """Trained parameters, and multiply-accumulates for a second of signal; None: not known."""

    parameters: int | None = None
    macs: float | None = None

    def __add__(self, other: "Size") -> "Size":
        return Size((self.parameters or 0) + (other.parameters or 0), (self.macs or 0) + (other.macs or 0))


class Timed(Protocol):
    """What can be timed: benchmarks/streaming.py has it for ONNX graphs."""

    def seconds(self, calls: int) -> float:
        """Median time of a call."""


class Calls:
    """A function without arguments."""

    def __init__(self, function: Callable[[], Any]):
        self.function = function

    def seconds(self, calls: int) -> float:
        spent = []
        for _ in range(calls):
            begun = time.perf_counter()
            self.function()
            spent.append(time.perf_counter() - begun)
        return float(np.median(spent))


def hop_seconds(streams: Mapping[str, Sequence[Timed]], rounds: int, calls: int) -> dict[str, float]:
    """Time of a hop by system. Rounds take the systems in turn; the fastest counts, for a busy machine only adds."""
    best = dict.fromkeys(streams, float("inf"))
    for _ in range(rounds):
        for name, parts in streams.items():
            best[name] = min(best[name], sum(part.seconds(calls) for part in parts))
    return best
