"""The other published networks: sizes, independence of padding, gradients, and training of tiny versions."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from task_maker import DECODER, SIZES, make_set, overrides
from torch import Tensor, nn

from mimic.errors import UserError
from mimic.frontend.cmvn import Cmvn
from mimic.models import load
from mimic.nets import ENCODERS, LMS, MASKS
from mimic.nets.attention_decoder import AttentionDecoder, DecoderConfig
from mimic.nets.conformer import Attention, Conformer, ConformerConfig, Frames, rotary
from mimic.nets.crdnn import CrdnnConfig
from mimic.nets.crdnn_mask import CrdnnMask
from mimic.nets.enhancers import MaskConfig, MaskEnhancer
from mimic.nets.lm import LmState, RnnLm, RnnLmConfig
from mimic.nets.masking import normalise_channels
from mimic.nets.recogniser import RecogniserNet
from mimic.nets.wide_resnet import WideResnet, WideResnetConfig
from mimic.tasks import TASKS
from mimic.tasks import config as configuration
from mimic.training import checkpoint
from mimic.training.loop import fit
from mimic.training.step import set_seed

CONFORMER = ConformerConfig(channels=4, layers=2, units=16, heads=2, feedforward=24, kernel=5)
LM = RnnLmConfig(embedding=4, layers=2, units=8, dnn_units=6)
RESNET = WideResnetConfig(channels=[3, 4], dnn_layers=1, dnn_units=8)
MASK_NETS = {
    "crdnn": CrdnnConfig(channels=[2, 2], rnn_layers=1, rnn_units=4, dnn_layers=1, dnn_units=8),
    "wide_resnet": RESNET,
}
TINY = {
    "asr": f"""
task: asr
net: conformer
model: {{channels: 2, layers: 1, units: 8, heads: 2, feedforward: 8, kernel: 3}}
decoder: {DECODER}
data: {{token_type: phn}}
augment: {{frequency_masks: 1, time_masks: 1}}
decode: {{ctc_weight: 0.5}}
train: {{epochs: 1, batch_size: 4, lr: 0.01, warmup: 2, optimiser: adamw}}
""",
    "crdnn": f"""
task: enhance
net: crdnn
model: {{{SIZES}}}
train: {{epochs: 1, batch_size: 8, lr: 0.01}}
""",
    "wide_resnet": """
task: enhance
net: wide_resnet
model: {channels: [2, 3], dnn_layers: 1, dnn_units: 8}
mask: {domain: complex, weight: 0.99, limit: 1.0}
loss: {distance: l1}
train: {epochs: 1, batch_size: 8, lr: 0.01}
""",
    "lm": """
task: lm
net: rnn
model: {embedding: 6, layers: 1, units: 12, dnn_units: 8}
data: {token_type: phn}
train: {epochs: 15, batch_size: 4, lr: 0.03, best_metric: ppl}
""",
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
    nowhere = attention(x, frames, (cos[:1].expand(9, 4), sin[:1].expand(9, 4)))
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


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("published")
    make_set(root, "train", "aa", 8)
    make_set(root, "dev", "b", 3)
    for kind, text in TINY.items():
        (root / f"{kind}.yaml").write_text(text)
    train(root, "asr", overrides(root, "perceptual"))
    return root


def train(root: Path, kind: str, extra: list[str]) -> Path:
    """The experiment directory of a whole, very short training run."""
    directory = root / f"exp_{kind}"
    config = configuration.read(root / f"{kind}.yaml", extra)
    directory.mkdir(exist_ok=True)
    configuration.write(config, directory / "config.yaml")
    set_seed(config.train.seed, -1)
    task = TASKS[config.task](config, directory)
    before = {name: value.clone() for name, value in task.model.named_parameters()}
    fit(task, config.train, directory, torch.device("cpu"))
    after = checkpoint.load(directory / "model.pt")
    assert any(not torch.equal(value, after[name]) for name, value in before.items())
    model = load(directory).net
    assert all(torch.equal(value, after[name]) for name, value in model.state_dict().items())
    return directory


@pytest.mark.parametrize("kind", MASK_NETS)
def test_mask_network_trains(corpus, kind):
    train(corpus, kind, overrides(corpus, "enhance")[:-2])  # without a perceptual model


def test_conformer_recogniser_trains(corpus):
    """With the fixture, which checks what was trained."""
    assert (corpus / "exp_asr" / "model.pt").is_file()


def test_language_model_learns_the_text_and_reports_its_perplexity(corpus):
    (corpus / "text").write_text("AA B K AA\n\n" * 40)
    data = ["--data.train", f"{corpus}/text", "--data.dev", f"{corpus}/text", "--data.tokens", f"{corpus}/exp_asr"]
    directory = train(corpus, "lm", data)
    lm = load(directory)
    model, tokens = lm.net, lm.tokens
    assert len(tokens) == 7  # blank, sentence ends, unknown, three phones
    bos, eos, ids = 1, 2, tokens.encode("AA B K AA")
    state, surprise = model.start(1), 0.0
    for previous, token in zip([bos, *ids], [*ids, eos], strict=True):
        log_probs, state = model.step(torch.tensor([previous]), state)
        surprise -= float(log_probs[0, token].detach())
    task = TASKS["lm"](configuration.read(directory / "config.yaml"), directory)
    task.model = model
    figures = task.validate()
    assert figures["ppl"] == pytest.approx(math.exp(surprise / 5), rel=1e-4)
    assert figures["ppl"] < 1.5, "five predictions among seven tokens, always the same ones"


def test_language_model_reads_transcripts_and_leaves_padding_out(corpus, tmp_path):
    data = [word for part in ("train", "dev") for word in (f"--data.{part}", f"{corpus}/{part}_clean")]
    config = configuration.read(corpus / "lm.yaml", [*data, "--data.tokens", f"{corpus}/exp_asr"])
    task = TASKS["lm"](config, tmp_path).eval()
    assert sorted(task.lengths.values()) == [2, 2, 2, 3, 3, 3, 4, 4]
    keys = sorted(task.lengths)[:3]
    separate = [task(task.load([key]), 1)["loss"] * task.lengths[key] for key in keys]
    together = task(task.load(keys), 1)["loss"] * sum(task.lengths[key] for key in keys)
    torch.testing.assert_close(together, sum(separate))


def test_text_in_another_spelling_is_refused(corpus, tmp_path):
    (tmp_path / "text").write_text("aa b k\n")
    data = ["--data.train", f"{tmp_path}/text", "--data.dev", f"{tmp_path}/text", "--data.tokens", f"{corpus}/exp_asr"]
    with pytest.raises(UserError, match=r"3 of 3 tokens are <unk>.*max_unknown 0.05"):
        TASKS["lm"](configuration.read(corpus / "lm.yaml", data), tmp_path)
    missing = [*data[2:], "--data.train", f"{tmp_path}/none"]
    with pytest.raises(UserError, match="none: no such text file"):
        TASKS["lm"](configuration.read(corpus / "lm.yaml", missing), tmp_path)
