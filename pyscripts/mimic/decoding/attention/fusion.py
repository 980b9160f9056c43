"""The language models that a decode configuration names, ready for a recogniser's search."""

from mimic.decoding.attention.next_token import Fused, LanguageModel
from mimic.decoding.config import DecodeConfig
from mimic.errors import UserError
from mimic.io.tokens import Tokens
from mimic.registry import Registry

# By what they predict: the model in a search, and the reader of its file.
NGRAMS = Registry(
    {
        "token": "mimic.decoding.attention.fused_ngram:TokenNgram,Ngram",
        "word": "mimic.decoding.attention.fused_ngram:WordNgram,Ngram",
    }
)


def load(config: DecodeConfig, tokens: Tokens, lm: LanguageModel | None = None) -> list[Fused]:
    """`lm`, the network that `config.lm` names, and `config.ngram`, which is read here.

    Raises UserError where the n-gram model's tokens are not the recogniser's.
    """
    models: list[Fused] = []
    if lm is not None:
        models.append(Fused(lm, config.lm_scale, config.lm_temperature))
    if config.ngram and config.ngram_lm_scale:
        unit, read = NGRAMS[config.ngram_unit]
        ngram = read(config.ngram)
        try:
            models.append(Fused(unit(ngram, tokens.symbols), config.ngram_lm_scale))
        except UserError as error:
            raise UserError(f"--decode.ngram {config.ngram}: {error}") from None
    return models
