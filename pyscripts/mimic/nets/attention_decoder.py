"""Recurrent decoder with location-aware attention (Chorowski et al., "Attention-Based Models for Speech
Recognition", 2015), as SpeechBrain's recipes size it."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mimic.nets.attention_steps import Location, Parameters, all_steps
from mimic.nets.masking import tracing, valid_frames
from mimic.nets.products import Linear, linear
from mimic.settings import BelowOne, Count, CountOrZero


@dataclass
class DecoderConfig:
    """Sizes of the attention decoder.

    Attributes:
        embedding: size of a token's embedding.
        units: units of the GRU.
        attention: size of the space in which encoder and decoder are compared.
        channels: filters over the previous attention weights.
        kernel: half width of these filters; they span 2 * kernel + 1 frames.
        dropout: of embeddings and of the output.
    """

    embedding: Count = 128
    units: Count = 1024
    attention: Count = 1024
    channels: Count = 10
    kernel: CountOrZero = 100
    dropout: BelowOne = 0.0


class Memory(NamedTuple):
    """What the decoder needs of the encoder, computed once per utterance."""

    keys: Tensor  # (batch, frames, attention)
    values: Tensor  # (batch, frames, attention)
    padding: Tensor  # (batch, frames), true on padding


class State(NamedTuple):
    """What one hypothesis carries from token to token. There may be several hypotheses to an utterance: rows."""

    hidden: Tensor  # (rows, units)
    context: Tensor  # (rows, attention)
    weights: Tensor  # (rows, frames)


class AttentionDecoder(nn.Module):
    """Predicts the next token from the previous ones and the encoder's output."""

    def __init__(self, inputs: int, tokens: int, config: DecoderConfig):
        super().__init__()
        size = config.attention
        self.embedding = nn.Embedding(tokens, config.embedding)
        self.key = Linear(inputs, size)
        self.value = Linear(inputs, size)
        self.query = Linear(config.units, size)
        self.location = nn.Conv1d(1, config.channels, 2 * config.kernel + 1, padding=config.kernel, bias=False)
        self.location_key = Linear(config.channels, size)
        self.energy = Linear(size, 1, bias=False)
        self.rnn = nn.GRUCell(config.embedding + size, config.units)
        self.combine = Linear(size + config.units, config.units)
        self.dropout = nn.Dropout(config.dropout)
        self.output = Linear(config.units, tokens)

    def precompute(self, encoded: Tensor, lengths: Tensor) -> Memory:
        """Encoder output (batch, frames, inputs) and lengths -> keys and values of the attention."""
        # The published network projects the context after the weighted sum. The weights add up to one, so
        # projecting every frame first gives the same numbers and moves the product out of the token loop.
        return Memory(self.key(encoded), self.value(encoded), ~valid_frames(lengths, encoded.shape[1]))

    def start(self, memory: Memory, rows: int = 1) -> State:
        """State of `rows` hypotheses per utterance before the first token: attention spread over the real frames."""
        real = (~memory.padding).to(memory.keys.dtype).repeat_interleave(rows, dim=0)
        return State(
            memory.keys.new_zeros(len(real), self.rnn.hidden_size),
            memory.keys.new_zeros(len(real), memory.values.shape[2]),
            real / real.sum(1, keepdim=True),
        )

    def _advance(self, embedded: Tensor, memory: Memory, state: State) -> tuple[Tensor, State]:
        batch, frames, _ = memory.keys.shape
        hidden = self.rnn(torch.cat([embedded, state.context], dim=1), state.hidden)  # (rows, units)
        query = self.query(hidden).view(batch, -1, 1, self.key.out_features)  # (batch, hypotheses, 1, attention)
        located = self.location_key(self._locate(state.weights)).view(batch, -1, frames, self.key.out_features)
        keys = located.add_(memory.keys.unsqueeze(1)).add_(query)  # in place: the largest tensor of the step
        # tanh(x) = 2 sigmoid(2 x) - 1, which on a CPU takes a quarter of the time; -1 changes all energies by the same.
        energy = 2 * self.energy(keys.mul_(2).sigmoid_()).squeeze(3)
        energy = energy.masked_fill_(memory.padding.unsqueeze(1), -torch.inf)
        weights = energy.softmax(2)  # (batch, hypotheses, frames)
        context = torch.bmm(weights, memory.values).flatten(0, 1)
        return torch.cat([context, hidden], dim=1), State(hidden, context, weights.flatten(0, 1))

    def _locate(self, weights: Tensor) -> Tensor:
        """The location filters over previous attention weights: (rows, frames) -> (rows, frames, channels)."""
        filters = self.location.weight.squeeze(1)  # (channels, span)
        return Location(filters, weights.shape[1], weights.numel() * filters.shape[1])(weights)

    def step(self, tokens: Tensor, memory: Memory, state: State) -> tuple[Tensor, State]:
        """Previous tokens (rows,) -> log-probabilities of the next ones (rows, tokens) and the new state."""
        seen, state = self._advance(self.embedding(tokens), memory, state)
        return self.output(self.combine(seen)).log_softmax(1), state

    def forward(self, encoded: Tensor, lengths: Tensor, previous: Tensor) -> Tensor:
        """Teacher forcing: (batch, frames, inputs), lengths, previous tokens (batch, L) -> (batch, L, tokens)."""
        memory = self.precompute(encoded, lengths)
        state = self.start(memory)
        embedded = self.dropout(self.embedding(previous))
        whole = torch.is_grad_enabled() and not torch.is_autocast_enabled(encoded.device.type)
        if whole and not torch.compiler.is_compiling() and not tracing():
            seen = torch.cat(self._all_steps(embedded, memory, state), dim=2)
        else:
            steps = []
            for one in embedded.unbind(1):
                both, state = self._advance(one, memory, state)
                steps.append(both)
            seen = torch.stack(steps, dim=1)
        return self.output(self.dropout(self.combine(seen))).log_softmax(2)

    def _all_steps(self, embedded: Tensor, memory: Memory, state: State) -> tuple[Tensor, Tensor]:
        """Contexts (batch, L, attention) and states (batch, L, units) after each token; embedded (batch, L, size)."""
        rnn = self.rnn
        from_token, from_context = rnn.weight_ih.split([embedded.shape[2], memory.values.shape[2]], dim=1)
        parameters = Parameters(
            from_context, rnn.weight_hh, rnn.bias_hh, self.query.weight, self.query.bias,
            self.location.weight.squeeze(1), self.location_key.weight, self.location_key.bias,
            self.energy.weight.squeeze(0),
        )  # fmt: skip
        return all_steps(linear(embedded, from_token, rnn.bias_ih), *memory, state.weights, parameters)
