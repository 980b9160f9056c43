"""Networks: published sizes, agreement with their equations, independence of padding."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mimic.nets import lstm
from mimic.nets.attention_decoder import AttentionDecoder, DecoderConfig
from mimic.nets.cnn_transformer import CnnTransformer, CnnTransformerConfig
from mimic.nets.crdnn import Crdnn, CrdnnConfig, _HalveBins
from mimic.nets.dropout import dropout
from mimic.nets.ligru import LiGru, _Recurrence
from mimic.nets.masking import MirroredBorder
from mimic.nets.rnn import bidirectional


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


PERCEPTUAL = CrdnnConfig(channels=[100, 200], dropout=0.1)
ASR = CrdnnConfig(time_pooling=4, rnn="lstm", rnn_units=1024, dropout=0.1)
SMALL = {
    "ligru": CrdnnConfig(channels=[4, 8], rnn_units=16, rnn_layers=2, dnn_units=16),
    "lstm": CrdnnConfig(channels=[4, 8], rnn="lstm", rnn_units=16, rnn_layers=2, dnn_units=16, time_pooling=4),
    "gru": CrdnnConfig(channels=[4], rnn="gru", rnn_units=16, rnn_layers=1, dnn_units=16, time_pooling=2),
}


def test_published_sizes():
    assert parameters(Crdnn(257, PERCEPTUAL)) == 19_984_476
    assert parameters(Crdnn(257, CrdnnConfig())) + parameters(nn.Linear(512, 257)) == 24_246_401
    assert parameters(CnnTransformer(257, CnnTransformerConfig())) == 7_241_472
    assert parameters(Crdnn(40, ASR)) == 107_312_000


def test_published_decoder_size():
    decoder = AttentionDecoder(512, 42, DecoderConfig(units=256, attention=256, channels=20, kernel=20))
    assert parameters(decoder.embedding) == 5_376
    assert parameters(decoder.output) == 10_794
    assert parameters(decoder) - 5_376 - 10_794 == 959_284


def test_perceptual_embedding_shape():
    model = Crdnn(257, PERCEPTUAL)
    assert model.cnn(torch.randn(2, 7, 257), torch.tensor([7, 5])).shape == (2, 7, 64, 200)


@pytest.mark.parametrize("kind", SMALL)
def test_encoder_does_not_see_padding(kind):
    torch.manual_seed(0)
    model = Crdnn(40, SMALL[kind]).eval()
    lengths = torch.tensor([50, 31, 8])
    x = torch.randn(3, 50, 40)
    together, frames = model(x, lengths)
    for row, (length, output) in enumerate(zip(lengths, frames, strict=True)):
        single, _ = model(x[row : row + 1, :length], length[None])
        torch.testing.assert_close(together[row, :output], single[0], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_shortest_utterances(length):
    x = torch.randn(2, length, 40)
    output, lengths = Crdnn(40, SMALL["ligru"]).eval()(x, torch.tensor([length, 1]))
    assert output.shape == (2, length, 16) and lengths.tolist() == [length, 1]
    assert torch.isfinite(output).all()


def test_mask_network_does_not_see_padding():
    torch.manual_seed(0)
    model = CnnTransformer(257, CnnTransformerConfig([16, 16], layers=2, heads=2, feedforward=16)).eval()
    lengths = torch.tensor([40, 23])
    x = torch.randn(2, 40, 257)
    together = model(x, lengths)
    assert (together >= 0).all()
    for row, length in enumerate(lengths):
        single = model(x[row : row + 1, :length], length[None])
        torch.testing.assert_close(together[row, :length], single[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("bounded", [False, True])
def test_recurrence_follows_its_equations(bounded):
    torch.manual_seed(0)
    inputs, weight, mask = 20 * torch.randn(6, 3, 8), torch.randn(8, 4), torch.rand(3, 4)
    h, expected = torch.zeros(3, 4), []
    for x in inputs:
        gates = x + h @ weight.t()
        candidate, update = gates[:, :4].clamp(0, 20 if bounded else torch.inf) * mask, gates[:, 4:].sigmoid()
        h = update * h + (1 - update) * candidate
        expected.append(h)
    torch.testing.assert_close(_Recurrence.apply(inputs, weight, mask, bounded), torch.stack(expected))


@pytest.mark.parametrize("bounded", [False, True])
def test_recurrence_gradient(bounded):
    torch.manual_seed(1)
    inputs = torch.randn(5, 3, 8, dtype=torch.double, requires_grad=True)
    weight = torch.randn(8, 4, dtype=torch.double, requires_grad=True)
    mask = torch.rand(3, 4, dtype=torch.double)
    assert torch.autograd.gradcheck(lambda x, w: _Recurrence.apply(x, w, mask, bounded), (inputs, weight))


@pytest.mark.parametrize(("cell", "large"), [(nn.LSTM, 0), (nn.LSTM, lstm.LARGE), (nn.GRU, 0)])
@pytest.mark.parametrize("training", [True, False])
def test_bidirectional_layers_give_what_pytorch_gives_for_packed_sequences(cell, large, training, monkeypatch):
    monkeypatch.setattr(lstm, "LARGE", large)  # 0: with the gradient of lstm.py
    torch.manual_seed(0)
    net = cell(5, 4, 3, batch_first=True, bidirectional=True).double().train(training)
    x, lengths = torch.randn(3, 7, 5, dtype=torch.float64, requires_grad=True), torch.tensor([4, 7, 1])
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    wanted = nn.utils.rnn.pad_packed_sequence(net(packed)[0], batch_first=True)[0]
    given = bidirectional(net, x, lengths)
    torch.testing.assert_close(given, wanted)
    gradient, inputs = torch.randn_like(wanted), [x, *net.parameters()]
    torch.testing.assert_close(
        torch.autograd.grad(given, inputs, gradient), torch.autograd.grad(wanted, inputs, gradient)
    )


def test_large_lstm_in_single_precision(monkeypatch):
    torch.manual_seed(0)
    net, x, lengths = (
        nn.LSTM(6, 5, batch_first=True, bidirectional=True),
        torch.randn(4, 9, 6),
        torch.tensor([9, 2, 7, 9]),
    )
    wanted = bidirectional(net, x, lengths)
    expected = torch.autograd.grad(wanted.square().sum(), net.parameters())
    monkeypatch.setattr(lstm, "LARGE", 0)
    given = bidirectional(net, x, lengths)  # by oneDNN where it is there
    torch.testing.assert_close(given, wanted)
    torch.testing.assert_close(torch.autograd.grad(given.square().sum(), net.parameters()), expected)


def test_ligru_reversed_in_time():
    """Reversing the input swaps the two directions and reverses the output: both share their weights."""
    torch.manual_seed(0)
    model = LiGru(5, 4, 1).eval()
    x, lengths = torch.randn(2, 9, 5), torch.tensor([9, 9])
    forward, backward = model(x, lengths).chunk(2, dim=2)
    swapped = torch.cat([backward, forward], dim=2).flip(1)
    torch.testing.assert_close(model(x.flip(1), lengths), swapped)
    exact = model.double()(x.double(), lengths)  # as benchmarks/ligru.py compares it
    torch.testing.assert_close(exact.float(), torch.cat([forward, backward], dim=2))


def test_ligru_statistics_leave_padding_out():
    torch.manual_seed(0)
    a, b = LiGru(5, 4, 1), LiGru(5, 4, 1)
    b.load_state_dict(a.state_dict())
    x = torch.randn(2, 9, 5)
    lengths = torch.tensor([9, 4])
    louder = x.clone()
    louder[1, 4:] = 1e3
    a(x, lengths), b(louder, lengths)
    torch.testing.assert_close(a.norm[0].running_mean, b.norm[0].running_mean)


def test_decoder_step_equals_teacher_forcing():
    torch.manual_seed(0)
    decoder = AttentionDecoder(6, 7, DecoderConfig(5, 8, 9, 3, 2)).eval()
    encoded, lengths = torch.randn(2, 11, 6), torch.tensor([11, 5])
    previous = torch.randint(0, 7, (2, 4))
    expected = decoder(encoded, lengths, previous)
    memory = decoder.precompute(encoded, lengths)
    state = decoder.start(memory)
    for i in range(4):
        log_probs, state = decoder.step(previous[:, i], memory, state)
        torch.testing.assert_close(log_probs, expected[:, i])
    assert (state.weights[1, 5:] == 0).all()


@pytest.mark.parametrize(("rows", "frames", "kernel"), [(9, 5, 7), (9, 12, 3), (1, 12, 3), (2, 1, 2), (3, 4, 0)])
def test_location_filters_equal_a_convolution(rows, frames, kernel):
    torch.manual_seed(0)
    decoder = AttentionDecoder(6, 7, DecoderConfig(5, 8, 9, 3, kernel)).double()
    weights = torch.rand(rows, frames, dtype=torch.double, requires_grad=True)
    expected, given = decoder.location(weights.unsqueeze(1)).transpose(1, 2), decoder._locate(weights)
    torch.testing.assert_close(given, expected)
    gradient, inputs = torch.rand_like(expected), [weights, decoder.location.weight]
    torch.testing.assert_close(
        torch.autograd.grad(given, inputs, gradient), torch.autograd.grad(expected, inputs, gradient)
    )


def test_mirrored_border_equals_slices_in_value_and_gradient():
    torch.manual_seed(0)
    lengths = torch.tensor([6, 3, 1])
    x = torch.randn(3, 6, 5, 2, dtype=torch.double, requires_grad=True)
    bordered = MirroredBorder.apply(x, lengths)
    for row, length in enumerate(lengths.tolist()):
        index = [min(1, length - 1), *range(length), max(length - 2, 0)]
        expected = x[row, index][:, [1, 0, 1, 2, 3, 4, 3]]
        torch.testing.assert_close(bordered[row, : length + 2], expected)
    assert torch.autograd.gradcheck(lambda x: MirroredBorder.apply(x, lengths), (x,))


@pytest.mark.parametrize("bins", [6, 7])
def test_halved_bins_equal_max_pooling(bins):
    torch.manual_seed(0)
    x = torch.randn(2, 3, bins, 4, requires_grad=True)
    expected = F.max_pool2d(x.permute(0, 3, 1, 2), (1, 2)).permute(0, 2, 3, 1)
    halved, gradient = _HalveBins.apply(x), torch.randn_like(expected)
    assert torch.equal(halved, expected)
    assert torch.equal(*(torch.autograd.grad(y, x, gradient)[0] for y in (halved, expected)))


def test_dropout_share_scale_and_gradient():
    torch.manual_seed(0)
    x = torch.ones(997, 1001, requires_grad=True)
    dropped = dropout(x, 0.1, True)
    (gradient,) = torch.autograd.grad(dropped.sum(), x)
    assert torch.equal(gradient, dropped)  # of ones: both are 0 or 1 / 0.9
    torch.testing.assert_close(dropped.max().item(), 1 / 0.9)
    zeros = dropped == 0
    assert abs(zeros.float().mean() - 0.1) < 0.001  # three standard deviations
    for shift in range(1, 5):  # neighbours share a random number, not their fate
        assert abs((zeros[:, shift:] & zeros[:, :-shift]).float().mean() - 0.01) < 0.0005
    assert dropout(x, 0.1, False) is x


@pytest.mark.parametrize("training", [False, True])
def test_mask_network_follows_pytorchs_transformer(training):
    torch.manual_seed(0)
    config = CnnTransformerConfig([12, 16], layers=2, heads=2, feedforward=16, dropout=0.0)
    model = CnnTransformer(9, config).train(training)
    lengths = torch.tensor([11, 6])
    x = torch.randn(2, 11, 9, requires_grad=True)
    padding = torch.arange(11) >= lengths[:, None]

    h = []
    for row, length in enumerate(lengths.tolist()):
        own = x[row, :length].t()
        for conv, norm in zip(model.conv, model.norm, strict=True):
            own = F.leaky_relu(norm(conv(F.pad(own, (1, 1), "reflect")).t())).t()
        h.append(own.t())
    h = nn.utils.rnn.pad_sequence(h, batch_first=True)
    for layer in model.transformer.layers:
        h = nn.TransformerEncoderLayer.forward(layer, h, src_key_padding_mask=padding)
    expected = model.output(model.transformer.norm(h)).relu()[~padding]

    output = model(x, lengths)[~padding]
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-4)
    weight = torch.randn_like(output)
    leaves = [x, *model.parameters()]
    grads, wanted = (torch.autograd.grad((y * weight).sum(), leaves) for y in (output, expected))
    torch.testing.assert_close(grads, wanted, atol=1e-5, rtol=1e-3)
