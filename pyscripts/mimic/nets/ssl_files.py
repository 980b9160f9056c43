"""Self-supervised encoders on disk, in the format of transformers: config.json with model.safetensors."""

import json
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchaudio.models import Wav2Vec2Model

from mimic.errors import UserError
from mimic.io.atomic import replace
from mimic.io.lines import read_lines
from mimic.io.weights import check_weights, load_safetensors, save_safetensors

KINDS = ("wav2vec2", "hubert", "wavlm")
MAX_DISTANCE = 800  # of WavLM's relative positions, in every published one


def read_directory(directory: Path) -> tuple[dict[str, Tensor], dict[str, Any], bool | None]:
    """Weights under torchaudio's names, what config.json says beyond their shapes, whether waveforms are normalised."""
    config = read_json(directory / "config.json")
    if config.get("model_type") not in KINDS:
        raise UserError(f"{directory}: model_type is {config.get('model_type')}: expected one of {', '.join(KINDS)}")
    for name in ("hidden_act", "feat_extract_activation"):
        if config.get(name, "gelu") != "gelu":
            raise UserError(f"{directory}: {name} is {config[name]}: only gelu, as published, is supported")
    files = [directory / name for name in ("model.safetensors", "pytorch_model.bin")]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise UserError(f"{directory}: expected model.safetensors or pytorch_model.bin beside config.json")
    state = _renamed(read_weights(file))
    strides = config.get("conv_stride", (5, 2, 2, 2, 2, 2, 2))
    shapes = [state[f"feature_extractor.conv_layers.{i}.conv.weight"].shape for i in range(len(strides))]
    overrides = {
        "extractor_conv_layer_config": [(k[0], k[2], stride) for k, stride in zip(shapes, strides, strict=True)],
        "encoder_layer_norm_first": config.get("do_stable_layer_norm", False),
        "encoder_num_heads": config.get("num_attention_heads", 12),
        "heads": config.get("heads_of_layers"),
    }
    if config["model_type"] == "wavlm":
        overrides["encoder_max_distance"] = config.get("max_bucket_distance", MAX_DISTANCE)
    if not (directory / "preprocessor_config.json").exists():
        return state, overrides, None
    return state, overrides, read_json(directory / "preprocessor_config.json").get("do_normalize")


def read_json(path: Path) -> dict[str, Any]:
    """UserError for anything but an object of JSON."""
    try:
        values = json.loads("\n".join(line for _, line in read_lines(path)))
    except ValueError as error:
        raise UserError(f"{path}: not JSON: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected an object of JSON, as transformers writes it")
    return values


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


def read_weights(file: Path) -> dict[str, Tensor]:
    """Tensors by their names. UserError for anything else, and for NaN and infinity."""
    try:
        safe = file.suffix == ".safetensors"
        state = load_safetensors(file) if safe else torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever the damaged bytes lead to
        raise UserError(f"{file}: weights cannot be read ({type(error).__name__}): download the file again") from None
    check_weights(state, file, "download the file again")
    return state


def write_directory(net: Wav2Vec2Model, normalise: bool, directory: Path) -> None:
    """Write a HuBERT or wav2vec 2.0 network so that `ssl.load` and, unless it is pruned, transformers read it."""
    directory.mkdir(parents=True, exist_ok=True)
    state = {_back(name): value for name, value in net.state_dict().items()}
    save_safetensors({name: value.float() for name, value in state.items()}, directory / "model.safetensors")
    facts = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "do_normalize": normalise, "sampling_rate": 16000}
    for name, content in (("config.json", _describe(net)), ("preprocessor_config.json", facts)):
        with replace(directory / name) as f:
            json.dump(content, f, indent=2)
            f.write("\n")


def _describe(net: Wav2Vec2Model) -> dict[str, Any]:
    """config.json of transformers' HubertModel, of which wav2vec 2.0 without quantisation is one."""
    convolutions, transformer = net.feature_extractor.conv_layers, net.encoder.transformer
    layers, position = transformer.layers, transformer.pos_conv_embed.conv
    attention = layers[0].attention
    config = {
        "model_type": "hubert",
        "architectures": ["HubertModel"],
        "conv_dim": [layer.conv.out_channels for layer in convolutions],
        "conv_kernel": [layer.kernel_size for layer in convolutions],
        "conv_stride": [layer.stride for layer in convolutions],
        "conv_bias": convolutions[0].conv.bias is not None,
        "num_feat_extract_layers": len(convolutions),
        "feat_extract_norm": "group" if convolutions[1].layer_norm is None else "layer",
        "feat_proj_layer_norm": not isinstance(net.encoder.feature_projection.layer_norm, nn.Identity),
        "hidden_size": attention.embed_dim,
        "num_hidden_layers": len(layers),
        "num_attention_heads": attention.embed_dim // attention.head_dim,
        "intermediate_size": layers[0].feed_forward.intermediate_dense.out_features,
        "num_conv_pos_embeddings": position.kernel_size[0],
        "num_conv_pos_embedding_groups": position.groups,
        "do_stable_layer_norm": layers[0].layer_norm_first,
        "mask_time_prob": 0.0,
    }
    heads = [layer.attention.num_heads for layer in layers]
    if set(heads) != {config["num_attention_heads"]}:
        config |= {"architectures": ["pruned"], "heads_of_layers": heads}
    return config


def _back(name: str) -> str:
    """A weight's name under torchaudio -> under transformers."""
    name = name.replace("encoder.feature_projection.", "feature_projection.", 1)
    return name.replace("encoder.transformer.", "encoder.", 1)
