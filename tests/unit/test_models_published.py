"""The other published networks: sizes, independence of padding, gradients, and training of tiny versions."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mimic.errors import UserError
from mimic.frontend.cmvn import Cmvn
from mimic.nets import ENCODERS, LMS, MASKS
from mimic.nets.attention_decoder import AttentionDecoder, DecoderConfig
from mimic.nets.conformer import Attention, Conformer, ConformerConfig, Frames, rotary
from mimic.nets.crdnn import CrdnnConfig, CrdnnMask
from mimic.nets.enhancers import MaskConfig, MaskEnhancer
from mimic.nets.lm import LmState, RnnLm, RnnLmConfig
from mimic.nets.masking import normalise_channels
from mimic.nets.recogniser import RecogniserNet
from mimic.nets.wide_resnet import WideResnet, WideResnetConfig
from mimic.tasks import config as configuration

CONFORMER = ConformerConfig(channels=4, layers=2, units=16, heads=2, feedforward=24, kernel=5)
LM = RnnLmConfig(embedding=4, layers=2, units=8, dnn_units=6)
RESNET = WideResnetConfig(channels=[3, 4], dnn_layers=1, dnn_units=8)
MASK_NETS = {
    "crdnn": CrdnnConfig(channels=[2, 2], rnn_layers=1, rnn_units=4, dnn_layers=1, dnn_units=8),
    "wide_resnet": RESNET,
}


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def shipped(repository: Path, name: str) -> configuration.Config:
    return configuration.read(repository / "conf" / name)


@pytest.mark.parametrize(
    ("name", "inputs", "nets", "expected"),
    [
        ("enhance_crdnn.yaml", 257, MASKS, 24_246_401),
        ("enhance_resnet.yaml", 257, MASKS, 22_290_561),
        ("lm.yaml", 1000, LMS, 53_104_104),
        ("asr_conformer.yaml", 80, ENCODERS, 106_235_136),
    ],
)
def test_sizes_of_the_shipped_configurations(repository, name, inputs, nets, expected):
    config = shipped(repository, name)
    with torch.device("meta"):
        assert parameters(nets[config.net][0](inputs, config.model)) == expected


def test_size_of_the_recogniser_decoder(repository):
    config = shipped(repository, "asr.yaml").decoder
    assert config == shipped(repository, "asr_conformer.yaml").decoder
    with torch.device("meta"):
        decoder = AttentionDecoder(512, 1000, config)
    assert parameters(decoder.embedding) == 128_000
    assert parameters(decoder.output) == 1_025_000
    assert parameters(decoder) - 128_000 - 1_025_000 == 10_903_514


def test_parts_of_the_wide_resnet():
    with torch.device("meta"):
        model = WideResnet(257, WideResnetConfig())
    blocks = [329_984, 476_288, 1_607_936, 1_902_848, 6_427_136, 7_606_784]
    assert [parameters(block) for block in model.blocks] == blocks
    assert parameters(model.dnn) + parameters(model.output) == 3_939_585


def test_perceptual_settings_of_2026(repository):
    old, new = shipped(repository, "perceptual.yaml"), shipped(repository, "perceptual_2026.yaml")
    assert (new.model, new.decoder) == (old.model, old.decoder)
    assert (new.loss.ctc_epochs, new.train.lr, new.train.lr_factor, new.train.lr_every) == (4, 2e-4, 0.7, 3)


def run_twice(model: nn.Module, x: Tensor, lengths: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Each utterance's output in a batch whose padding is not zero, and alone."""
    padded = x.clone()
    for row, length in enumerate(lengths):
        padded[row, length:] = 50.0
    together, frames = _outputs(model, padded, lengths)
    pairs = []
    for row, length in enumerate(lengths):
        alone, _ = _outputs(model, x[row : row + 1, :length], length[None])
        assert alone.shape[1] == frames[row]
        pairs.append((together[row, : frames[row]], alone[0]))
    return pairs


def _outputs(model: nn.Module, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    result = model(x, lengths)
    return result if isinstance(result, tuple) else (result, lengths)


@pytest.mark.parametrize("bins", [257, 40])
@pytest.mark.parametrize("kind", MASK_NETS)
def test_mask_networks_do_not_see_padding(kind, bins):
    torch.manual_seed(0)
    model = MASKS[kind][0](bins, MASK_NETS[kind]).eval()
    x = torch.randn(4, 23, bins)
    assert model(x, torch.full((4,), 23)).shape == x.shape
    for together, alone in run_twice(model, x, torch.tensor([23, 11, 2, 1])):
        assert (together >= 0).all() and (together > 0).any()
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_conformer_does_not_see_padding():
    torch.manual_seed(0)
    model = Conformer(40, CONFORMER).eval()
    lengths = torch.tensor([50, 31, 4, 1])
    assert model.output_lengths(lengths).tolist() == [13, 8, 1, 1]
    for together, alone in run_twice(model, torch.randn(4, 50, 40), lengths):
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["wide_resnet", "conformer"])
def test_training_statistics_leave_padding_out(kind):
    torch.manual_seed(0)
    make = {"wide_resnet": lambda: WideResnet(40, RESNET), "conformer": lambda: Conformer(40, CONFORMER)}[kind]
    quiet, loud = make(), make()
    loud.load_state_dict(quiet.state_dict())
    x, lengths = torch.randn(2, 21, 40), torch.tensor([21, 9])
    louder = x.clone()
    louder[1, 9:] = 1e3
    for model, features in ((quiet, x), (loud, louder)):
        torch.manual_seed(1)  # the same dropout
        model(features, lengths)
    buffers = dict(quiet.named_buffers())
    assert any(name.endswith("running_mean") for name in buffers)
    for name, value in loud.named_buffers():
        torch.testing.assert_close(value, buffers[name], msg=name)


def test_batch_normalisation_is_that_of_the_real_frames():
    x, lengths = torch.randn(2, 7, 5, 3), torch.tensor([7, 4])
    y = normalise_channels(nn.BatchNorm1d(3), x, lengths)
    real = torch.cat([x[0], x[1, :4]]).flatten(0, 1)  # (real frames * bins, channels)
    expected = (real - real.mean(0)) / (real.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(torch.cat([y[0], y[1, :4]]).flatten(0, 1), expected, atol=1e-5, rtol=1e-5)


def test_conformer_attention_sees_distances_only():
    torch.manual_seed(0)
    attention = Attention(16, 2, 0.0).eval()
    x, frames = torch.randn(9, 16), Frames(torch.tensor([9]), 9)
    cos, sin = rotary(30, 8, torch.device("cpu"))
    early, late = (attention(x, frames, (cos[start : start + 9], sin[start : start + 9])) for start in (0, 21))
    torch.testing.assert_close(early, late, atol=1e-5, rtol=1e-5)
    nowhere = attention(x, frames, (cos[:1].expand(9, 1, 1, 4), sin[:1].expand(9, 1, 1, 4)))
    assert not torch.allclose(early, nowhere, atol=1e-3)


@pytest.mark.parametrize("kind", ["crdnn", "wide_resnet", "conformer", "lm"])
def test_gradient_reaches_every_parameter(kind):
    torch.manual_seed(0)
    lengths = torch.tensor([13, 9])
    if kind == "lm":
        model = RnnLm(7, LM)
        output = model(torch.randint(0, 7, (2, 13)))
    else:
        nets = {"conformer": (Conformer, CONFORMER)} | {name: (MASKS[name][0], c) for name, c in MASK_NETS.items()}
        network, config = nets[kind]
        model = network(24, config)
        output, _ = _outputs(model, torch.randn(2, 13, 24), lengths)
    (output * torch.randn_like(output)).sum().backward()
    # A bias in front of a normalisation moves nothing, so only its tensor, not its size, is asked for.
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    assert all(p.grad.abs().sum() > 0 for p in model.parameters() if p.ndim > 1)


def test_mask_of_2026_stays_between_its_limits():
    torch.manual_seed(0)
    net = WideResnet(40, RESNET).eval()
    nn.init.normal_(net.output.bias, std=30.0)  # masks far beyond one, and at zero
    features, lengths = torch.rand(1, 9, 40) + 0.1, torch.tensor([9])
    enhanced = MaskEnhancer(net, MaskConfig("complex", 0.99, 1.0))(features, lengths)
    gain = enhanced.expm1() / features.expm1()
    torch.testing.assert_close(gain.min(), torch.tensor(0.01), atol=1e-4, rtol=0)
    torch.testing.assert_close(gain.max(), torch.tensor(1.0), atol=1e-4, rtol=0)


def test_mask_network_with_fewer_frames_is_refused():
    with pytest.raises(UserError, match="time_pooling 4"):
        CrdnnMask(40, CrdnnConfig(channels=[2], time_pooling=4))


def test_mimic_loss_of_a_conformer():
    """Its outputs after the last layer serve; parts that it has not are named."""
    identity = np.stack([np.append(np.zeros(40), 1.0), np.append(np.ones(40), 0.0)])
    model = RecogniserNet(
        Conformer(40, CONFORMER), Cmvn(identity, norm_vars=True), False, 6, DecoderConfig(4, 6, 5, 2, 2)
    ).eval()
    features = torch.randn(2, 13, 40, requires_grad=True)
    logits, lengths = model.embed(features, torch.tensor([13, 9]), "logits")
    assert logits.shape == (2, 4, 6) and lengths.tolist() == [4, 3]
    logits.square().sum().backward()
    assert features.grad.abs().sum() > 0
    for layer in ("cnn", "rnn", "dnn"):
        with pytest.raises(UserError, match=f"mimic_layer {layer}: this perceptual model has only logits"):
            model.embed(features, torch.tensor([13, 9]), layer)


def test_lm_steps_equal_teacher_forcing_in_any_order_of_hypotheses():
    torch.manual_seed(0)
    model = RnnLm(7, LM).eval()
    previous = torch.randint(0, 7, (3, 5))
    expected = model(previous)
    torch.testing.assert_close(expected.exp().sum(2), torch.ones(3, 5))
    state = model.start(3)
    order = torch.arange(3)
    for i in range(5):
        log_probs, state = model.step(previous[order, i], state)
        torch.testing.assert_close(log_probs, expected[order, i])
        chosen = torch.tensor([2, 0, 1])
        order, state = order[chosen], LmState(*(part[chosen] for part in state))
