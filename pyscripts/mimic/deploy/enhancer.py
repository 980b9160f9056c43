"""A trained enhancer for signals of any rate, length and number of channels, in little memory."""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import torch
from torch import nn

from mimic.errors import UserError
from mimic.models.trained import read_config
from mimic.tasks import TASKS

# What a network gathers over its whole input (attention, means) it gathers over these seconds to either side: about
# the length of a training utterance. So the middle of an hour is enhanced as it would be if it were cut out.
REACH_S = 8.0
GRID = 1 << 14  # samples; windows begin at multiples, so that their frames are those of the whole signal


def load(directory: Path, overrides: Sequence[str] = (), device: str = "cpu") -> tuple[nn.Module, Any]:
    """The enhancer of an experiment directory, of any task: a model with `enhance(waves, front)`, and that front end.

    `front.rate` is the model's rate in Hz. Raises UserError for the directory of something else.
    """
    config = read_config(directory, list(overrides))
    if config.task == "joint":
        raise UserError(f"{directory}: enhancer and recogniser in one: give {directory / 'enhancer'}")
    model, front = TASKS[config.task].build(config, directory)
    if not hasattr(model, "enhance"):
        raise UserError(f"{directory}: a model of task {config.task}, not an enhancer: give one, as exp/enhance_mse")
    return model.to(device), front.to(device)


class Enhancer:
    """Enhances signals that come in blocks; each channel by itself.

    Args:
        model, front: as `load` gives them.
        dry_wet: share of the enhanced signal in the output, from 0 to 1; the rest is the input as it was.
        chunk_s: seconds that the network hears at once, and 16 s more on either side; 0: everything, in one go.
    """

    def __init__(self, model: nn.Module, front: Any, dry_wet: float = 1.0, chunk_s: float = 60.0):
        if not 0 <= dry_wet <= 1:
            raise UserError(f"--dry-wet {dry_wet:g}: from 0 (the input) to 1 (the enhanced signal)")
        if not 0 <= chunk_s < math.inf:
            raise UserError(f"--chunk-seconds {chunk_s:g}: 0 (everything at once) or more")
        self.model, self.front, self.dry_wet = model, front, dry_wet
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
        dry = _Fifo()
        wet = _resampled(self._windows(_resampled(dry.tee(blocks), rate, self.front.rate)), self.front.rate, rate)
        for block in wet:
            if len(block := block[: len(dry)]):
                yield self._mix(dry.take(len(block)), block)
        if len(dry):  # resampling there and back may end a sample early
            rest = dry.take(len(dry))
            yield self._mix(rest, np.zeros_like(rest))

    def _mix(self, dry: np.ndarray, wet: np.ndarray) -> np.ndarray:
        if self.dry_wet == 1:
            return wet
        return self.dry_wet * wet + np.float32(1 - self.dry_wet) * dry

    def _windows(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Blocks (samples, channels) at the model's rate, through the network."""
        held: np.ndarray | None = None  # what the next window can still see of the signal
        before = 0  # samples of it that have been given back
        for block in blocks:
            held = block if held is None else np.concatenate([held, block])
            while self.chunk and len(held) >= before + self.chunk + self.margin:
                yield self._enhance(held[: before + self.chunk + self.margin])[before : before + self.chunk]
                before += self.chunk
                drop = max(0, before - self.margin)
                held, before = held[drop:], before - drop
        if held is not None and len(held) > before:
            yield self._enhance(held)[before:]

    @torch.inference_mode()
    def _enhance(self, x: np.ndarray) -> np.ndarray:
        waves = [torch.from_numpy(np.ascontiguousarray(channel)).to(self.device) for channel in x.T]
        enhanced = [self.model.enhance([wave], self.front)[0].cpu().numpy() for wave in waves]
        return np.stack(enhanced, axis=1)


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


def _resampled(blocks: Iterable[np.ndarray], rate: int, new_rate: int) -> Iterator[np.ndarray]:
    """Blocks (samples, channels) at another rate."""
    if rate == new_rate:
        yield from blocks
        return
    stream = None
    for block in blocks:
        if stream is None:
            stream = soxr.ResampleStream(rate, new_rate, block.shape[1], dtype="float32", quality="HQ")
        yield stream.resample_chunk(block)
    if stream is not None:
        yield stream.resample_chunk(block[:0], last=True)
