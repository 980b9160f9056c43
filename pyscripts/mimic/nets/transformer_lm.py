"""Transformer language model over a recogniser's tokens, for a second pass: `--decode.rescore`.

Irie et al., "Language Modeling with Deep Transformers", Interspeech 2019: what comes before a token says where it
stands, so there is no encoding of positions, and a sentence may be longer than any in training.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mimic.nets.cnn_transformer import Layer
from mimic.nets.products import Linear
from mimic.settings import BelowOne, Count


@dataclass
class TransformerLmConfig:
    """Sizes of the language model.

    Attributes:
        units: size of a token's embedding and of the layers.
        layers: transformer layers.
        heads: attention heads.
        feedforward: hidden units of a layer's feed-forward part.
        dropout: inside the layers.
    """

    units: Count = 256
    layers: Count = 6
    heads: Count = 4
    feedforward: Count = 1024
    dropout: BelowOne = 0.1

    def check(self) -> str:
        """What does not fit, see `mimic.settings.build`."""
        return f"heads {self.heads} does not divide units, {self.units}" if self.units % self.heads else ""


class Sentence(NamedTuple):
    """What a hypothesis carries from token to token."""

    tokens: Tensor  # (rows, length)


class TransformerLm(nn.Module):
    """Previous tokens -> log-probabilities of the next one."""

    def __init__(self, tokens: int, config: TransformerLmConfig):
        super().__init__()
        self.embedding = nn.Embedding(tokens, config.units)
        self.layers = nn.ModuleList(
            Layer(config.units, config.heads, config.feedforward, config.dropout) for _ in range(config.layers)
        )
        self.output = Linear(config.units, tokens)

    def forward(self, previous: Tensor) -> Tensor:
        """Tokens (batch, length), the first one <bos> -> log-probabilities of the next ones (batch, length, tokens).

        Nothing sees what comes after it, so padding at the end changes nothing before it.
        """
        length = previous.shape[1]
        later = torch.full((1, 1, length, length), -torch.inf, device=previous.device).triu(1)
        x = self.embedding(previous)  # (batch, length, units)
        for layer in self.layers:
            x = layer(x, later)
        return self.output(x).log_softmax(2)

    def start(self, rows: int) -> Sentence:
        """State of `rows` hypotheses before <bos>."""
        return Sentence(torch.zeros(rows, 0, dtype=torch.long, device=self.output.weight.device))

    def step(self, tokens: Tensor, state: Sentence) -> tuple[Tensor, Sentence]:
        """Previous tokens (rows,) -> log-probabilities of the next ones (rows, tokens) and the new state.

        Computes the whole sentence again: in a first pass the recurrent model is quicker.
        """
        sentence = Sentence(torch.cat([state.tokens, tokens.unsqueeze(1)], dim=1))
        return self(sentence.tokens)[:, -1], sentence
