"""Self-supervised speech encoders as perceptual models, from files on this machine: wav2vec 2.0 (Baevski et al., 2020),
HuBERT (Hsu et al., 2021) and WavLM (Chen et al., 2022). The networks are torchaudio's."""

import json
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torchaudio.models import Wav2Vec2Model, wav2vec2_model, wavlm_model

from mimic.errors import UserError
from mimic.models.masking import valid_frames

KINDS = ("wav2vec2", "hubert", "wavlm")
RATE = 16000  # Hz
SHORTEST = 400  # samples that give one frame
DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
MAX_DISTANCE = 800  # of WavLM's relative positions, in every published one


class SslEncoder(nn.Module):
    """Waves at 16 kHz -> hidden states, one vector per 20 ms.

    Hidden state 0 is the input of the first transformer layer, n the output of layer n, before the closing
    normalisation that some networks have.

    Args:
        net: a network of torchaudio.
        normalise: bring each wave to mean 0 and variance 1 first, as the network was trained.
    """

    def __init__(self, net: Wav2Vec2Model, normalise: bool):
        super().__init__()
        self.net, self.normalise = net, normalise
        self.num_layers = len(net.encoder.transformer.layers)

    def forward(self, waves: list[Tensor], layers: list[int]) -> tuple[list[Tensor], Tensor]:
        """Waves (samples,) of any lengths -> the wanted hidden states (batch, frames, units), and lengths (batch,).

        An utterance's frames do not depend on its batch: the convolutions, whose normalisation may run over time,
        take one wave at a time, and the transformer neither hears nor attends to padding.
        """
        encoder, transformer = self.net.encoder, self.net.encoder.transformer
        rows = [self._convolve(wave) for wave in waves]
        lengths = torch.tensor([len(row) for row in rows], device=rows[0].device)
        x = encoder.feature_projection(pad_sequence(rows, batch_first=True))  # (batch, frames, units)
        padding = ~valid_frames(lengths, x.shape[1])
        x = x.masked_fill(padding.unsqueeze(2), 0)
        x = x + transformer.pos_conv_embed(x)
        if transformer.layer_norm_first:  # torchaudio's name for: here, not at the end
            x = transformer.layer_norm(x)
        masks: dict[str, Tensor] = {}
        if padding.any():
            mask = torch.zeros_like(padding, dtype=x.dtype).masked_fill(padding, -torch.inf)
            if hasattr(transformer.layers[0].attention, "rel_attn_embed"):  # WavLM
                masks["key_padding_mask"] = mask
            else:
                masks["attention_mask"] = mask[:, None, None].expand(-1, 1, x.shape[1], -1)
        states, bias = {0: x}, None
        for number, layer in enumerate(transformer.layers[: max(layers)], 1):
            x, bias = layer(x, position_bias=bias, **masks)
            states[number] = x
        return [states[layer] for layer in layers], lengths

    def num_frames(self, samples: Tensor) -> Tensor:
        """Frames of waves of these lengths (batch,)."""
        frames = samples.clamp(min=SHORTEST)
        for layer in self.net.feature_extractor.conv_layers:
            frames = (frames - layer.kernel_size) // layer.stride + 1
        return frames

    def _convolve(self, wave: Tensor) -> Tensor:
        """(samples,) -> (frames, channels)."""
        if self.normalise:
            wave = F.layer_norm(wave, wave.shape)
        wave = F.pad(wave, (0, max(0, SHORTEST - len(wave))))
        return self.net.feature_extractor(wave[None], None)[0][0]


def is_ssl(path: Path) -> bool:
    """Whether `path` is what `load` reads: a file of weights, or a directory with config.json."""
    return path.is_file() or (path / "config.json").is_file()


def load(path: Path) -> SslEncoder:
    """Read an encoder, frozen and in eval mode.

    Args:
        path: a state dictionary (.pt, .pth) as torchaudio.pipelines downloads them, or a directory of transformers:
            config.json with model.safetensors or pytorch_model.bin.

    Raises UserError for what is not such an encoder. Nothing that the files hold is executed.
    """
    overrides: dict[str, Any] = {}
    normalise = None
    if path.is_file():
        state = {name: value for name, value in _read(path).items() if not name.startswith("aux.")}
    else:
        state, overrides, normalise = _transformers(path)
    try:
        settings = infer(state) | overrides
        build = wavlm_model if "encoder_num_buckets" in settings else wav2vec2_model
        with torch.device("meta"):  # no time is spent on random weights
            net = build(**settings)
        net.load_state_dict({name: value.float() for name, value in state.items()}, assign=True)
    except (KeyError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: not a wav2vec 2.0, HuBERT or WavLM encoder as published ({reason})") from None
    if normalise is None:
        normalise = settings["extractor_mode"] == "layer_norm"
    return SslEncoder(net, normalise).requires_grad_(False).eval()


def infer(state: dict[str, Tensor]) -> dict[str, Any]:
    """Arguments of torchaudio's wav2vec2_model or wavlm_model from the names and shapes of its weights.

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
    first = "encoder.transformer.layers.0."
    settings = {
        "extractor_mode": "layer_norm" if large else "group_norm",
        "extractor_conv_layer_config": [(k[0], k[2], 2 if i else 5) for i, k in enumerate(kernels)],
        "extractor_conv_bias": "feature_extractor.conv_layers.0.conv.bias" in state,
        "encoder_embed_dim": units,
        "encoder_pos_conv_kernel": kernel[2],
        "encoder_pos_conv_groups": units // kernel[1],
        "encoder_num_layers": _count(state, "encoder.transformer.layers"),
        "encoder_num_heads": units // 64 if units <= 1024 else 16,
        "encoder_ff_interm_features": len(state[f"{first}feed_forward.intermediate_dense.bias"]),
        "encoder_layer_norm_first": large,
        "aux_num_out": None,
    }
    dropouts = ("projection_dropout", "attention_dropout", "ff_interm_dropout", "dropout", "layer_drop")
    settings |= {f"encoder_{name}": 0.0 for name in dropouts}  # never used: the encoder stays in eval mode
    positions = state.get(f"{first}attention.rel_attn_embed.weight")  # (buckets, heads), of WavLM
    if positions is not None:
        settings |= {"encoder_num_buckets": positions.shape[0], "encoder_num_heads": positions.shape[1]}
        settings["encoder_max_distance"] = MAX_DISTANCE
    return settings


def _transformers(directory: Path) -> tuple[dict[str, Tensor], dict[str, Any], bool | None]:
    """Weights under torchaudio's names, what config.json says beyond their shapes, whether waves are normalised."""
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    if config.get("model_type") not in KINDS:
        raise UserError(f"{directory}: model_type is {config.get('model_type')}: expected one of {', '.join(KINDS)}")
    for name in ("hidden_act", "feat_extract_activation"):
        if config.get(name, "gelu") != "gelu":
            raise UserError(f"{directory}: {name} is {config[name]}: only gelu, as published, is supported")
    files = [directory / name for name in ("model.safetensors", "pytorch_model.bin")]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise UserError(f"{directory}: expected model.safetensors or pytorch_model.bin beside config.json")
    state = _renamed(_read(file))
    strides = config.get("conv_stride", (5, 2, 2, 2, 2, 2, 2))
    shapes = [state[f"feature_extractor.conv_layers.{i}.conv.weight"].shape for i in range(len(strides))]
    overrides = {
        "extractor_conv_layer_config": [(k[0], k[2], stride) for k, stride in zip(shapes, strides, strict=True)],
        "encoder_layer_norm_first": config.get("do_stable_layer_norm", False),
        "encoder_num_heads": config.get("num_attention_heads", 12),
    }
    if config["model_type"] == "wavlm":
        overrides["encoder_max_distance"] = config.get("max_bucket_distance", MAX_DISTANCE)
    try:
        front_end = json.loads((directory / "preprocessor_config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return state, overrides, None
    return state, overrides, front_end.get("do_normalize")


def _renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights under transformers' names -> those of the encoder alone under torchaudio's."""
    renamed = {}
    for name, value in state.items():
        name = re.sub(rf"^({'|'.join(KINDS)})\.", "", name)  # the encoder within a model with a head
        name = re.sub(r"^encoder\.", "encoder.transformer.", name)
        name = re.sub(r"^feature_projection\.", "encoder.feature_projection.", name)
        if name.startswith(("encoder.", "feature_extractor.")):
            renamed[name] = value
    for gate in [name for name in renamed if name.endswith(".gru_rel_pos_const")]:  # WavLM: one matrix for all three
        attention = gate.removesuffix("gru_rel_pos_const")
        for kind in ("weight", "bias"):
            parts = [renamed.pop(f"{attention}{part}_proj.{kind}") for part in "qkv"]
            renamed[f"{attention}attention.in_proj_{kind}"] = torch.cat(parts)
            renamed[f"{attention}attention.out_proj.{kind}"] = renamed.pop(f"{attention}out_proj.{kind}")
    return renamed


def _read(file: Path) -> dict[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            return _read_safetensors(file)
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever the damaged bytes lead to
        raise UserError(f"{file}: weights cannot be read ({type(error).__name__}): download the file again") from None


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    """Tensors of floats: 8 bytes with the size of a JSON header, that header, the values one after the other."""
    data = bytearray(file.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    state = {}
    for name, entry in header.items():
        if (dtype := DTYPES.get(entry.get("dtype"))) is not None:
            first, last = entry["data_offsets"]
            values = torch.frombuffer(data, dtype=dtype, count=(last - first) // dtype.itemsize, offset=start + first)
            state[name] = values.view(entry["shape"])
    return state


def _count(state: dict[str, Tensor], prefix: str) -> int:
    """How many numbered parts there are below `prefix`."""
    return len({name[len(prefix) + 1 :].partition(".")[0] for name in state if name.startswith(f"{prefix}.")})
