"""Small encoders that are distilled from a large one.

DistilHuBERT (Chang et al., "DistilHuBERT: Speech Representation Learning by Layer-wise Distillation of Hidden-unit
BERT", 2022); with noisy input and a head that enhances, Robust DistilHuBERT (Guimarães et al.,
"RobustDistiller: Compressing Universal Speech Representations for Enhanced Environment Robustness", 2023).
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mimic.errors import UserError
from mimic.frontend.stft import Stft, StftConfig
from mimic.nets.enhancers import Enhanced, enhance_each
from mimic.nets.masking import frames_at
from mimic.nets.products import Linear
from mimic.nets.rnn import Rnn
from mimic.nets.ssl import EncoderConfig, SslEncoder, base_network
from mimic.settings import Count, NotNegative

FRONT = StftConfig(n_fft=512, win_length=400, hop_length=160, window_type="hann")  # of the head


@dataclass
class StudentConfig(EncoderConfig):
    """Sizes of a student; the defaults are DistilHuBERT's: 23,491,200 parameters without what predicts.

    Attributes:
        conv_gradient: factor of the gradient of the convolutions.
        head_input: input of the enhancement head: conv, the output of the convolutions, as in the published code; or
            last, the last hidden state, as in the paper.
        head_units: of its LSTM layers, per direction.
    """

    conv_gradient: NotNegative = 0.1
    head_input: Literal["conv", "last"] = "conv"
    head_units: Count = 256


class StudentOutput(NamedTuple):
    """What a student makes of a batch."""

    predictions: list[Tensor]  # (batch, frames, units of the teacher), one for each of the teacher's layers
    lengths: Tensor  # (batch,), frames
    head_input: Tensor  # (batch, frames, units), for the enhancement head


class DistilledEncoder(nn.Module):
    """What all students have: `encoder`, and `head`, which enhances, or None; `predict` gives an `StudentOutput`."""

    encoder: SslEncoder
    head: nn.Module | None

    @property
    def stride(self) -> int:
        """Samples from one frame to the next."""
        return self.encoder.stride

    def num_frames(self, samples: Tensor) -> Tensor:
        """Frames of waveforms of these lengths (batch,)."""
        return self.encoder.num_frames(samples)

    def predict(self, waveforms: list[Tensor]) -> StudentOutput:
        raise NotImplementedError

    def penalties(self, epoch: int) -> dict[str, Tensor]:
        """Parts of the loss that do not depend on the batch; none but of a student that is pruned."""
        return {}

    def figures(self) -> dict[str, float]:
        """What validation says of the student itself; nothing but of one that is pruned."""
        return {}

    def final_encoder(self) -> SslEncoder:
        """The encoder that is kept when training ends."""
        return self.encoder

    def transform(self, waveforms: Tensor, samples: Tensor, stft: Stft, head_input: Tensor | None = None) -> Enhanced:
        """Padded noisy waveforms (batch, samples), their lengths (batch,) -> enhanced ones with the noisy phase.

        head_input: of `predict`, where that has been called already.
        """
        if self.head is None:
            raise UserError("this student does not enhance: train one with --loss.enhance_weight 2")
        if head_input is None:
            head_input = self.predict([row[:n] for row, n in zip(waveforms, samples.tolist(), strict=True)]).head_input
        spectrum, frames = stft.transform(waveforms), stft.num_frames(samples)
        features = stft.log1p_magnitude(spectrum)
        mask = self.head(head_input, self.encoder.num_frames(samples), features.shape[1], frames)
        magnitude = (mask * features.expm1()).log1p()
        return Enhanced(magnitude, frames, stft.resynthesise(magnitude, spectrum, samples), spectrum)

    def enhance(self, waveforms: list[Tensor], stft: Stft) -> list[Tensor]:
        """Noisy waveforms (samples,) of any lengths -> enhanced waveforms of the same lengths, with the noisy phase."""
        return enhance_each(self, waveforms, stft)


class Student(DistilledEncoder):
    """Waveforms -> hidden states, and from the last of them predictions of a teacher's hidden states.

    As an encoder it has `layers` hidden states besides state 0, and after them the predictions count as further ones.

    Args:
        tasks: layers of the teacher that are predicted.
        units: of the teacher.
        head: whether there is an enhancement head.
        normalise: whether waveforms are brought to mean 0 and variance 1, as for the teacher.
    """

    def __init__(self, config: StudentConfig, tasks: int, units: int, head: bool, normalise: bool):
        super().__init__()
        self.config = config
        self.encoder = SslEncoder(base_network(config, False), normalise)
        self.predictor = Predictor(config.units, units, tasks) if tasks else None
        inputs = config.channels if config.head_input == "conv" else config.units
        self.head = EnhancementHead(inputs, config.head_units) if head else None
        self.num_layers, self.units = config.layers + tasks, units

    def predict(self, waveforms: list[Tensor]) -> StudentOutput:
        """Waveforms (samples,) of any lengths, as one batch."""
        features, lengths = self.encoder.convolve(waveforms)
        features = scale_gradient(features, self.config.conv_gradient)
        (last,) = self.encoder.transform(features, lengths, [self.config.layers])
        head_input = features if self.config.head_input == "conv" else last
        assert self.predictor is not None  # while it is distilled
        return StudentOutput(self.predictor(last), lengths, head_input)

    def forward(self, waveforms: list[Tensor], layers: list[int]) -> tuple[list[Tensor], Tensor]:
        """The wanted hidden states and predictions (batch, frames, units), and lengths (batch,), as of `SslEncoder`."""
        last = self.config.layers
        states, lengths = self.encoder(waveforms, [*(min(layer, last) for layer in layers)])
        if max(layers) > last:
            assert self.predictor is not None  # there are layers beyond the last state
            predictions = self.predictor(states[layers.index(max(layers))])
            for place, layer in enumerate(layers):
                if layer > last:
                    states[place] = predictions[layer - last - 1]
        return states, lengths


class Predictor(nn.Module):
    """One dense layer for all tasks, then one for each: (batch, frames, inputs) -> several (batch, frames, units)."""

    def __init__(self, inputs: int, units: int, tasks: int):
        super().__init__()
        self.shared = Linear(inputs, tasks * inputs)
        self.tasks = nn.ModuleList(Linear(inputs, units) for _ in range(tasks))

    def forward(self, x: Tensor) -> list[Tensor]:
        parts = F.gelu(self.shared(x)).chunk(len(self.tasks), dim=2)
        return [task(part) for task, part in zip(self.tasks, parts, strict=True)]


class EnhancementHead(nn.Module):
    """Mask in [0, 1] of magnitudes, 10 ms a frame, from states of the student, 20 ms a frame: 4,862,721 parameters."""

    def __init__(self, inputs: int, units: int = 256, layers: int = 3, dropout: float = 0.1):
        super().__init__()
        self.rnn = Rnn("lstm", inputs, units, layers, dropout)
        self.dropout = nn.Dropout(dropout)
        self.output = Linear(2 * units, FRONT.n_fft // 2 + 1)

    def forward(self, head_input: Tensor, lengths: Tensor, most: int, frames: Tensor) -> Tensor:
        """(batch, frames', inputs) of these lengths -> (batch, most, bins), of which `frames` (batch,) are real.

        A frame of the student stands for two of the spectrum; its last one for all that follow.
        """
        x = frames_at(torch.arange(most, device=head_input.device) // 2, head_input, lengths)
        return self.output(self.dropout(self.rnn(x, frames))).sigmoid()


def start_from_teacher(student: SslEncoder, teacher: SslEncoder) -> list[str]:
    """Give the student the teacher's weights where both have them: convolutions, projection, positions, first layers.

    Gives the names of what has not been there. Raises UserError where sizes differ.
    """
    there = _separate(teacher.net.state_dict())
    state = student.net.state_dict()
    for name in sorted(state.keys() & there.keys()):
        here, size = tuple(state[name].shape), tuple(there[name].shape)
        if here != size:
            raise UserError(
                f"model: {name} is {here} in the student and {size} in the teacher: take its sizes for units, heads, "
                "feedforward, channels, position_kernel and position_groups, or --teacher.start false"
            )
    student.net.load_state_dict(state | {name: there[name] for name in state.keys() & there.keys()})
    return sorted(state.keys() - there.keys())


def _separate(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """WavLM's attention, which is one matrix for all three, under the names of HuBERT's."""
    parts = {}
    for name, value in state.items():
        if ".attention.attention.in_proj_" in name:
            for part, piece in zip("qkv", value.chunk(3), strict=True):
                parts[name.replace("attention.attention.in_proj_", f"attention.{part}_proj.")] = piece
        else:
            parts[name.replace("attention.attention.out_proj", "attention.out_proj")] = value
    return parts


def scale_gradient(x: Tensor, factor: float) -> Tensor:
    """The same values, whose gradient counts `factor`."""
    return x if factor == 1 else factor * x + (1 - factor) * x.detach()
