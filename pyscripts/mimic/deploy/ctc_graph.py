"""A recogniser of CTC as a network of chunks: some frames and the state in, log-probabilities and the state out.

What `mimic.nets.deepspeech2` does with a whole utterance is a cascade of windows over time: the front end's frames, the
convolutions, the recurrence, the lookahead. Here each window keeps the last inputs of the chunk before, always as many,
so that a state has one size and begins as zeros, as runtimes want it. Each is then late by a known number of outputs.
Those, which come before the beginning, and those after the end become zeros, where a convolution of the whole utterance
pads with zeros; a flag that closes the gates of a recurrence, whose state then stays zero; a sure blank in the output.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mimic.frontend.fbank import Fbank
from mimic.frontend.front_end import FrontEnd
from mimic.frontend.logmel import LogMel
from mimic.frontend.onnx import LogFilters
from mimic.io.tokens import BLANK
from mimic.nets.deepspeech2 import Convolution, DeepSpeech2
from mimic.nets.recogniser import RecogniserNet

CLOSED = 1000.0  # what the flag adds to a gate: its sigmoid is 0 or 1
IMPOSSIBLE = -10000.0  # log-probability of all tokens but blank outside of the signal
ENDLESS = 1 << 40  # inputs that a signal still has until its end is known


@dataclass(frozen=True)
class Window:
    """One window over time: output j of the whole signal is made from inputs j * stride - left to ... + kernel - 1.

    Attributes:
        kernel, stride: inputs that it spans, and inputs from one output to the next.
        left, right: what the whole signal is padded with.
        held: inputs of the chunk before that are kept.
        late: by how many of its outputs it is late, what it is given included.
        scale: inputs of the graph for one of its outputs.
    """

    kernel: int
    stride: int
    left: int
    right: int
    held: int
    late: int
    scale: int

    def outputs(self, inputs: Tensor) -> Tensor:
        """How many outputs a whole signal of so many inputs has."""
        return (inputs + (self.left + self.right - self.kernel + self.stride)).clamp(min=0) // self.stride

    def real(self, position: Tensor, count: int, whole: Tensor) -> Tensor:
        """Which of `count` outputs from input `position` of the graph on are of the `whole` of the signal: (count,)."""
        index = torch.arange(count) + (position // self.scale - self.late)
        return (index >= 0) & (index < whole)


def windows(spans: Iterable[tuple[int, int, int, int]]) -> list[Window]:
    """Of a cascade of (kernel, stride, left, right): the least that has to be held, each late by whole outputs."""
    late, scale, found = 0, 1, []
    for kernel, stride, left, right in spans:
        held = kernel - stride
        held += -(late + held - left) % stride
        late, scale = (late + held - left) // stride, scale * stride
        found.append(Window(kernel, stride, left, right, held, late, scale))
    return found


def streams(net: RecogniserNet, front: FrontEnd) -> bool:
    """Whether there is a graph of chunks: nothing in the network or in its front end is of the whole utterance."""
    fitting = isinstance(net.encoder, DeepSpeech2) and not net.encoder.bidirectional and not net.centred
    return fitting and isinstance(front, Fbank | LogMel)


class CtcGraph(nn.Module):
    """The network of chunks of one signal.

    Inputs: samples (1, n), or without `front` features (1, n, bins), n a multiple of `unit`; how many of them are real,
    (1,), fewer than n only at the end, after which there may be more chunks with none; the state (1, 1, 1, size); the
    number of inputs that were not real (1, 1, 1, 1); the number of all inputs before (1,). The last three begin as
    zeros. Outputs: log-probabilities (1, n / unit, tokens); how many of these frames the whole signal has, (1,); and
    the last three for the next chunk. Frames that it has not, the first `delay` among them, are sure blanks.

    Args:
        net: a recogniser that `streams`.
        front: what makes its features of samples, without what is mirrored; None: it is given features.
    """

    blank: Tensor

    def __init__(self, net: RecogniserNet, front: LogFilters | None):
        super().__init__()
        encoder: DeepSpeech2 = net.encoder
        self.normaliser, self.ctc, self.dense = net.normaliser, net.ctc, encoder.dense
        self.front = LogFilters(front.basis, front.filters, front.hop, front.floor) if front else None
        self.convs: Any = encoder.convs  # of which the type checker knows modules
        layers: Any = encoder.rnns
        self.lookahead = encoder.lookahead
        self.norms: Any = nn.ModuleList(rnn.norm or nn.Identity() for rnn in layers)
        self.cells: Any = nn.ModuleList(gated(rnn.cells[0]) for rnn in layers)
        spans: list[Any] = [(front.basis.shape[2], front.hop, 0, 0)] if front else []
        spans += [(conv.kernel, conv.stride, conv.edge, conv.edge) for conv in self.convs]
        if self.lookahead:
            spans.append((self.lookahead.frames + 1, 1, 0, self.lookahead.frames))
        self.windows = windows(spans)
        self.unit, self.delay = self.windows[-1].scale, self.windows[-1].late
        tokens, bins = self.ctc.out_features, len(self.normaliser.mean)
        blank = torch.full((tokens,), IMPOSSIBLE)
        blank[BLANK] = 0
        self.register_buffer("blank", blank)
        self.shapes = self._shapes(bins)
        self.size = sum(torch.Size(shape).numel() for shape in self.shapes)

    def _shapes(self, bins: int) -> list[tuple[int, ...]]:
        """Of all parts of the state, in the order of use."""
        held = iter(window.held for window in self.windows)
        shapes: list[tuple[int, ...]] = [(1, next(held))] if self.front else []
        inputs = 1
        for conv in self.convs:
            shapes.append((1, next(held), bins, inputs))
            bins, inputs = conv.bins, conv.conv.out_channels
        for cell in self.cells:
            shapes += [(1, 1, cell.hidden_size)] * (2 if isinstance(cell, nn.LSTM) else 1)
        if self.lookahead:
            shapes.append((1, next(held), self.lookahead.conv.in_channels))
        return shapes

    def initial(self) -> tuple[Tensor, Tensor, Tensor]:
        """The last three inputs at the beginning."""
        return torch.zeros(1, 1, 1, self.size), torch.zeros(1, 1, 1, 1), torch.zeros(1, dtype=torch.long)

    def forward(self, x: Tensor, length: Tensor, state: Tensor, padded: Tensor, position: Tensor) -> tuple[Tensor, ...]:
        missing = padded.view(1).long() + (x.shape[1] - length)
        after = position + x.shape[1]
        whole = torch.where(missing > 0, after - missing, after + ENDLESS)  # inputs of the signal, as far as is known
        flat = state.view(-1).split([torch.Size(shape).numel() for shape in self.shapes])
        parts = [part.view(shape) for part, shape in zip(flat, self.shapes, strict=True)]
        kept: list[Tensor] = []

        def joined(window: Window, x: Tensor) -> Tensor:
            """What is held and the new inputs (1, n, ...); the last of them are held."""
            x = torch.cat([parts[len(kept)], x], dim=1)
            kept.append(x[:, x.shape[1] - window.held :])
            return x

        steps = iter(self.windows)
        if self.front:
            window = next(steps)
            x = self.front(joined(window, x))
            whole = window.outputs(whole)
            real = window.real(position, x.shape[1], whole)
        else:
            real = torch.arange(x.shape[1]) + position < whole
        x = self.normaliser(x).unsqueeze(3) * real[None, :, None, None]
        for conv in self.convs:
            window = next(steps)
            x = convolved(conv, joined(window, x))
            whole = window.outputs(whole)
            real = window.real(position, x.shape[1], whole)
            x = x * real[None, :, None, None]
        x = x.flatten(2)
        outside = 1 - real[None, :, None].to(x.dtype)
        for cell, norm in zip(self.cells, self.norms, strict=True):
            first = len(kept)
            hidden: Any = (parts[first], parts[first + 1]) if isinstance(cell, nn.LSTM) else parts[first]
            x, hidden = cell(torch.cat([x, outside], dim=2), hidden)
            kept.extend(hidden if isinstance(cell, nn.LSTM) else [hidden])
            x = norm(x.squeeze(0)).unsqueeze(0) * (1 - outside)
        if self.lookahead:
            window = next(steps)
            x = self.lookahead.convolve(joined(window, x))
            real = window.real(position, x.shape[1], window.outputs(whole))
        log_probs = torch.where(real[None, :, None], self.ctc(self.dense(x)).log_softmax(2), self.blank)
        state = torch.cat([part.flatten() for part in kept]).view_as(state)
        return log_probs, real.sum().view(1), state, missing.to(x.dtype).view(1, 1, 1, 1), after


def convolved(conv: Convolution, x: Tensor) -> Tensor:
    """(1, frames, bins, inputs) with all that it spans -> (1, frames', bins', outputs), by stored statistics."""
    norm, x = conv.norm, conv.conv(x.permute(0, 3, 1, 2))
    x = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
    return conv.activation(x.permute(0, 2, 3, 1))


def gated(cell: Any) -> nn.GRU | nn.LSTM:
    """The same cell, a GRU or LSTM, with one input more: where that is 1, a state of zeros stays zero."""
    units = cell.hidden_size
    wider = type(cell)(cell.input_size + 1, units, batch_first=True)
    column = torch.zeros(len(cell.weight_ih_l0), 1)
    if isinstance(cell, nn.GRU):
        column[units : 2 * units] = CLOSED  # reset, update, new: the update gate keeps the old
    else:
        column[:units] = -CLOSED  # input, forget, cell, output: the input gate lets nothing in
    state = cell.state_dict()
    wider.load_state_dict(state | {"weight_ih_l0": torch.cat([state["weight_ih_l0"].cpu(), column], dim=1)})
    return wider.eval()
