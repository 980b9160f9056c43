"""Acoustic models of hybrid recognisers: frames to log-posteriors of tied HMM states.

The Li-GRU of Ravanelli et al., "Light Gated Recurrent Units for Speech Recognition", 2018, and its baselines there.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mimic.nets.dropout import Dropout
from mimic.nets.ligru import LiGru
from mimic.nets.masking import pack, unpack
from mimic.nets.products import Linear
from mimic.nets.rnn import bidirectional
from mimic.nets.tdnnf import Tdnnf
from mimic.settings import BelowOne, Count, CountOrZero


@dataclass
class RecurrentConfig:
    """A stack of bidirectional recurrent layers.

    Attributes:
        layers: number of layers.
        units: units of a layer and direction.
        dropout: of a Li-GRU's candidates (one mask per utterance), between the layers of the others.
    """

    layers: Count = 5
    units: Count = 550
    dropout: BelowOne = 0.2


@dataclass
class MlpConfig:
    """Dense layers on each frame with its neighbours.

    Attributes:
        layers: number of layers.
        units: units of a layer.
        context: frames to either side.
        dropout: after each layer.
    """

    layers: Count = 5
    units: Count = 1024
    context: CountOrZero = 5
    dropout: BelowOne = 0.15


class LiGruBody(LiGru):
    def __init__(self, inputs: int, config: RecurrentConfig):
        super().__init__(inputs, config.units, config.layers, config.dropout)
        self.outputs = 2 * config.units


class RnnBody(nn.Module):
    """LSTM or GRU; batch normalisation and dropout before each layer but the first, whose input is normalised only."""

    def __init__(self, inputs: int, config: RecurrentConfig, kind: type[nn.LSTM] | type[nn.GRU]):
        super().__init__()
        self.outputs = 2 * config.units
        sizes = [inputs] + [self.outputs] * (config.layers - 1)
        self.norms = nn.ModuleList(nn.BatchNorm1d(size, momentum=0.05) for size in sizes)
        self.layers = nn.ModuleList(kind(size, config.units, batch_first=True, bidirectional=True) for size in sizes)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(batch, frames, inputs) -> (batch, frames, outputs)."""
        frames = x.shape[1]
        for number, (norm, layer) in enumerate(zip(self.norms, self.layers, strict=True)):
            x = unpack(norm(pack(x, lengths)), lengths, frames)
            if number:
                x = self.dropout(x)
            assert isinstance(layer, nn.LSTM | nn.GRU)
            x = bidirectional(layer, x, lengths)
        return x


class LstmBody(RnnBody):
    def __init__(self, inputs: int, config: RecurrentConfig):
        super().__init__(inputs, config, nn.LSTM)


class GruBody(RnnBody):
    def __init__(self, inputs: int, config: RecurrentConfig):
        super().__init__(inputs, config, nn.GRU)


class MlpBody(nn.Module):
    """Spliced frames through dense layers with batch normalisation."""

    def __init__(self, inputs: int, config: MlpConfig):
        super().__init__()
        self.context, self.outputs = config.context, config.units
        sizes = [inputs * (2 * config.context + 1)] + [config.units] * (config.layers - 1)
        self.layers = nn.ModuleList(Linear(size, config.units, bias=False) for size in sizes)
        self.norms = nn.ModuleList(nn.BatchNorm1d(config.units, momentum=0.05) for _ in sizes)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(batch, frames, inputs) -> (batch, frames, outputs); at its ends an utterance's own frames are repeated."""
        frames = x.shape[1]
        around = torch.arange(-self.context, self.context + 1, device=x.device)
        index = torch.arange(frames, device=x.device)[:, None] + around  # (frames, window)
        last = (lengths - 1)[:, None, None]
        index = torch.minimum(index[None].clamp(min=0), last)  # (batch, frames, window)
        rows = torch.arange(len(x), device=x.device)[:, None, None]
        y = pack(x[rows, index].flatten(2), lengths)  # (valid frames, window * inputs)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            y = self.dropout(norm(layer(y)).relu())
        return unpack(y, lengths, frames)


Body = LiGruBody | RnnBody | MlpBody | Tdnnf


class AcousticNet(nn.Module):
    """A body, an output layer of tied states (pdfs), and one of phones that regularises training."""

    def __init__(self, body: Body, pdfs: int, phones: int):
        super().__init__()
        self.body = body
        self.pdf = Linear(body.outputs, pdfs)
        self.phone = Linear(body.outputs, phones)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, frames, inputs) -> log-posteriors (batch, frames, pdfs) and (batch, frames, phones)."""
        y = self.body(x, lengths)
        return self.pdf(y).log_softmax(2), self.phone(y).log_softmax(2)


class MmiNet(nn.Module):
    """A body, an output layer of pdfs for LF-MMI, and one for cross-entropy that regularises training.

    Each output layer has a hidden one of its own, with a narrow linear middle.
    """

    def __init__(self, body: Body, pdfs: int, hidden: int, bottleneck: int):
        super().__init__()
        self.body = body
        self.pdf, self.xent = (Output(body.outputs, hidden, bottleneck, pdfs) for _ in range(2))

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(batch, frames, inputs) -> scores and log-posteriors (batch, frames of the body, pdfs), and their lengths."""
        y, lengths = self.body(x, lengths), self.frames(lengths)
        return self.pdf(y, lengths), self.xent(y, lengths).log_softmax(2), lengths

    def frames(self, lengths: Tensor) -> Tensor:
        """Lengths of the outputs."""
        return self.body.frames(lengths) if isinstance(self.body, Tdnnf) else lengths

    @property
    def subsampling(self) -> int:
        """Frames of the input for one of the outputs."""
        return self.body.subsampling if isinstance(self.body, Tdnnf) else 1


class Output(nn.Module):
    """Dense ReLU layer, linear bottleneck, output layer; batch normalisation before the latter two."""

    def __init__(self, inputs: int, hidden: int, bottleneck: int, outputs: int):
        super().__init__()
        self.hidden, self.narrow = Linear(inputs, hidden), Linear(hidden, bottleneck, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm1d(size, momentum=0.05) for size in (hidden, bottleneck))
        self.out = Linear(bottleneck, outputs)
        nn.init.zeros_(self.out.weight)  # as in Kaldi: at first all paths are equally likely
        nn.init.zeros_(self.out.bias)

    def forward(self, y: Tensor, lengths: Tensor) -> Tensor:
        """(batch, frames, inputs) -> (batch, frames, outputs), zero in padding."""
        packed = self.norms[0](self.hidden(pack(y, lengths)).relu())
        return unpack(self.out(self.norms[1](self.narrow(packed))), lengths, y.shape[1])
