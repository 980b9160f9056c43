"""Students that are a copy of their teacher, of which parts are taken away while it learns.

Gates multiply channels of convolutions, attention heads and units of feed-forward layers (Peng et al., "DPHuBERT:
Joint Distillation and Pruning of Self-Supervised Speech Models", 2023). They follow the hard concrete distribution
(Louizos et al., "Learning Sparse Neural Networks through L0 Regularization", 2018), so that many come to be exactly
zero; what these multiply is then removed.
"""

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchaudio.models import Wav2Vec2Model

from mimic.errors import UserError
from mimic.nets.products import Linear
from mimic.nets.pruned_config import PrunedConfig
from mimic.nets.ssl import SslEncoder
from mimic.nets.student import DistilledEncoder, EnhancementHead, StudentOutput

BETA, LOW, HIGH = 2 / 3, -0.1, 1.1  # of the distribution: temperature, and to where it is stretched
SHIFT = BETA * math.log(-LOW / HIGH)  # log odds at which a gate is open with probability 1/2
MAGIC = 0.8  # of the value that an open gate has when nothing is drawn


class Scaled(torch.autograd.Function):
    """A parameter times a factor, whose optimiser sees the gradient of the product: Adam learns so much faster."""

    @staticmethod
    def forward(ctx, x: Tensor, factor: float) -> Tensor:
        return x * factor

    @staticmethod
    def backward(ctx, grad: Tensor):
        return grad, None


class Reversed(torch.autograd.Function):
    """The same values; what learns from them climbs and does not descend."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx, grad: Tensor):
        return -grad


class Gates(nn.Module):
    """So many gates, each from 0 to 1: drawn in training, else fixed, and as many zero as are expected to be."""

    def __init__(self, number: int, rate: float):
        super().__init__()
        self.rate = rate
        self.odds = nn.Parameter(torch.randn(number) * 0.01 / rate)  # log odds, divided by rate

    def log_odds(self) -> Tensor:
        return Scaled.apply(self.odds, self.rate)

    def open(self) -> Tensor:
        """Probability that each is not zero."""
        return (self.log_odds() - SHIFT).sigmoid()

    def forward(self) -> Tensor:
        odds = self.log_odds()
        if self.training:
            u = torch.rand_like(odds).clamp(1e-6, 1 - 1e-6)
            s = ((u.log() - (1 - u).log() + odds) / BETA).sigmoid()
            return (s * (HIGH - LOW) + LOW).clamp(0, 1)
        values = (odds / BETA * MAGIC).sigmoid()
        zeros = len(odds) - max(1, round(float(self.open().detach().sum())))  # one is always left
        if zeros:
            values = values.scatter(0, odds.topk(zeros, largest=False).indices, 0.0)
        return values


class PrunedStudent(DistilledEncoder):
    """A student with the teacher's layout, whose hidden states stand for those of the teacher's same layers.

    Args:
        encoder: what it begins as: a HuBERT or wav2vec 2.0.
        layers: of the teacher.
        units: of the teacher.
        head: whether there is an enhancement head; its input is the output of the convolutions.
    """

    def __init__(self, config: PrunedConfig, encoder: SslEncoder, layers: list[int], units: int, head: bool):
        super().__init__()
        self.config, self.encoder, self.layers, self.units = config, encoder, layers, units
        self.num_layers = encoder.num_layers
        channels = encoder.net.feature_extractor.conv_layers[-1].conv.out_channels
        self.head = EnhancementHead(channels) if head else None
        if len(config.groups) != len(layers) or set(config.groups) != set(range(max(config.groups) + 1)):
            raise UserError(f"model.groups {config.groups}: a number for each of teacher.layers {layers}, from 0 on")
        if config.prune and hasattr(encoder.net.encoder.transformer.layers[0].attention, "rel_attn_embed"):
            raise UserError("a WavLM cannot be pruned: take a HuBERT or wav2vec 2.0, or --model.prune '[]'")
        if "conv" in config.prune and encoder.net.feature_extractor.conv_layers[1].layer_norm is not None:
            raise UserError("channels that are normalised together cannot be pruned: leave conv out of model.prune")
        width = encoder.net.encoder.feature_projection.projection.out_features
        projections = [Linear(width, units) for _ in set(config.groups)]
        self.projections = nn.ModuleList(projections)
        for projection in projections:
            nn.init.eye_(projection.weight)
            nn.init.zeros_(projection.bias)
        self.gates = nn.ModuleDict()
        self.multipliers = nn.Parameter(torch.zeros(2))
        for name, place, number, repeat in gated(encoder, config.prune):
            gates = Gates(number, config.gate_rate)
            self.gates[name] = gates
            place.register_forward_pre_hook(_gating_hook(gates, repeat))
        self.whole = float(remaining(encoder, {}))

    def predict(self, waveforms: list[Tensor]) -> StudentOutput:
        """Waveforms (samples,) of any lengths, as one batch."""
        features, lengths = self.encoder.convolve(waveforms)
        states = self.encoder.transform(features, lengths, self.layers)
        rows = [self.projections[group](state) for group, state in zip(self.config.groups, states, strict=True)]
        return StudentOutput(rows, lengths, features)

    def forward(self, waveforms: list[Tensor], layers: list[int]) -> tuple[list[Tensor], Tensor]:
        """Hidden states as of `SslEncoder`."""
        return self.encoder(waveforms, layers)

    def penalties(self, epoch: int) -> dict[str, Tensor]:
        return {"sparsity": self.penalty(epoch)} if self.config.prune else {}

    def figures(self) -> dict[str, float]:
        return {"sparsity": float(self.sparsity())} if self.config.prune else {}

    def final_encoder(self) -> SslEncoder:
        return self.pruned() if self.config.prune else self.encoder

    def sparsity(self) -> Tensor | float:
        """Expected share of the encoder's parameters that are gone; a number where nothing can be pruned."""
        kept = {name: gates.open().mean() for name, gates in self.gates.items() if isinstance(gates, Gates)}
        return 1 - remaining(self.encoder, kept) / self.whole

    def penalty(self, epoch: int) -> Tensor:
        """Of a sparsity that is not the target; its own weights grow as long as it is not."""
        target = self.config.sparsity * min(1.0, epoch / max(1, self.config.ramp_epochs))
        gap = torch.as_tensor(self.sparsity()) - target
        first, second = Reversed.apply(Scaled.apply(self.multipliers, self.config.gate_rate))
        return first * gap + second * gap.square()

    @torch.no_grad()
    def pruned(self) -> SslEncoder:
        """The encoder without what closed gates multiply; open ones are part of its weights. In eval mode."""
        values = {name: gates.eval()() for name, gates in self.gates.items()}
        net = copy.deepcopy(self.encoder.net)
        for module in net.modules():
            module._forward_pre_hooks.clear()
        for name, place, _, repeat in gated(SslEncoder(net, False), self.config.prune):
            value = values[name]
            kept = value.nonzero().flatten()
            inputs = (kept[:, None] * repeat + torch.arange(repeat, device=kept.device)).flatten()
            scale = value[kept].repeat_interleave(repeat)
            place.weight = nn.Parameter(place.weight[:, inputs] * scale.view(1, -1, *[1] * (place.weight.dim() - 2)))
            for source in _sources(net, name):
                for kind in ("weight", "bias"):
                    if getattr(source, kind, None) is not None:
                        setattr(source, kind, nn.Parameter(getattr(source, kind)[inputs]))
            _set_sizes(net, name, place, len(kept))
        return SslEncoder(net, self.encoder.normalise).eval()


def gated(encoder: SslEncoder, parts: Sequence[str]) -> list[tuple[str, nn.Conv1d | nn.Linear, int, int]]:
    """(name, module whose inputs are gated, gates, inputs of each) of all that can be pruned.

    The last convolution keeps its channels: they are normalised together after it.
    """
    found: list[tuple[str, nn.Conv1d | nn.Linear, int, int]] = []
    if "conv" in parts:
        layers = encoder.net.feature_extractor.conv_layers
        found += [(f"conv{i}", layers[i].conv, layers[i].conv.in_channels, 1) for i in range(1, len(layers))]
    for i, layer in enumerate(encoder.net.encoder.transformer.layers):
        attention, dense = layer.attention, layer.feed_forward.output_dense
        if "heads" in parts:
            found.append((f"heads{i}", attention.out_proj, attention.num_heads, attention.head_dim))
        if "feedforward" in parts:
            found.append((f"feedforward{i}", dense, dense.in_features, 1))
    return found


def remaining(encoder: SslEncoder, kept: dict[str, Tensor]) -> Tensor | float:
    """Parameters of the whole encoder, where of some parts a share is kept."""
    total: Tensor | float = float(sum(p.numel() for p in encoder.parameters()))
    layers = encoder.net.feature_extractor.conv_layers
    for i, layer in enumerate(layers):
        inputs, outputs = kept.get(f"conv{i}", 1.0), kept.get(f"conv{i + 1}", 1.0)
        others = sum(p.numel() for p in layer.parameters()) - layer.conv.weight.numel()
        weights = layer.conv.weight.numel()
        total = total - weights * (1 - inputs * outputs) - others * (1 - outputs)
    for i, layer in enumerate(encoder.net.encoder.transformer.layers):
        for name, part in ((f"heads{i}", layer.attention), (f"feedforward{i}", layer.feed_forward)):
            number = sum(p.numel() for p in part.parameters())
            stays = len(layer.layer_norm.bias)  # the bias of the output
            total = total - (number - stays) * (1 - kept.get(name, 1.0))
    return total


def _gating_hook(gates: Gates, repeat: int):
    """What multiplies the inputs of a module (..., inputs) by the gates."""

    def hook(_: nn.Module, arguments: tuple) -> tuple:
        return (arguments[0] * gates().repeat_interleave(repeat), *arguments[1:])

    return hook


def _sources(net: Wav2Vec2Model, name: str) -> list[nn.Conv1d | nn.GroupNorm | nn.Linear]:
    """The modules whose outputs are gated."""
    kind, number = name.rstrip("0123456789"), int(name.lstrip("abcdefghijklmnopqrstuvwxyz"))
    if kind == "conv":
        layer = net.feature_extractor.conv_layers[number - 1]
        return [layer.conv, *([layer.layer_norm] if layer.layer_norm is not None else [])]
    layer = net.encoder.transformer.layers[number]
    if kind == "heads":
        return [layer.attention.q_proj, layer.attention.k_proj, layer.attention.v_proj]
    return [layer.feed_forward.intermediate_dense]


def _set_sizes(net: Wav2Vec2Model, name: str, place: nn.Conv1d | nn.Linear, kept: int) -> None:
    """Let modules know the sizes of the weights that they have got."""
    for source in _sources(net, name):
        if isinstance(source, nn.Conv1d):
            source.out_channels = kept
        elif isinstance(source, nn.GroupNorm):
            source.num_channels = source.num_groups = kept
        else:
            source.out_features = source.weight.shape[0]
    if isinstance(place, nn.Conv1d):
        place.in_channels = kept
    else:
        place.in_features = place.weight.shape[1]
    if name.startswith("heads"):
        net.encoder.transformer.layers[int(name[5:])].attention.num_heads = kept
