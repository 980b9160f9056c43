"""How a decode configuration names its language models."""

import pytest
import torch
import yaml

from mimic.decoding.attention.beam_search import Fused
from mimic.decoding.attention.fused_ngram import TokenNgram, WordNgram
from mimic.decoding.config import DecodeConfig
from mimic.decoding.decoder import fused_models
from mimic.errors import UserError
from mimic.io.tokens import Tokens
from mimic.models.language_model import for_search
from mimic.nets.lm import RnnLm, RnnLmConfig
from mimic.tasks import config as configuration

ARPA = "\\data\\\nngram 1=4\n\\1-grams:\n-0.5\t<s>\n-0.9\t</s>\n-0.5\t{}\n-1\t<unk>\n\\end\\\n"


@pytest.fixture
def lm(tmp_path):
    """An experiment directory of tasks/lm over the characters of one sentence."""
    tokens = Tokens.build("char", ["A CAB"])
    directory = tmp_path / "lm"
    directory.mkdir()
    tokens.save(directory)
    sizes = {"embedding": 3, "layers": 1, "units": 4, "dnn_units": 3, "dropout": 0.0}
    settings = {"task": "lm", "net": "rnn", "model": sizes, "data": {"token_type": "char"}}
    (directory / "config.yaml").write_text(yaml.safe_dump(settings))
    model = RnnLm(len(tokens), RnnLmConfig(**sizes)).eval()
    torch.save(model.state_dict(), directory / "model.pt")
    return directory, tokens, model


def load(config: DecodeConfig, tokens: Tokens) -> list[Fused]:
    return fused_models(config, tokens, for_search(config, tokens)[0])


def test_a_trained_model_is_found_and_fused(lm, tmp_path):
    directory, tokens, model = lm
    (tmp_path / "w.arpa").write_text(ARPA.format("CAB"))
    (tmp_path / "t.arpa").write_text(ARPA.format("C"))
    config = DecodeConfig(lm=str(directory), lm_scale=0.15, lm_temperature=1.25, ngram=str(tmp_path / "w.arpa"))
    config.ngram_unit, config.ngram_lm_scale = "word", 0.4
    rnn, words = load(config, tokens)
    assert (rnn.weight, rnn.temperature, words.weight) == (0.15, 1.25, 0.4)
    assert isinstance(words.model, WordNgram)
    previous = torch.tensor([1, 5])
    with torch.inference_mode():
        torch.testing.assert_close(rnn.model.step(previous, rnn.model.start(2))[0], model(previous[:, None])[:, 0])
    config.ngram, config.ngram_unit = str(tmp_path / "t.arpa"), "token"
    assert isinstance(load(config, tokens)[1].model, TokenNgram)
    config.lm_scale = config.ngram_lm_scale = 0
    assert load(config, tokens) == load(DecodeConfig(), tokens) == []


def test_other_tokens_say_what_to_do(lm, tmp_path):
    directory, tokens, _ = lm
    others = Tokens.build("char", ["A CAB", "D"])
    with pytest.raises(UserError, match="its 8 tokens are not the 9 of the recogniser: train it with --data.tokens"):
        load(DecodeConfig(lm=str(directory)), others)
    (tmp_path / "t.arpa").write_text(ARPA.format("CAB"))
    with pytest.raises(UserError, match="--decode.ngram .*t.arpa: .*'CAB', which is not a token"):
        load(DecodeConfig(ngram=str(tmp_path / "t.arpa")), tokens)
    (directory / "config.yaml").write_text("task: asr\nnet: crdnn\n")
    with pytest.raises(UserError, match="model of task asr, not a language model"):
        load(DecodeConfig(lm=str(directory)), tokens)


def test_the_published_search_can_be_written_down(repository):
    published = configuration.read(repository / "conf" / "asr.yaml", ["--decode.lm", "exp/lm"]).decode
    assert (published.beam, published.eos_threshold, published.max_attn_shift) == (32, 10.0, 240)
    assert (published.lm, published.lm_scale, published.lm_temperature) == ("exp/lm", 0.15, 1.25)
    assert (published.coverage_weight, published.coverage_threshold, published.temperature) == (1.5, 0.5, 1.25)
    assert (published.ctc_weight, published.min_ratio, published.max_ratio) == (0.0, 0.0, 1.0)
