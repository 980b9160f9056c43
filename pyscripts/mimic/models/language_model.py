"""Trained language models over the tokens of a recogniser."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from mimic.decoding.config import DecodeConfig
from mimic.errors import UserError
from mimic.io.batching import pad
from mimic.io.tokens import BLANK, BOS, EOS, TABLE, Tokens
from mimic.io.tokens import MODEL as PIECES
from mimic.models import trained
from mimic.models.config import Config
from mimic.models.trained import Trained
from mimic.nets import LMS

BATCH = 64  # sentences at once


def network(config: Config, tokens: int) -> nn.Module:
    """The network before training, for a table of so many tokens."""
    net, _ = LMS[config.net]
    return net(tokens, config.model)


class LanguageModel(Trained):
    """Says how likely a sentence is."""

    TASKS = ("lm",)
    WHAT = "a language model"
    FILES = (TABLE, PIECES)

    def __init__(self, config: Config, net: nn.Module, tokens: Tokens, directory: Path):
        super().__init__(config, net, directory)
        self.tokens = tokens

    @classmethod
    def from_directory(cls, config: Config, directory: Path) -> "LanguageModel":
        tokens = Tokens.load(directory, config.data.token_type)
        state = trained.read_weights(directory)
        outputs = trained.size(state, "embedding.weight", directory, config)
        trained.check_count(directory, outputs, TABLE, len(tokens), "tokens")
        net = trained.fill(network(config, outputs), state, directory, config)
        return cls(config, net, tokens, directory)

    def score(self, sentences: Sequence[str]) -> list[float]:
        """Log-probabilities (natural logarithms) of sentences, their ends included."""
        return log_probs(self.net, [self.tokens.encode(text) for text in sentences], str(self.device))


def for_search(
    config: DecodeConfig, tokens: Tokens, joint: bool = True, device: str = "cpu"
) -> tuple[nn.Module | None, Callable[[list[list[int]]], list[float]] | None]:
    """The language models that a search takes: the network `lm`, in a joint one, and `rescore` as a function from
    sentences of token ids to log-probabilities; None for none.

    Raises UserError where their tokens are not the recogniser's.
    """
    lm = _network_for("lm", config.lm, tokens, device) if joint and config.lm and config.lm_scale else None
    if not config.rescore:
        return lm, None
    second = _network_for("rescore", config.rescore, tokens, device)
    return lm, lambda sentences: log_probs(second, sentences, device)


def _network_for(option: str, path: str, tokens: Tokens, device: str) -> nn.Module:
    try:
        model = LanguageModel.load(path, device=device)
    except UserError as error:
        raise UserError(f"--decode.{option} {error}") from None
    if model.tokens.symbols != tokens.symbols:
        raise UserError(
            f"--decode.{option} {path}: its {len(model.tokens)} tokens are not the {len(tokens)} of the recogniser: "
            "train it with --data.tokens and --data.token_type of this recogniser"
        )
    return model.net


@torch.inference_mode()
def log_probs(model: nn.Module, sentences: Sequence[Sequence[int]], device: str = "cpu") -> list[float]:
    """Log-probabilities of sentences of token ids, the sentence end included.

    model: (batch, length) tokens -> (batch, length, tokens) log-probabilities of the next ones (nets/lm.py). A
    sentence's result does not depend on the others.
    """
    totals: dict[int, float] = {}
    order = sorted(range(len(sentences)), key=lambda i: len(sentences[i]))  # little padding
    for first in range(0, len(order), BATCH):
        group = order[first : first + BATCH]
        targets, lengths = pad([torch.tensor([*sentences[i], EOS]).numpy() for i in group])  # (batch, length)
        previous = F.pad(targets[:, :-1], (1, 0), value=BOS).to(device)
        found = model(previous).gather(2, targets.to(device).unsqueeze(2)).squeeze(2).double()
        found = found.masked_fill((targets == BLANK).to(device), 0.0).sum(1)  # padding is blank
        totals |= dict(zip(group, found.tolist(), strict=True))
    return [totals[i] for i in range(len(sentences))]
