"""Searches over CTC outputs against enumeration, in pieces against whole, and what is refused."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import tolerance
import torch
from arpa_maker import arpa
from ctc_maker import LETTERS, PHONES, TOKENS, Convolutions, ctc_beam, output, sentence
from torch import nn
from torch.nn import functional as F

from mimic.decoding.config import DecodeConfig
from mimic.decoding.ctc.path import Greedy
from mimic.decoding.ctc.prefix import greedy
from mimic.decoding.decoder import EndToEndDecoder, ctc_decoder
from mimic.decoding.ngram.ngram import Ngram
from mimic.errors import UserError
from mimic.io import archives
from mimic.io.archives import ArkWriter
from mimic.io.tokens import BLANK


def best_paths(log_probs: np.ndarray) -> dict[tuple[int, ...], float]:
    """Log-probability of the best alignment of every transcript."""
    best: dict[tuple[int, ...], float] = {}
    used = [BLANK, *range(4, log_probs.shape[1])]
    for path in itertools.product(used, repeat=len(log_probs)):
        ids = tuple(k for k, _ in itertools.groupby(path) if k != BLANK)
        score = float(sum(log_probs[t, k] for t, k in enumerate(path)))
        best[ids] = max(best.get(ids, -math.inf), score)
    return best


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
