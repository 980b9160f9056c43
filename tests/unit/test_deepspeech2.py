"""Deep Speech 2 and QuartzNet: published sizes, independence of padding, speech that comes in pieces."""

import pytest
import torch
from data_maker import ROOT
from torch import nn

from mimic import settings
from mimic.errors import UserError
from mimic.nets import ENCODERS
from mimic.nets.deepspeech2 import DeepSpeech2, DeepSpeech2Config
from mimic.nets.quartznet import Quartznet, QuartznetConfig
from mimic.nets.recogniser import RecogniserNet
from mimic.tasks import config as configuration

SMALL = {"channels": [3, 2], "kernels": [[5, 7], [3, 5]], "rnn_layers": 2, "rnn_units": 6, "dropout": 0.0}
SIZES = {
    "compact": dict(dense=12),
    "lookahead": dict(padding=True, norm=True, lookahead=3, limit=20.0, dense=0),
    "bidirectional": dict(padding=True, bidirectional=True, dense=12),
    "lstm": dict(padding=True, rnn="lstm", bidirectional=True, sum_directions=True, norm=True, dense=0),
}
NETS = {name: DeepSpeech2(20, DeepSpeech2Config(**SMALL, **sizes)) for name, sizes in SIZES.items()}
NETS["quartznet"] = Quartznet(20, QuartznetConfig(1, 2, [6, 6, 7, 8, 9], [5, 5, 7, 9]))


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def seeded(name: str, training: bool = False) -> nn.Module:
    """The network with weights, and statistics of batch normalisation, that are not those of a fresh one."""
    torch.manual_seed(1)
    model = NETS[name].train(training)
    for key, value in model.state_dict().items():
        if value.is_floating_point():
            nn.init.uniform_(value, 0.5, 1.5) if key.endswith("var") else nn.init.normal_(value, std=0.3)
    return model


@pytest.mark.parametrize(
    ("name", "bins", "expected"),
    [
        ("deepspeech2", 128, 12_115_133),
        ("deepspeech2_large", 160, 58_971_133),
        ("deepspeech2_blstm", 161, 86_618_400),
        ("quartznet_5x5", 64, 6_713_181),
        ("quartznet_15x5", 64, 18_924_381),
    ],
)
def test_published_sizes(name, bins, expected):
    config = configuration.read(ROOT / f"conf/{name}.yaml")
    with torch.device("meta"):
        model = RecogniserNet(ENCODERS[config.net][0](bins, config.model), nn.Identity(), False, 29, None)
        assert parameters(model) == expected
    wanted = [(n - 11) // 2 + 1 - 10 if name == "deepspeech2" else (n + 1) // 2 for n in (101, 60)]
    assert model.encoder.output_lengths(torch.tensor([101, 60])).tolist() == wanted


def test_every_shipped_configuration_is_a_ctc_recogniser():
    names = {path.stem for net in ("deepspeech2", "quartznet") for path in (ROOT / "conf").glob(f"{net}*.yaml")}
    assert names >= {"deepspeech2_demo", "deepspeech2_finetune_demo", "deepspeech2_phn", "deepspeech2_streaming_demo"}
    for name in names:
        config = configuration.read(ROOT / f"conf/{name}.yaml")
        with torch.device("meta"):
            encoder = ENCODERS[config.net][0](128, config.model)
        assert config.loss.attention_weight == 0 and config.loss.ctc_weight == 1 and config.loss.ctc_epochs == -1
        assert config.data.token_type == ("phn" if "phn" in name else "char")
        assert name != "deepspeech2_streaming_demo" or not encoder.bidirectional
        if name.startswith("deepspeech2_finetune"):
            before = configuration.read(ROOT / f"conf/{name.replace('_finetune', '')}.yaml")
            assert config.model == before.model and config.train.lr < before.train.lr


@pytest.mark.parametrize("name", NETS)
def test_an_utterance_does_not_see_its_batch(name):
    model, x, lengths = seeded(name), torch.randn(4, 40, 20), torch.tensor([40, 23, 17, 4])
    for row, length in enumerate(lengths):
        x[row, length:] = 50.0
    together, frames = model(x, lengths)
    assert name != "compact" or frames.tolist() == [16, 8, 5, 0]  # one is too short for convolutions without padding
    for row, length in enumerate(lengths):
        alone, count = model(x[row : row + 1, :length], length[None])
        assert count == frames[row] == model.output_lengths(int(length))
        torch.testing.assert_close(together[row, :count], alone[0, :count], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NETS)
def test_training_leaves_padding_out_and_reaches_every_weight(name):
    found = []
    for padding in (0.0, 1e3):
        model, lengths = seeded(name, training=True), torch.tensor([31, 19])
        x = torch.randn(2, 31, 20, generator=torch.Generator().manual_seed(0))
        x[1, 19:] = padding
        output, frames = model(x, lengths)
        real = torch.cat([row[:n] for row, n in zip(output, frames, strict=True)])
        model.zero_grad()
        (real * torch.linspace(-1, 1, real.shape[1])).square().sum().backward()
        found.append([p.grad.clone() for p in model.parameters()] + [b.clone() for b in model.buffers() if b.ndim])
        assert all(p.grad.abs().sum() > 0 for p in model.parameters() if p.ndim > 1)
    for quiet, loud in zip(*found, strict=True):
        torch.testing.assert_close(quiet, loud, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", ["compact", "lookahead"])
@pytest.mark.parametrize("sizes", [[7] * 9, [1, 0, 30, 2, 30], [63]])
def test_pieces_of_a_signal_give_what_the_whole_gives(name, sizes):
    model = seeded(name)
    x = torch.randn(2, 63, 20)
    whole, lengths = model(x, torch.tensor([63, 63]))
    state, pieces = None, []
    for i, piece in enumerate(x.split(sizes, dim=1)):
        given, state = model.stream(piece, state, last=i == len(sizes) - 1)
        pieces.append(given)
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole[:, : lengths[0]], atol=1e-5, rtol=1e-4)


def test_who_needs_the_future_says_so():
    recogniser = RecogniserNet(NETS["bidirectional"], nn.Identity(), False, 5, None)
    with pytest.raises(UserError, match="--model.bidirectional false"):
        recogniser.stream(torch.randn(1, 9, 20))
    for net, centred in (("compact", True), ("quartznet", False)):
        with pytest.raises(UserError, match="needs the .*whole utterance"):
            RecogniserNet(NETS[net], nn.Identity(), centred, 5, None).stream(torch.randn(1, 9, 20))


@pytest.mark.parametrize(
    ("sizes", "line"),
    [
        ({"channels": [3]}, "one of each per convolution"),
        ({"kernels": [[5, 6], [3, 5]]}, r"model: kernels \[5, 6\].*odd"),
        ({"strides": [[2], [1, 2]]}, "frames and bins"),
        ({"strides": [[7, 1], [1, 2]]}, "no stride above it"),
        ({"kernels": [[5, 7], [3, 21]]}, "20 bins are too few for the convolutions"),
    ],
)
def test_sizes_that_make_no_network(sizes, line):
    with pytest.raises(UserError, match=line):
        DeepSpeech2(20, settings.build(DeepSpeech2Config, SMALL | sizes, "model"))


@pytest.mark.parametrize(
    ("sizes", "line"),
    [({"kernels": [33, 33, 39]}, "one more than kernels"), ({"kernels": [4, 5, 5, 5, 5, 5, 5]}, "odd numbers")],
)
def test_sizes_that_make_no_quartznet(sizes, line):
    with pytest.raises(UserError, match=line):
        settings.build(QuartznetConfig, sizes, "model")
