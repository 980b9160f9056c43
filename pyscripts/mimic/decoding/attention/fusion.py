"""The language models that a decode configuration names, ready for a recogniser's search."""

from pathlib import Path

from torch import nn

from mimic.decoding.attention.fused_ngram import TokenNgram, WordNgram
from mimic.decoding.attention.next_token import Fused
from mimic.decoding.config import DecodeConfig
from mimic.decoding.ngram.ngram import Ngram
from mimic.errors import UserError
from mimic.io.tokens import Tokens
from mimic.models.trained import read_config
from mimic.tasks.lm import LmTask


def neural(path: str, option: str, tokens: Tokens, device: str = "cpu") -> nn.Module:
    """The language model of an experiment directory. Raises UserError where its tokens are not the recogniser's."""
    directory = Path(path)
    settings = read_config(directory)
    if settings.task != "lm":
        raise UserError(f"--decode.{option} {path}: holds a model of task {settings.task}, not a language model")
    model, known = LmTask.build(settings, directory)
    if known.symbols != tokens.symbols:
        raise UserError(
            f"--decode.{option} {path}: its {len(known)} tokens are not the {len(tokens)} of the recogniser: train it "
            f"with --data.tokens and --data.token_type of this recogniser"
        )
    return model.to(device)


def load(config: DecodeConfig, tokens: Tokens, device: str = "cpu") -> list[Fused]:
    """Read `lm` and `ngram`. Raises UserError where their tokens are not the recogniser's."""
    models: list[Fused] = []
    if config.lm and config.lm_scale:
        models.append(Fused(neural(config.lm, "lm", tokens, device), config.lm_scale, config.lm_temperature))
    if config.ngram and config.ngram_lm_scale:
        unit = TokenNgram if config.ngram_unit == "token" else WordNgram
        ngram = Ngram(config.ngram)
        try:
            models.append(Fused(unit(ngram, tokens.symbols), config.ngram_lm_scale))
        except UserError as error:
            raise UserError(f"--decode.ngram {config.ngram}: {error}") from None
    return models
