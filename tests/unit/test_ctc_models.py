"""N-best lists of the CTC search, and the language models that it takes."""

import json
import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from arpa_maker import arpa
from ctc_maker import LETTERS, PHONES, TOKENS, Convolutions, output, sentence

from mimic.decoding import decoder, nbest
from mimic.decoding.config import DecodeConfig
from mimic.decoding.ctc.kenlm import KenLm
from mimic.decoding.ctc.times import Word
from mimic.decoding.decoder import EndToEndDecoder, Result, ctc_decoder
from mimic.decoding.ngram.ngram import Ngram
from mimic.errors import UserError
from mimic.models.language_model import log_probs as lm_scores
from mimic.nets.lm import RnnLm, RnnLmConfig
from mimic.nets.transformer_lm import TransformerLm, TransformerLmConfig


def results(*texts: str) -> list[Result]:
    found = []
    for rank, text in enumerate(texts):
        words = [Word(word, i + 0.1 * rank, i + 0.5, 0.9) for i, word in enumerate(text.split())]
        found.append(Result(text, words, [], -float(rank), {"ctc": -1.0}))
    return found


def test_the_lattice_has_the_transcripts_and_no_others():
    texts = ["a b c d", "a x c d", "a b c", "", "y b c d", "a b c d e"]
    record = json.loads(json.dumps(nbest.record("utt", results(*texts))))
    following: dict[int, list] = {}
    for start, end, word, *_ in record["arcs"]:
        assert start < end <= record["end"]
        following.setdefault(start, []).append((end, word))

    def sentences(node: int) -> list[list[str]]:
        if node == record["end"]:
            return [[]]
        return [[word, *rest] for end, word in following[node] for rest in sentences(end)]

    assert sorted(" ".join(words[:-1]) for words in sentences(0)) == sorted(texts)
    assert sum(arc[5] for arc in record["arcs"] if arc[0] == 0) == pytest.approx(1, abs=1e-3)
    assert sum(one["posterior"] for one in record["hypotheses"]) == pytest.approx(1, abs=1e-3)
    assert [arc[3] for arc in record["arcs"] if arc[2] == "a"] == [0.0]  # the likeliest one's
    assert len(record["arcs"]) < sum(len(text.split()) + 1 for text in texts)
    assert nbest.ctm("utt", results("a b")[0]) == "utt 1 0.00 0.50 a 0.90\nutt 1 1.00 0.50 b 0.90\n"


LMS = {
    "rnn": lambda: RnnLm(len(TOKENS), RnnLmConfig(4, 1, 8, 6)),
    "transformer": lambda: TransformerLm(len(TOKENS), TransformerLmConfig(8, 2, 2, 12)),
}


@pytest.mark.parametrize("name", LMS)
def test_rescoring_ranks_again(name):
    torch.manual_seed(0)
    lm = LMS[name]().eval()
    texts = ["AB A", "B", "A A A", "", "BA BA AB"]
    ids = [TOKENS.encode(text) if text else [] for text in texts]
    given = lm_scores(lm, ids)
    for sequence, value in zip(ids, given, strict=True):
        steps = lm(torch.tensor([[1, *sequence]])).detach()[0]
        assert value == pytest.approx(float(sum(steps[i, k] for i, k in enumerate([*sequence, 2]))), abs=1e-4)
        state = lm.start(1)
        for i, token in enumerate([1, *sequence]):
            found, state = lm.step(torch.tensor([token]), state)
            torch.testing.assert_close(found.detach()[0], steps[i], atol=1e-5, rtol=0)
    config = DecodeConfig(search="lexicon-free", beam=30, nbest=10, rescore="lm", rescore_weight=0.5)
    features = torch.randn(1, 40, 3)
    plain = EndToEndDecoder(Convolutions(True), TOKENS, replace(config, rescore=""))
    (first,) = plain(features, torch.tensor([40]), 0.01)
    rescoring = EndToEndDecoder(Convolutions(True), TOKENS, config, second=partial(lm_scores, lm))
    (second,) = rescoring(features, torch.tensor([40]), 0.01)
    before = {one.text: one.score for one in first}
    assert [one.score for one in second] == sorted((one.score for one in second), reverse=True)
    for one in second:
        assert one.score == pytest.approx(before[one.text] + 0.5 * one.parts["rescore"], abs=1e-5)
        value = lm_scores(lm, [TOKENS.encode(one.text) if one.text else []])[0]
        assert one.parts["rescore"] == pytest.approx(value, abs=1e-4)


def scores(path, words: list[str], sentences) -> list[float]:
    """log10 probabilities of sentences by KenLM as the searches load it."""
    model, found = KenLm(path).with_words(words), []
    for words_of in sentences:
        state, total = model.start(False), 0.0
        for word in words_of:
            state, score = model.score(state, words.index(word))
            total += score
        found.append(total + model.finish(state)[1])
    return found


def test_who_wrote_a_model_changes_nothing_for_kenlm(tmp_path):
    words, sentences = ["<unk>", "AB", "BA", "A"], [[], ["AB"], ["BA", "AB"], ["A", "A", "BA"]]
    truth = scores(arpa(tmp_path / "lf.arpa"), words, sentences)
    for name, change in (
        ("crlf.arpa", lambda text: text.replace("\n", "\r\n")),
        ("mark.arpa", lambda text: f"\ufeff{text}"),
        ("packed.arpa.gz", str),
    ):
        assert scores(arpa(tmp_path / name, change=change), words, sentences) == truth
    (tmp_path / "plain.arpa.gz").write_bytes((tmp_path / "lf.arpa").read_bytes())
    (tmp_path / "packed").write_bytes((tmp_path / "packed.arpa.gz").read_bytes())
    for name in ("plain.arpa.gz", "packed"):
        assert scores(str(tmp_path / name), words, sentences) == truth
    accents = ["-0.4\tAB\t-0.2", "-0.6\tCAFE\u0301\t-0.1"], ["-0.2\t<s> CAFE\u0301", "-0.5\tCAFE\u0301 AB"]
    path = arpa(tmp_path / "nfd.arpa", accents)
    assert list(KenLm(path)) == ["AB", "CAF\u00c9"]
    assert scores(path, ["CAF\u00c9"], [["CAF\u00c9"]]) == pytest.approx([-1.1])


def test_a_model_of_words_alone(tmp_path):
    text = "\\data\\\nngram 1=5\n\n\\1-grams:\n-0.9\t<s>\t-0.3\n-0.8\t</s>\n-1.2\t<unk>\n-0.4\tAB\n-0.6 BA\n\n\\end\\\n"
    (tmp_path / "lm.arpa").write_text(text)
    words, sentences = ["<unk>", "AB", "BA"], [[], ["AB"], ["BA", "AB"]]
    expected = [sentence(Ngram(tmp_path / "lm.arpa"), words) / math.log(10) for words in sentences]
    assert scores(str(tmp_path / "lm.arpa"), words, sentences) == pytest.approx(expected, abs=1e-6)
    decoder = ctc_decoder(DecodeConfig(search="lexicon", beam=8, ngram=str(tmp_path / "lm.arpa")), TOKENS)
    assert decoder.decode(output(0, 12))


def test_what_does_not_fit_is_refused(tmp_path):
    lower = arpa(tmp_path / "lower.arpa", (["-1\tab\t-0.1", "-1\tba"], ["-1\tab ba"]))
    words, letters = arpa(tmp_path / "w.arpa"), arpa(tmp_path / "l.arpa", LETTERS)
    (tmp_path / "lexicon.txt").write_text("AB A B\nAD A D\n")
    (tmp_path / "other.txt").write_text("".join(f"W{i} A\n" for i in range(5)))
    cut = arpa(tmp_path / "cut.arpa", change=lambda text: text[:-60])
    counted = arpa(tmp_path / "counted.arpa", change=lambda text: text.replace("ngram 2=3", "ngram 2=4"))
    positive = arpa(tmp_path / "positive.arpa", change=lambda text: text.replace("-0.5\tBA", "0.5\tBA"))
    unended = arpa(tmp_path / "unended.arpa", change=lambda text: text.replace("</s>", "<x>"))
    for settings, tokens, message in [
        ({"search": "lexicon", "ngram": lower}, TOKENS, "2 of 2 words .*'ab'.* upper case or lower"),
        ({"search": "lexicon-free", "ngram": lower}, TOKENS, "has 'ab'|has 'ba', which is not a token"),
        ({"search": "lexicon-free", "ngram": words}, TOKENS, "is not a token of the recogniser: a model of words"),
        ({"search": "lexicon", "ngram": letters}, PHONES, "phones need --decode.lexicon"),
        ({"search": "lexicon"}, TOKENS, "give --decode.ngram"),
        ({"search": "lexicon", "ngram": str(tmp_path / "no.arpa")}, TOKENS, "no.arpa: No such file"),
        ({"search": "lexicon", "ngram": __file__}, TOKENS, "not a complete ARPA file"),
        ({"search": "lexicon", "ngram": cut}, TOKENS, r"cut.arpa:\d+: not a complete ARPA file"),
        ({"search": "lexicon", "ngram": counted}, TOKENS, "counted.arpa: not a complete n-gram model: "),
        ({"search": "lexicon", "ngram": positive}, TOKENS, "positive.arpa: not a .* Positive log probability 0.5"),
        ({"search": "lexicon", "ngram": unended}, TOKENS, "unended.arpa:13: .1-grams: lacks </s>"),
        ({"search": "lexicon", "lexicon": str(tmp_path / "lexicon.txt")}, TOKENS, "lexicon.txt:2: 'D' is not a token"),
        (
            {"search": "lexicon", "ngram": words, "lexicon": str(tmp_path / "other.txt")},
            TOKENS,
            "does not know 5 of 5 words .*'W0'",
        ),
    ]:
        with pytest.raises(UserError, match=message):
            ctc_decoder(DecodeConfig(**settings), tokens)
    for settings, attention, message in [
        ({"search": "joint"}, False, "no attention decoder"),
        ({"search": "lexicon", "lm": "exp/lm"}, True, "lexicon takes --decode.rescore exp/lm"),
        ({"search": "greedy", "ngram": words}, True, "--decode.ngram: greedy takes no language model"),
        ({"search": "auto", "nbest": 3}, False, "greedy decoding has one"),
    ]:
        with pytest.raises(UserError, match=message):
            decoder.choose(DecodeConfig(**settings), attention)
    assert decoder.choose(DecodeConfig(), True) == "joint" and decoder.choose(DecodeConfig(), False) == "greedy"
