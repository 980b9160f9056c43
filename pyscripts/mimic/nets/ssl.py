"""Self-supervised speech encoders, from files on this machine: wav2vec 2.0 (Baevski et al., 2020), HuBERT (Hsu et al.,
2021) and WavLM (Chen et al., 2022). Teachers, students and perceptual models. The networks are torchaudio's."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torchaudio.models import Wav2Vec2Model, wav2vec2_model, wavlm_model

from mimic.errors import UserError
from mimic.nets.masking import tracing, valid_frames
from mimic.nets.products import adopt, linear
from mimic.nets.ssl_files import MAX_DISTANCE, read_directory, read_weights
from mimic.settings import BelowOne, Count

RATE = 16000  # Hz
SHORTEST = 400  # samples that give one frame
DROPOUTS = ("projection_dropout", "attention_dropout", "dropout")
CONVOLUTIONS = ((10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2))  # kernel, stride


@dataclass
class EncoderConfig:
    """Sizes of an encoder with the layout of HuBERT Base.

    Attributes:
        layers: transformer layers.
        units: of each of them.
        heads: of their attention.
        feedforward: units between the two dense layers of each.
        channels: of all seven convolutions.
        position_kernel: frames that the positional convolution spans.
        position_groups: of its channels.
        dropout: of the transformer.
    """

    layers: Count = 2
    units: Count = 768
    heads: Count = 12
    feedforward: Count = 3072
    channels: Count = 512
    position_kernel: Count = 128
    position_groups: Count = 16
    dropout: BelowOne = 0.1

    def check(self) -> str:
        """What does not fit, see `mimic.settings.build`."""
        odd = self.units % self.heads or self.units % self.position_groups
        return f"heads and position_groups have to divide units, {self.units}" if odd else ""


class FramesFirst(nn.Conv1d):
    """A convolution of (batch, frames, channels) as one matrix product: two thirds of the time on a CPU."""

    @classmethod
    def like(cls, conv: nn.Conv1d) -> "FramesFirst":
        """The same convolution with the same parameters; nothing is drawn for weights that would be thrown away."""
        sizes = conv.in_channels, conv.out_channels, conv.kernel_size[0], conv.stride[0]
        made = nn.utils.skip_init(cls, *sizes, bias=conv.bias is not None)
        made.weight, made.bias = conv.weight, conv.bias
        return made

    def forward(self, x: Tensor) -> Tensor:
        (size,), (stride,) = self.kernel_size, self.stride
        # Up to the last window that is whole. A trace must not see the number of frames.
        windows = torch.cat([x[:, i : (i - size + 1) or None : stride] for i in range(size)], dim=2)
        return linear(windows, self.weight.transpose(1, 2).flatten(1), self.bias)


class SslEncoder(nn.Module):
    """Waveforms at 16 kHz -> hidden states, one vector per `stride` samples (20 ms in published networks).

    Hidden state 0 is the input of the first transformer layer, n the output of layer n, before the closing
    normalisation that some networks have.

    Args:
        net: a network of torchaudio.
        normalise: bring each waveform to mean 0 and variance 1 first, as the network was trained.
    """

    def __init__(self, net: Wav2Vec2Model, normalise: bool):
        super().__init__()
        self.net, self.normalise = net, normalise
        self.num_layers = len(net.encoder.transformer.layers)
        for layer in net.feature_extractor.conv_layers[1:]:
            layer.conv = FramesFirst.like(layer.conv)
        adopt(net)

    @property
    def stride(self) -> int:
        """Samples from one frame to the next."""
        return math.prod(layer.stride for layer in self.net.feature_extractor.conv_layers)

    def forward(self, waveforms: list[Tensor], layers: list[int]) -> tuple[list[Tensor], Tensor]:
        """Waveforms (samples,) of any lengths -> the wanted hidden states (batch, frames, units), lengths (batch,)."""
        features, lengths = self.convolve(waveforms)
        return self.transform(features, lengths, layers), lengths

    def convolve(self, waveforms: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Waveforms (samples,) -> features (batch, frames, channels), their lengths (batch,).

        An utterance's frames do not depend on its batch: the convolutions reach no padding, and the normalisation that
        runs over time takes each utterance by itself.
        """
        rows = [_normalised(waveform) if self.normalise else waveform for waveform in waveforms]
        rows = [F.pad(row, (0, max(0, SHORTEST - len(row)))) for row in rows]
        x = pad_sequence(rows, batch_first=True) if len(rows) > 1 else rows[0][None]  # ONNX has no pad_sequence
        first, *others = self.net.feature_extractor.conv_layers
        x = first.conv(x.unsqueeze(1))  # (batch, channels, frames)
        sizes = [(len(row) - first.kernel_size) // first.stride + 1 for row in rows]
        if isinstance(first.layer_norm, nn.GroupNorm) and min(sizes) < max(sizes):
            parts = [first.layer_norm(row[None, :, :size]) for row, size in zip(x, sizes, strict=True)]
            x = torch.cat([F.pad(part, (0, x.shape[2] - part.shape[2])) for part in parts])
        elif first.layer_norm is not None:
            x = first.layer_norm(x)
        x = F.gelu(x).transpose(1, 2).contiguous()  # (batch, frames, channels)
        for layer in others:
            x = layer.conv(x)
            if layer.layer_norm is not None:
                x = nn.LayerNorm.forward(layer.layer_norm, x)  # torchaudio's own expects frames last
            x = F.gelu(x)
        return x, self.num_frames(torch.tensor([len(row) for row in rows], device=x.device))

    def transform(
        self, features: Tensor, lengths: Tensor, layers: list[int], hidden: tuple[Tensor, Tensor] | None = None
    ) -> list[Tensor]:
        """Features of `convolve` -> the wanted hidden states (batch, frames, units), which do not depend on padding.

        hidden: frames (batch, frames) in whose place the transformer gets a vector (units,).
        """
        encoder, transformer = self.net.encoder, self.net.encoder.transformer
        x = encoder.feature_projection(features)  # (batch, frames, units)
        if hidden is not None:
            x = torch.where(hidden[0].unsqueeze(2), hidden[1].to(x.dtype), x)
        masks: dict[str, Tensor] = {}
        if not tracing() and bool((lengths < x.shape[1]).any()):
            padding = ~valid_frames(lengths, x.shape[1])
            x = x.masked_fill(padding.unsqueeze(2), 0)
            mask = torch.zeros_like(padding, dtype=x.dtype).masked_fill(padding, -torch.inf)
            if hasattr(transformer.layers[0].attention, "rel_attn_embed"):  # WavLM
                masks["key_padding_mask"] = mask
            else:
                masks["attention_mask"] = mask[:, None, None].expand(-1, 1, x.shape[1], -1)
        x = x + transformer.pos_conv_embed(x)
        if transformer.layer_norm_first:  # torchaudio's name for: here, not at the end
            x = transformer.layer_norm(x)
        x = transformer.dropout(x)
        states, bias = {0: x}, None
        for number, layer in enumerate(transformer.layers[: max(layers)], 1):
            x, bias = layer(x, position_bias=bias, **masks)
            states[number] = x
        return [states[layer] for layer in layers]

    def num_frames(self, samples: Tensor) -> Tensor:
        """Frames of waveforms of these lengths (batch,)."""
        frames = samples.clamp(min=SHORTEST)
        for layer in self.net.feature_extractor.conv_layers:
            frames = (frames - layer.kernel_size) // layer.stride + 1
        return frames


def _normalised(waveform: Tensor) -> Tensor:
    """Mean 0 and variance 1, of (samples,)."""
    if tracing():  # the size of a graph's input is not known
        return (waveform - waveform.mean()) / (waveform.var(unbiased=False) + 1e-5).sqrt()
    return F.layer_norm(waveform, waveform.shape)


def is_ssl(path: Path) -> bool:
    """Whether `path` is what `load` reads: a file of weights, or a directory with config.json."""
    return path.is_file() or (path / "config.json").is_file()


def load(path: Path, dropout: float = 0.0) -> SslEncoder:
    """Read an encoder, frozen and in eval mode.

    Args:
        path: a state dictionary (.pt, .pth) as torchaudio.pipelines downloads them, or a directory of transformers:
            config.json with model.safetensors or pytorch_model.bin.
        dropout: share of what is dropped where the published networks do so, if it is put into training mode.

    Raises UserError for what is not such an encoder. Nothing that the files hold is executed.
    """
    overrides: dict[str, Any] = {}
    normalise = None
    try:
        if path.is_file():
            state = {name: value for name, value in read_weights(path).items() if not name.startswith("aux.")}
        else:
            state, overrides, normalise = read_directory(path)
        settings = infer(state) | overrides | {f"encoder_{name}": dropout for name in DROPOUTS}
        with torch.device("meta"):  # no time is spent on random weights
            net = build(settings)
        net.load_state_dict({name: value.float() for name, value in state.items()}, assign=True)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: not a wav2vec 2.0, HuBERT or WavLM encoder as published ({reason})") from None
    if normalise is None:
        normalise = settings["extractor_mode"] == "layer_norm"
    return SslEncoder(net, normalise).requires_grad_(False).eval()


def build(settings: dict[str, Any]) -> Wav2Vec2Model:
    """A network of torchaudio; beyond its arguments, `projection_norm` and of pruned ones `heads`, `feedforward`.

    projection_norm: whether features are normalised before they are projected; DistilHuBERT has none. heads,
    feedforward: of each layer.
    """
    settings = dict(settings)
    projection_norm, heads, feedforward = (settings.pop(key) for key in ("projection_norm", "heads", "feedforward"))
    net = (wavlm_model if "encoder_num_buckets" in settings else wav2vec2_model)(**settings)
    if not projection_norm:
        net.encoder.feature_projection.layer_norm = nn.Identity()
    layers = net.encoder.transformer.layers
    for layer, number, width in zip(layers, heads or [0] * len(layers), feedforward, strict=True):
        if number and number != layer.attention.num_heads:
            attention, units = layer.attention, layer.attention.embed_dim
            attention.num_heads = number
            for name in ("q_proj", "k_proj", "v_proj"):
                setattr(attention, name, nn.Linear(units, number * attention.head_dim))
            attention.out_proj = nn.Linear(number * attention.head_dim, units)
        if width != layer.feed_forward.intermediate_dense.out_features:
            units = layer.feed_forward.output_dense.out_features
            layer.feed_forward.intermediate_dense = nn.Linear(units, width)
            layer.feed_forward.output_dense = nn.Linear(width, units)
    return net


def base_network(config: EncoderConfig, projection_norm: bool) -> Wav2Vec2Model:
    """A network with random weights. Raises UserError for sizes that do not fit together."""
    settings = {
        "extractor_mode": "group_norm",
        "extractor_conv_layer_config": [(config.channels, *shape) for shape in CONVOLUTIONS],
        "extractor_conv_bias": False,
        "encoder_embed_dim": config.units,
        "encoder_pos_conv_kernel": config.position_kernel,
        "encoder_pos_conv_groups": config.position_groups,
        "encoder_num_layers": config.layers,
        "encoder_num_heads": config.heads,
        "encoder_ff_interm_features": config.feedforward,
        "encoder_layer_norm_first": False,
        "encoder_layer_drop": 0.0,
        "aux_num_out": None,
        "projection_norm": projection_norm,
        "heads": None,
        "feedforward": [config.feedforward] * config.layers,
    }
    return build(settings | {f"encoder_{name}": config.dropout for name in (*DROPOUTS, "ff_interm_dropout")})


def infer(state: dict[str, Tensor]) -> dict[str, Any]:
    """Arguments of `build` from the names and shapes of its weights.

    What shapes do not tell is taken from the published networks: strides of 5, 2, 2, ...; attention heads of 64 units
    up to 1024 units, 16 heads above; and layer normalisation between convolutions goes with it in front of each
    transformer layer. Raises KeyError where weights are missing.
    """
    convolutions = _count(state, "feature_extractor.conv_layers")
    kernels = [state[f"feature_extractor.conv_layers.{i}.conv.weight"].shape for i in range(convolutions)]
    units = len(state["encoder.feature_projection.projection.bias"])
    large = "feature_extractor.conv_layers.1.layer_norm.weight" in state
    position = "encoder.transformer.pos_conv_embed.conv."
    old, new = f"{position}weight_v", f"{position}parametrizations.weight.original1"
    kernel = state[old if old in state else new].shape  # (units, units / groups, width)
    layers = _count(state, "encoder.transformer.layers")
    dense = "encoder.transformer.layers.{}.feed_forward.intermediate_dense.bias"
    settings: dict[str, Any] = {
        "extractor_mode": "layer_norm" if large else "group_norm",
        "extractor_conv_layer_config": [(k[0], k[2], 2 if i else 5) for i, k in enumerate(kernels)],
        "extractor_conv_bias": "feature_extractor.conv_layers.0.conv.bias" in state,
        "encoder_embed_dim": units,
        "encoder_pos_conv_kernel": kernel[2],
        "encoder_pos_conv_groups": units // kernel[1],
        "encoder_num_layers": layers,
        "encoder_num_heads": units // 64 if units <= 1024 else 16,
        "encoder_ff_interm_features": len(state[dense.format(0)]),
        "encoder_layer_norm_first": large,
        "aux_num_out": None,
        "projection_norm": "encoder.feature_projection.layer_norm.weight" in state,
        "heads": None,
        "feedforward": [len(state[dense.format(i)]) for i in range(layers)],
    }
    settings |= {f"encoder_{name}": 0.0 for name in (*DROPOUTS, "ff_interm_dropout", "layer_drop")}
    positions = state.get("encoder.transformer.layers.0.attention.rel_attn_embed.weight")  # (buckets, heads), of WavLM
    if positions is not None:
        settings |= {"encoder_num_buckets": positions.shape[0], "encoder_num_heads": positions.shape[1]}
        settings["encoder_max_distance"] = MAX_DISTANCE
    return settings


def _count(state: dict[str, Tensor], prefix: str) -> int:
    """How many numbered parts there are below `prefix`."""
    return len({name[len(prefix) + 1 :].partition(".")[0] for name in state if name.startswith(f"{prefix}.")})
