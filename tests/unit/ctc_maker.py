"""Tokens, outputs and a small network for the tests of CTC decoding."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from mimic.decoding.ngram.ngram import Ngram
from mimic.io.tokens import SPECIAL, Tokens

ctc_beam = pytest.importorskip("mimic.decoding.ctc.beam")
if ctc_beam.flashlight is None:
    pytest.skip("flashlight-text is not installed", allow_module_level=True)

TOKENS = Tokens("char", [*SPECIAL, "▁", "A", "B"])
PHONES = Tokens("phn", [*SPECIAL, "a", "b", "k"])
LETTERS = ["-0.4\tA\t-0.2", "-0.6\tB\t-0.1", "-0.7\t▁\t-0.1"], ["-0.2\t▁ B", "-0.1\tA B", "-0.4\tB </s>"]


def output(seed: int, frames: int, tokens: int = 7, sharp: float = 2.0) -> np.ndarray:
    """Log-probabilities (frames, tokens) in which nobody sees <bos>, <eos> or <unk>."""
    logits = sharp * np.random.default_rng(seed).normal(size=(frames, tokens)).astype(np.float32)
    logits[:, 1:4] = -50
    return torch.from_numpy(logits).log_softmax(1).numpy()


def sentence(model: Ngram, words) -> float:
    total, context = 0.0, model.start
    for word in (*words, "</s>"):
        total += model.log_prob(context, model.ids[word])
        context = int(model.advance(context, model.ids[word]))
    return total


class Convolutions(nn.Module):
    """A recogniser of CTC alone that looks at few frames."""

    decoder = None

    def __init__(self, padded: bool):
        super().__init__()
        torch.manual_seed(2)
        self.convolution = nn.Conv1d(3, 7, 5, stride=2, padding=2 if padded else 0)
        self.encoder = SimpleNamespace(output_lengths=self.output_lengths)

    def output_lengths(self, n):
        return (n + (4 if self.convolution.padding[0] else 0) - 5) // 2 + 1

    def encode(self, features, lengths):
        ctc = (8 * self.convolution(features.transpose(1, 2))).transpose(1, 2).log_softmax(2)
        return ctc, self.output_lengths(lengths), ctc
