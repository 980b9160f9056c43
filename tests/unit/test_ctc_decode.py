"""Searches over CTC outputs against enumeration, in pieces against whole, and what is refused."""

import itertools
import json
import math
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import tolerance
import torch
from arpa_maker import arpa
from torch import nn
from torch.nn import functional as F

from mimic.decoding import decoder, nbest
from mimic.decoding.config import DecodeConfig
from mimic.decoding.ctc.kenlm import KenLm
from mimic.decoding.ctc.path import Greedy
from mimic.decoding.ctc.prefix import greedy
from mimic.decoding.ctc.times import Word
from mimic.decoding.decoder import EndToEndDecoder, Result, ctc_decoder
from mimic.decoding.ngram.ngram import Ngram
from mimic.decoding.rescore import log_probs as second_opinion
from mimic.errors import UserError
from mimic.io import archives
from mimic.io.archives import ArkWriter
from mimic.io.tokens import BLANK, SPECIAL, Tokens
from mimic.nets.lm import RnnLm, RnnLmConfig
from mimic.nets.transformer_lm import TransformerLm, TransformerLmConfig

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


def best_paths(log_probs: np.ndarray) -> dict[tuple[int, ...], float]:
    """Log-probability of the best alignment of every transcript."""
    best: dict[tuple[int, ...], float] = {}
    used = [BLANK, *range(4, log_probs.shape[1])]
    for path in itertools.product(used, repeat=len(log_probs)):
        ids = tuple(k for k, _ in itertools.groupby(path) if k != BLANK)
        score = float(sum(log_probs[t, k] for t, k in enumerate(path)))
        best[ids] = max(best.get(ids, -math.inf), score)
    return best


def sentence(model: Ngram, words) -> float:
    total, context = 0.0, model.start
    for word in (*words, "</s>"):
        total += model.log_prob(context, model.ids[word])
        context = int(model.advance(context, model.ids[word]))
    return total


def wide(search: str, **settings) -> DecodeConfig:
    return DecodeConfig(search=search, beam=400, beam_threshold=1000.0, beam_tokens=0, **settings)


def test_beam_one_without_a_model_is_greedy_and_pieces_are_the_whole():
    for seed in range(5):
        log_probs = output(seed, 61, sharp=3.0)
        (whole,) = Greedy(TOKENS).decode(log_probs)
        (narrow,) = ctc_decoder(DecodeConfig(search="lexicon-free", beam=1), TOKENS).decode(log_probs)
        assert whole.ids == narrow.ids == greedy(torch.from_numpy(log_probs)[None], torch.tensor([61]))[0]
        assert whole.score == pytest.approx(narrow.score, abs=1e-3)
        for size in (1, 7, 61):
            stream, found_words = Greedy(TOKENS), []
            for first in range(0, 61, size):
                found_words += stream.add(log_probs[first : first + size])
            assert found_words == whole.ids and stream.end() == whole
            assert stream.end().ids == []  # it has begun again


def test_a_unidirectional_network_recognises_speech_while_it_is_spoken():
    torch.manual_seed(1)
    rnn, head = nn.GRU(5, 16, batch_first=True), nn.Linear(16, 7)
    features = torch.randn(1, 90, 5)
    with torch.inference_mode():
        (whole,) = Greedy(TOKENS).decode((4 * head(rnn(features)[0])).log_softmax(2)[0].numpy())
        stream, state, found_words = Greedy(TOKENS), None, []
        for piece in features.split(13, dim=1):
            units, state = rnn(piece, state)
            found_words += stream.add((4 * head(units)).log_softmax(2)[0].numpy())
    assert found_words == whole.ids == stream.end().ids and len(found_words) > 10


@pytest.mark.parametrize("name", ["t.arpa", "t.arpa.gz"])
def test_free_finds_the_best_of_all_transcripts(tmp_path, name):
    path = arpa(tmp_path / name, LETTERS)
    model, log_probs = Ngram(path), output(3, 5)
    config = wide("lexicon-free", ngram=path, ngram_lm_scale=0.7, nbest=4)
    expected = {
        ids: score + 0.7 * sentence(model, [TOKENS.symbols[i] for i in ids])
        for ids, score in best_paths(log_probs).items()
    }
    found = ctc_decoder(config, TOKENS).decode(log_probs)
    (best, *_) = sorted(expected, key=expected.get, reverse=True)
    assert tuple(found[0].ids) == best and len(found) > 2
    for one in found:
        assert one.score == pytest.approx(expected[tuple(one.ids)], abs=1e-3)
    rewarded = ctc_decoder(replace(config, word_insertion_bonus=20.0), TOKENS).decode(log_probs)[0]
    assert len(rewarded.words) == 3 > len(found[0].words)


@pytest.mark.parametrize("seed", range(2))
def test_lexicon_finds_the_best_sentence_of_its_words(tmp_path, seed):
    path = arpa(tmp_path / "w.arpa")
    model, log_probs = Ngram(path), output(seed, 6)
    expected: dict[tuple[str, ...], float] = {}
    for ids, score in best_paths(log_probs).items():
        words = tuple(TOKENS.decode(ids).split())
        if set(words) <= {"AB", "BA", "A"}:
            score += 0.6 * sentence(model, words) + 0.9 * len(words)
            expected[words] = max(expected.get(words, -math.inf), score)
    config = wide("lexicon", ngram=path, ngram_lm_scale=0.6, word_insertion_bonus=0.9, nbest=5)
    found = ctc_decoder(config, TOKENS).decode(log_probs)
    ranked = sorted(expected.items(), key=lambda item: -item[1])[:5]
    assert [tuple(word for word, _ in one.words) for one in found] == [words for words, _ in ranked]
    assert [one.score for one in found] == pytest.approx([score for _, score in ranked], abs=1e-3)


def test_the_last_phone_of_a_word_may_last(tmp_path):
    (tmp_path / "lexicon.txt").write_text("back b a k\nab a b\n")
    path = [4 + "abk".index(c) if c != "-" else BLANK for c in "-aabbb-bakkkk-"]
    log_probs = np.full((len(path), 7), np.log(0.01 / 6), np.float32)
    log_probs[np.arange(len(path)), path] = np.log(0.99)
    config = wide("lexicon", lexicon=str(tmp_path / "lexicon.txt"))
    (found,) = ctc_decoder(config, PHONES).decode(log_probs)
    assert [word for word, _ in found.words] == ["ab", "back"]
    assert found.ctc == pytest.approx(len(path) * np.log(0.99), abs=1e-3)
    assert [found.spans[place][:2] for place in found.words[1][1]] == [(7, 8), (8, 9), (9, 13)]


def test_a_long_utterance_is_decoded_in_memory_that_does_not_grow(tmp_path):
    log_probs = output(5, 1200, sharp=4.0)
    for config in (
        DecodeConfig(search="lexicon-free", beam=8, ngram=arpa(tmp_path / "t.arpa", LETTERS)),
        DecodeConfig(search="lexicon", beam=8, ngram=arpa(tmp_path / "w.arpa")),
    ):
        decoder = ctc_decoder(config, TOKENS)
        (whole,) = decoder.decode(log_probs)
        for first in range(0, 1200, 100):
            decoder.add(log_probs[first : first + 100])
            assert len(decoder._open) <= ctc_beam.LOOK_BACK + 100 + 100
        ended = decoder.end()
        assert (ended.ids, ended.words, ended.spans) == (whole.ids, whole.words, whole.spans)


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


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("compress", ["none", "int16"])
def test_an_utterance_in_pieces_equals_the_whole(tmp_path, padded, compress):
    features = np.random.default_rng(0).normal(size=(333, 3)).astype(np.float32)
    with ArkWriter(tmp_path / "f.ark", tmp_path / "f.scp", compress) as writer:
        writer.write("before", features[:9])
        writer.write("long", features)
    entry = archives.read_scp(tmp_path / "f.scp")["long"]
    features = torch.from_numpy(archives.load(entry).copy())
    with torch.inference_mode():
        net = Convolutions(padded).convolution
        sizes = 8 * F.conv1d(features.T.abs(), net.weight.abs(), net.bias.abs())
        # A logarithm of a softmax is off by its logit's error and the denominator's; a confidence is at most 1.
        error = 2 * tolerance.of_sums(net.weight[0].numel() + 1 + 7, float(sizes.max()))
        for settings in ({"search": "greedy"}, {"search": "lexicon-free", "beam": 5}):
            whole = EndToEndDecoder(Convolutions(padded), TOKENS, DecodeConfig(**settings))
            pieces = EndToEndDecoder(Convolutions(padded), TOKENS, DecodeConfig(window=40, margin=10, **settings))
            assert pieces.is_long(41) and not pieces.is_long(40) and not whole.is_long(333)
            ((one,),) = whole(features[None], torch.tensor([333]), 0.01)
            (other,) = pieces.long(archives.rows(entry), 333, 0.01)
            assert one.ids == other.ids and len(one.ids) > 50
            for a, b in zip(one.words, other.words, strict=True):
                assert a == replace(b, confidence=pytest.approx(b.confidence, abs=error))
    (tmp_path / "f.ark").write_bytes((tmp_path / "f.ark").read_bytes()[:-500])
    with pytest.raises(UserError, match="f.ark:.*damaged archive"):
        archives.rows(entry)(0, 333)


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
def test_a_second_opinion_ranks_again(name):
    torch.manual_seed(0)
    lm = LMS[name]().eval()
    texts = ["AB A", "B", "A A A", "", "BA BA AB"]
    ids = [TOKENS.encode(text) if text else [] for text in texts]
    given = second_opinion(lm, ids)
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
    rescoring = EndToEndDecoder(Convolutions(True), TOKENS, config, second=partial(second_opinion, lm))
    (second,) = rescoring(features, torch.tensor([40]), 0.01)
    before = {one.text: one.score for one in first}
    assert [one.score for one in second] == sorted((one.score for one in second), reverse=True)
    for one in second:
        assert one.score == pytest.approx(before[one.text] + 0.5 * one.parts["rescore"], abs=1e-5)
        value = second_opinion(lm, [TOKENS.encode(one.text) if one.text else []])[0]
        assert one.parts["rescore"] == pytest.approx(value, abs=1e-4)


def scores(path, words: list[str], sentences) -> list[float]:
    """log10 probabilities of sentences by KenLM as the searches load it."""
    model, found = KenLm(path).over(words), []
    for sentence in sentences:
        state, total = model.start(False), 0.0
        for word in sentence:
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
