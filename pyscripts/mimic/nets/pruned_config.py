"""Settings of a pruned student."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from mimic.inputs import InitialEncoder
from mimic.settings import BelowOne, CountOrZero, Positive, Range

Part = Literal["conv", "heads", "feedforward"]


@dataclass
class PrunedConfig:
    """What is pruned, and how a teacher's layers are learnt.

    Attributes:
        initial_encoder: encoder that the student begins as, e.g. the pruned one in the second step of distillation;
            empty: the teacher.
        prune: of conv (channels), heads, feedforward; none: nothing is pruned.
        sparsity: share of the encoder's parameters that is pruned: 0.75 leaves 23.6 of Base's 94.4 millions.
        ramp_epochs: epochs over which the sparsity rises to that.
        gate_rate: factor of the learning rate of gates and of the weights of their constraint.
        groups: which of `teacher.layers` share a projection of the student's hidden states: numbers of groups.
        dropout: of the transformer.
    """

    initial_encoder: InitialEncoder = ""
    prune: list[Part] = field(default_factory=lambda: ["conv", "heads", "feedforward"])
    sparsity: Annotated[float, Range(above=0, below=1)] = 0.75
    ramp_epochs: CountOrZero = 1
    gate_rate: Positive = 100.0
    groups: list[CountOrZero] = field(default_factory=lambda: [0, 1, 1, 1])
    dropout: BelowOne = 0.1
