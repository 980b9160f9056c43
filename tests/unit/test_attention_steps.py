"""The gradient of a decoder whose tokens are known is that of its steps one by one."""

import pytest
import torch
from torch import Tensor

from mimic.nets import attention_steps
from mimic.nets.attention_decoder import AttentionDecoder, DecoderConfig

LENGTHS = torch.tensor([12, 7, 3])


def one_by_one(net: AttentionDecoder, encoded: Tensor, previous: Tensor) -> Tensor:
    memory = net.precompute(encoded, LENGTHS)
    state, scores = net.start(memory), []
    for token in previous.unbind(1):
        probabilities, state = net.step(token, memory, state)
        scores.append(probabilities)
    return torch.stack(scores, dim=1)


@pytest.mark.parametrize("largest", [1 << 22, 0], ids=["matrix", "windows"])
@pytest.mark.parametrize("kernel", [0, 2, 15])
def test_gradients_of_all_parameters_are_those_of_autograd(kernel, largest, monkeypatch):
    monkeypatch.setattr(attention_steps, "LARGEST", largest)
    torch.manual_seed(kernel)
    net = AttentionDecoder(7, 13, DecoderConfig(6, 9, 10, 4, kernel)).double()
    encoded, previous = torch.randn(3, 12, 7).double().requires_grad_(), torch.randint(0, 13, (3, 5))
    leaves = [encoded, *net.parameters()]
    y, wanted = net(encoded, LENGTHS, previous), one_by_one(net, encoded, previous)
    torch.testing.assert_close(y, wanted)
    weights = torch.randn_like(y)
    found, right = (torch.autograd.grad((scores * weights).sum(), leaves) for scores in (y, wanted))
    for one, other in zip(found, right, strict=True):
        torch.testing.assert_close(one, other)


def test_what_is_frozen_has_no_gradient_and_what_is_only_read_none_either():
    net = AttentionDecoder(7, 13, DecoderConfig(6, 9, 10, 4, 2))
    previous = torch.randint(0, 13, (3, 5))
    net.requires_grad_(False)
    encoded = torch.randn(3, 12, 7, requires_grad=True)
    net(encoded, LENGTHS, previous).sum().backward()
    assert encoded.grad is not None and all(parameter.grad is None for parameter in net.parameters())
    with torch.no_grad():
        torch.testing.assert_close(net(encoded, LENGTHS, previous), one_by_one(net, encoded, previous))


def test_training_in_mixed_precision_runs():
    net = AttentionDecoder(7, 13, DecoderConfig(6, 9, 10, 4, 2))
    encoded, previous = torch.randn(3, 12, 7, requires_grad=True), torch.randint(0, 13, (3, 5))
    with torch.autocast("cpu", torch.bfloat16):
        y = net(encoded, LENGTHS, previous)
    y.float().sum().backward()
    torch.testing.assert_close(y.float(), one_by_one(net, encoded, previous), rtol=0, atol=0.05)
