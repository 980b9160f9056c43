"""Tiny self-supervised encoders with random weights, and inputs for them."""

import torch
from torchaudio.models import wav2vec2_model, wavlm_model

CONVOLUTIONS = [(16, 10, 5), (16, 3, 2), (16, 3, 2), (16, 3, 2), (16, 3, 2), (16, 2, 2), (16, 2, 2)]


def tiny(kind: str) -> torch.nn.Module:
    """A network of torchaudio: the published layout, few units, random weights of every part."""
    torch.manual_seed(1)
    large = kind == "layer_norm"
    sizes = {
        "extractor_mode": "layer_norm" if large else "group_norm",
        "extractor_conv_layer_config": CONVOLUTIONS,
        "extractor_conv_bias": large,
        "encoder_embed_dim": 128,
        "encoder_pos_conv_kernel": 16,
        "encoder_pos_conv_groups": 4,
        "encoder_num_layers": 3,
        "encoder_num_heads": 2,
        "encoder_ff_interm_features": 24,
        "encoder_layer_norm_first": large,
        "aux_num_out": 5,
    }
    names = ("projection_dropout", "attention_dropout", "ff_interm_dropout", "dropout", "layer_drop")
    sizes |= {f"encoder_{name}": 0.1 for name in names}
    if kind == "wavlm":
        net = wavlm_model(**sizes, encoder_num_buckets=32, encoder_max_distance=800)
    else:
        net = wav2vec2_model(**sizes)
    for parameter in net.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return net.eval()


def waveforms() -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(2)
    return [0.1 * torch.randn(n, generator=draw) for n in (9000, 16000, 12345)]
