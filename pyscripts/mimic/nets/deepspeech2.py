"""Deep Speech 2: convolutions over time and frequency, then recurrent layers (Amodei et al., "Deep Speech 2: End-to-End
Speech Recognition in English and Mandarin", 2016). The sizes are those of three systems that many recipes start from:
conf/deepspeech2*.yaml.
"""

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mimic.errors import UserError
from mimic.nets.dropout import Dropout
from mimic.nets.masking import normalise_channels, pack, reverse, tracing, unpack, valid_frames
from mimic.nets.products import Linear
from mimic.nets.rnn import differentiable
from mimic.settings import BelowOne, Count, CountOrZero, NotNegative


@dataclass
class DeepSpeech2Config:
    """Sizes of a Deep Speech 2 network; the defaults are the compact one of 12 million parameters.

    Attributes:
        channels: of each convolution; each is followed by batch normalisation.
        kernels: frames and bins that each convolution spans, odd.
        strides: frames and bins from one of its outputs to the next.
        padding: zeros around the signal, so that n frames give n / stride; false: only what fits into it.
        conv_bias: of the convolutions; batch normalisation makes it superfluous.
        limit: largest response of an activation; 0: none.
        rnn: type of the recurrent cells.
        rnn_layers: recurrent layers.
        rnn_units: units per direction.
        bidirectional: recurrence in both directions. Only one direction can transcribe a signal while it is recorded.
        sum_directions: add the two directions; false: they stand side by side.
        norm: batch normalisation of what every recurrent layer gives.
        lookahead: frames of the future that a convolution above the recurrence sees; 0: none.
        dense: units of a dense layer before the output; 0: none.
        dropout: after the recurrence and after the dense layer.
        output_bias: of the output layer.
    """

    channels: list[Count] = field(default_factory=lambda: [32, 32])
    kernels: list[list[Count]] = field(default_factory=lambda: [[11, 41], [11, 21]])
    strides: list[list[Count]] = field(default_factory=lambda: [[2, 2], [1, 2]])
    padding: bool = False
    conv_bias: bool = False
    limit: NotNegative = 0.0
    rnn: Literal["gru", "lstm"] = "gru"
    rnn_layers: Count = 3
    rnn_units: Count = 800
    bidirectional: bool = False
    sum_directions: bool = False
    norm: bool = False
    lookahead: CountOrZero = 0
    dense: CountOrZero = 1600
    dropout: BelowOne = 0.2
    output_bias: bool = True

    def check(self) -> str:
        """What does not fit, see `mimic.settings.build`."""
        if not len(self.channels) == len(self.kernels) == len(self.strides) >= 1:
            return "channels, kernels and strides: one of each per convolution, at least one"
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            pairs = zip(kernel, stride, strict=True) if len(kernel) == len(stride) == 2 else [(0, 0)]
            if not all(size % 2 and step <= size for size, step in pairs):
                return f"kernels {kernel}, strides {stride}: frames and bins, odd, no stride above it"
        return ""


class State(NamedTuple):
    """What a stream of pieces has to remember."""

    held: list[Tensor]  # of each convolution: its last input frames (batch, frames, bins, channels)
    hidden: list[Tensor | tuple[Tensor, Tensor]]  # of each recurrent layer
    ahead: Tensor  # (batch, frames, units): what the lookahead convolution still needs


class Activation(nn.Module):
    """Rectifier, with a limit or without."""

    def __init__(self, limit: float):
        super().__init__()
        self.limit = limit

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(0, self.limit) if self.limit else x.relu()


class Convolution(nn.Module):
    """Convolution over time and frequency, batch normalisation over real frames, activation."""

    def __init__(self, bins: int, inputs: int, outputs: int, kernel: list[int], stride: list[int], padding: bool,
                 bias: bool, limit: float):  # fmt: skip
        super().__init__()
        half = [size // 2 if padding else 0 for size in kernel]
        sizes, steps = (kernel[0], kernel[1]), (stride[0], stride[1])
        self.conv = nn.Conv2d(inputs, outputs, sizes, steps, (0, half[1]), bias=bias)  # time is padded below
        self.norm = nn.BatchNorm1d(outputs)
        self.activation = Activation(limit)
        self.edge, self.kernel, self.stride = half[0], kernel[0], stride[0]
        self.bins = (bins + 2 * half[1] - kernel[1]) // stride[1] + 1

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Frames (int or tensor) that so many frames give."""
        frames = (lengths + 2 * self.edge - self.kernel) // self.stride + 1
        return frames.clamp(min=0) if isinstance(frames, Tensor) else max(0, frames)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(batch, frames, bins, inputs) -> (batch, frames', bins', outputs)."""
        if self.edge and not tracing():  # beyond its end an utterance is zero, whatever stands there in its batch
            x = x.masked_fill(~valid_frames(lengths, x.shape[1])[:, :, None, None], 0)
        after = max(self.edge, self.kernel - self.edge - x.shape[1])  # a batch of very short ones is allowed
        return self.convolve(F.pad(x, (0, 0, 0, 0, self.edge, after)), self.output_lengths(lengths))

    def convolve(self, x: Tensor, lengths: Tensor) -> Tensor:
        """The same of frames with their padding; `lengths` of the output."""
        x = self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # channels last in memory
        return self.activation(normalise_channels(self.norm, x, lengths))

    def stream(self, x: Tensor, held: Tensor | None, last: bool) -> tuple[Tensor, Tensor]:
        """The next frames and those held of earlier ones -> the output as far as it is settled, what to hold."""
        held = x.new_zeros(len(x), self.edge, *x.shape[2:]) if held is None else held
        x = torch.cat([held, x], dim=1)
        if last:
            x = F.pad(x, (0, 0, 0, 0, 0, self.edge))
        count = max(0, (x.shape[1] - self.kernel) // self.stride + 1)
        rest = x[:, count * self.stride :]
        if not count:
            return x.new_zeros(len(x), 0, self.bins, self.conv.out_channels), rest
        lengths = torch.full((len(x),), count, device=x.device)
        return self.convolve(x[:, : (count - 1) * self.stride + self.kernel], lengths), rest


class Recurrence(nn.Module):
    """A recurrent layer in one direction or both, then batch normalisation over real frames."""

    def __init__(self, inputs: int, config: DeepSpeech2Config):
        super().__init__()
        cell, directions = {"gru": nn.GRU, "lstm": nn.LSTM}[config.rnn], 1 + config.bidirectional
        self.summed = config.sum_directions and config.bidirectional
        self.units = config.rnn_units * (1 if self.summed else directions)
        # Each by itself over the padded batch: PyTorch's packed sequences take up to seven times as long on a CPU.
        self.cells = nn.ModuleList(cell(inputs, config.rnn_units, batch_first=True) for _ in range(directions))
        self.norm = nn.BatchNorm1d(self.units) if config.norm else None

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(batch, frames, inputs) -> (batch, frames, units), zero on padding."""
        with differentiable(self, x):
            y = self.cells[0](x)[0]
            if len(self.cells) > 1:
                back = reverse(self.cells[1](reverse(x, lengths))[0], lengths)
                y = y + back if self.summed else torch.cat([y, back], dim=2)
        return self.normalise(y, lengths)

    def normalise(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(batch, frames, units) -> the same, zero on padding."""
        packed = pack(x, lengths)
        return unpack(self.norm(packed) if self.norm else packed, lengths, x.shape[1])

    def stream(self, x: Tensor, hidden: Any) -> tuple[Tensor, Any]:
        """The next frames of one direction, 0 or more, and the state after the earlier ones."""
        if not x.shape[1]:
            return x.new_zeros(len(x), 0, self.units), hidden
        y, hidden = self.cells[0](x, hidden)
        return self.normalise(y, torch.full((len(x),), x.shape[1], device=x.device)), hidden


class Lookahead(nn.Module):
    """Every unit of a frame becomes a weighted sum of itself and the frames after it (section 3.5 of the paper)."""

    def __init__(self, units: int, frames: int, limit: float):
        super().__init__()
        self.frames = frames
        self.conv = nn.Conv1d(units, units, frames + 1, groups=units, bias=False)
        self.activation = Activation(limit)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, frames, units), zero on padding -> the same."""
        return self.convolve(F.pad(x, (0, 0, 0, self.frames)))

    def convolve(self, x: Tensor) -> Tensor:
        """(batch, n + frames, units) -> (batch, n, units)."""
        return self.activation(self.conv(x.transpose(1, 2)).transpose(1, 2))


class DeepSpeech2(nn.Module):
    """Features (batch, frames, bins) and lengths -> (batch, frames', units) and lengths."""

    def __init__(self, bins: int, config: DeepSpeech2Config):
        super().__init__()
        self.convs = nn.ModuleList()
        given, inputs = bins, 1
        for outputs, kernel, stride in zip(config.channels, config.kernels, config.strides, strict=True):
            sizes = (bins, inputs, outputs, kernel, stride, config.padding, config.conv_bias, config.limit)
            conv = Convolution(*sizes)
            self.convs.append(conv)
            bins, inputs = conv.bins, outputs
            if bins < 1:
                raise UserError(f"{given} bins are too few for the convolutions: more of them, or --model.padding true")
        size, self.rnns = bins * inputs, nn.ModuleList()
        for _ in range(config.rnn_layers):
            rnn = Recurrence(size, config)
            self.rnns.append(rnn)
            size = rnn.units
        self.lookahead = Lookahead(size, config.lookahead, config.limit) if config.lookahead else None
        self.dense = nn.Sequential(Dropout(config.dropout))
        if config.dense:
            self.dense.extend([Linear(size, config.dense), Activation(config.limit), Dropout(config.dropout)])
        self.bidirectional = config.bidirectional
        self.output_size, self.output_bias = config.dense or size, config.output_bias

    def output_lengths(self, lengths: Tensor) -> Tensor:
        conv: Any  # a Convolution, of which the type checker knows a Module
        for conv in self.convs:
            lengths = conv.output_lengths(lengths)
        return lengths

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x = x.unsqueeze(3)
        for conv in self.convs:
            assert isinstance(conv, Convolution)
            x = conv(x, lengths)  # (batch, frames', bins', channels)
            lengths = conv.output_lengths(lengths)
        x = x.flatten(2)
        for rnn in self.rnns:
            x = rnn(x, lengths)
        if self.lookahead:
            x = self.lookahead(x)
        return self.dense(x), lengths

    def stream(self, x: Tensor, state: State | None = None, last: bool = False) -> tuple[Tensor, State]:
        """The next frames (batch, frames, bins), 0 or more, of signals that come in pieces.

        Gives (batch, frames', units), what is settled now (with `last`, all that is left), and the state for the next
        piece. All pieces together equal `forward` of the whole, in eval mode. Raises UserError for two directions.
        """
        if self.bidirectional:
            raise UserError("this recogniser needs the whole signal: train one with --model.bidirectional false")
        held: list[Any] = [None] * len(self.convs) if state is None else list(state.held)
        hidden: list[Any] = [None] * len(self.rnns) if state is None else list(state.hidden)
        x = x.unsqueeze(3)
        for i, conv in enumerate(self.convs):
            assert isinstance(conv, Convolution)
            x, held[i] = conv.stream(x, held[i], last)
        x = x.flatten(2)
        for i, rnn in enumerate(self.rnns):
            assert isinstance(rnn, Recurrence)
            x, hidden[i] = rnn.stream(x, hidden[i])
        ahead = x[:, :0]
        if self.lookahead:
            x = x if state is None else torch.cat([state.ahead, x], dim=1)
            x = F.pad(x, (0, 0, 0, self.lookahead.frames)) if last else x
            count = max(0, x.shape[1] - self.lookahead.frames)
            ahead = x[:, count:]
            x = self.lookahead.convolve(x) if count else x[:, :0]
        return self.dense(x), State(held, hidden, ahead)
