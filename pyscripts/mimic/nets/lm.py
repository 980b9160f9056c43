"""Recurrent language model of SpeechBrain's LibriSpeech recipe, over a recogniser's tokens."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from mimic.nets.products import Linear
from mimic.settings import BelowOne, Count


@dataclass
class RnnLmConfig:
    """Sizes of the language model.

    Attributes:
        embedding: size of a token's embedding.
        layers: LSTM layers.
        units: units of an LSTM layer.
        dnn_units: units of the dense layer between LSTM and output.
        dropout: of embeddings, between LSTM layers and after the dense layer.
    """

    embedding: Count = 128
    layers: Count = 2
    units: Count = 2048
    dnn_units: Count = 512
    dropout: BelowOne = 0.0


class LmState(NamedTuple):
    """What a hypothesis carries from token to token. Rows come first: a search takes those that it keeps."""

    hidden: Tensor  # (rows, layers, units)
    cell: Tensor  # (rows, layers, units)


class RnnLm(nn.Module):
    """Previous tokens -> log-probabilities of the next one."""

    def __init__(self, tokens: int, config: RnnLmConfig):
        super().__init__()
        self.embedding = nn.Embedding(tokens, config.embedding)
        self.dropout = nn.Dropout(config.dropout)
        between = config.dropout if config.layers > 1 else 0.0
        self.rnn = nn.LSTM(config.embedding, config.units, config.layers, batch_first=True, dropout=between)
        self.dnn = nn.Sequential(
            Linear(config.units, config.dnn_units),
            nn.LayerNorm(config.dnn_units),
            nn.LeakyReLU(),
            nn.Dropout(config.dropout),
        )
        self.output = Linear(config.dnn_units, tokens)

    def forward(self, previous: Tensor) -> Tensor:
        """Tokens (batch, length), the first one <bos> -> log-probabilities of the next ones (batch, length, tokens).

        Nothing sees what comes after it, so padding at the end changes nothing before it.
        """
        return self._predict(previous, None)[0]

    def start(self, rows: int) -> LmState:
        """State of `rows` hypotheses before <bos>."""
        zeros = self.output.weight.new_zeros(rows, self.rnn.num_layers, self.rnn.hidden_size)
        return LmState(zeros, zeros)

    def step(self, tokens: Tensor, state: LmState) -> tuple[Tensor, LmState]:
        """Previous tokens (rows,) -> log-probabilities of the next ones (rows, tokens) and the new state."""
        log_probs, state = self._predict(tokens.unsqueeze(1), state)
        return log_probs.squeeze(1), state

    def _predict(self, previous: Tensor, state: LmState | None) -> tuple[Tensor, LmState]:
        first = None if state is None else tuple(part.transpose(0, 1).contiguous() for part in state)
        units, last = self.rnn(self.dropout(self.embedding(previous)), first)
        log_probs = self.output(self.dnn(units)).log_softmax(2)
        return log_probs, LmState(*(part.transpose(0, 1) for part in last))
