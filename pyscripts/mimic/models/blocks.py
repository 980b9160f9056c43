"""Enhancement of signals of any rate, length and number of channels, in little memory."""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from mimic.errors import UserError
from mimic.io.resampling import resampled_blocks
from mimic.models.ratio import Curve, Mixer, check_ratio

# What a network gathers over its whole input (attention, means) it gathers over these seconds to either side: about
# the length of a training utterance. So the middle of an hour is enhanced as it would be if it were cut out.
REACH_S = 8.0
GRID = 1 << 14  # samples; windows begin at multiples, so that their frames are those of the whole signal


class BlockEnhancer:
    """Enhances signals that come in blocks; each channel by itself.

    Args:
        model: with `enhance(waveforms, front)`.
        front: with `rate`, the model's rate in Hz, and `config.hop_length`, in samples.
        ratio: share of the enhanced signal in the output, from 0 to 1; the rest is the input as it was. A curve
            gives the share of each chunk and channel.
        chunk_s: seconds that the network is given at once, and 16 s more on either side; 0: everything, in one go.
    """

    def __init__(self, model: nn.Module, front: Any, ratio: float | Curve = 1.0, chunk_s: float = 60.0):
        if not 0 <= chunk_s < math.inf:
            raise UserError(f"--chunk-seconds {chunk_s:g}: 0 (everything at once) or more")
        self.model: Any = model  # `enhance` is not of all modules
        self.front = front
        self.ratio = ratio if isinstance(ratio, Curve) else check_ratio(ratio)
        self.device = next(model.parameters()).device
        hop = front.config.hop_length
        grid = math.lcm(GRID, hop)
        for module in model.modules():
            if hasattr(module, "reach"):
                module.reach = round(REACH_S * front.rate / hop)
        self.chunk = math.ceil(chunk_s * front.rate / grid) * grid
        self.margin = math.ceil(2 * REACH_S * front.rate / grid) * grid

    def __call__(self, blocks: Iterable[np.ndarray], rate: int) -> Iterator[np.ndarray]:
        """Blocks (samples, channels) at `rate` Hz -> blocks of the enhanced signal, in all as long as the input."""
        noisy, mixed = _Fifo(), Mixer(self.ratio)
        chunks = self._chunks(resampled_blocks(noisy.tee(blocks), rate, self.front.rate), mixed)
        for block in resampled_blocks(chunks, self.front.rate, rate):
            if len(block := block[: len(noisy)]):
                yield mixed(noisy.take(len(block)), block, rate)
        if len(noisy):  # resampling there and back may end a sample early
            rest = noisy.take(len(noisy))
            yield mixed(rest, np.zeros_like(rest), rate)

    def _chunks(self, blocks: Iterable[np.ndarray], mixed: Mixer) -> Iterator[np.ndarray]:
        """Chunks (samples, channels) at the model's rate, through the network; `mixed` is given each of them, too."""
        held: np.ndarray | None = None  # what the next window can still see of the signal
        before = 0  # samples of it that have been given back
        for block in blocks:
            held = block if held is None else np.concatenate([held, block])
            while self.chunk and len(held) >= before + self.chunk + self.margin:
                here = slice(before, before + self.chunk)
                enhanced = self._enhance(held[: before + self.chunk + self.margin])[here]
                mixed.add(held[here], enhanced, self.front.rate)
                yield enhanced
                before += self.chunk
                drop = max(0, before - self.margin)
                held, before = held[drop:], before - drop
        if held is not None and len(held) > before:
            enhanced = self._enhance(held)[before:]
            mixed.add(held[before:], enhanced, self.front.rate)
            yield enhanced

    @torch.inference_mode()
    def _enhance(self, x: np.ndarray) -> np.ndarray:
        waveforms = [torch.from_numpy(np.ascontiguousarray(channel)).to(self.device) for channel in x.T]
        with _one_thread():
            enhanced = [self.model.enhance([waveform], self.front)[0].cpu().numpy() for waveform in waveforms]
        return np.stack(enhanced, axis=1)


@contextmanager
def _one_thread() -> Iterator[None]:
    """The output does not depend on the number of threads, and small networks do not wait for them.

    A step of a small recurrence takes microseconds; where another program has a core, threads that meet at the end of
    each step take 80 times as long as one alone.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class _Fifo:
    """Samples that wait for their enhanced counterparts."""

    def __init__(self):
        self._blocks: deque[np.ndarray] = deque()

    def __len__(self) -> int:
        return sum(map(len, self._blocks))

    def tee(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for block in blocks:
            self._blocks.append(block)
            yield block

    def take(self, count: int) -> np.ndarray:
        taken = []
        while count:
            block = self._blocks.popleft()
            if len(block) > count:
                self._blocks.appendleft(block[count:])
            taken.append(block[:count])
            count -= len(taken[-1])
        return np.concatenate(taken)
