"""CTC prefix scores and beam search against exhaustive enumeration."""

import itertools

import pytest
import torch

from mimic.decoding.attention.beam_search import search
from mimic.decoding.config import DecodeConfig
from mimic.decoding.ctc.prefix import PrefixScorer, greedy
from mimic.io.tokens import BLANK, BOS, EOS
from mimic.nets.attention_decoder import AttentionDecoder, DecoderConfig

VOCABULARY = 6  # blank, bos, eos and three tokens


def alignments(log_probs: torch.Tensor) -> dict[tuple[int, ...], float]:
    """Probability of every transcript, summed over all paths. (frames, tokens)"""
    totals: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        text = tuple(k for k, _ in itertools.groupby(path) if k != BLANK)
        probability = float(sum(log_probs[t, k] for t, k in enumerate(path)).exp())
        totals[text] = totals.get(text, 0.0) + probability
    return totals


@pytest.mark.parametrize("padding", [0, 3])
def test_prefix_scores_equal_enumeration(padding):
    torch.manual_seed(0)
    log_probs = torch.randn(1, 5, VOCABULARY, dtype=torch.double).log_softmax(2)
    truth = alignments(log_probs[0])
    padded = torch.cat([log_probs, torch.randn(1, padding, VOCABULARY, dtype=torch.double)], dim=1)
    scorer = PrefixScorer(padded, torch.tensor([5]))
    for prefix in [(3,), (3, 3), (4, 3), (3, 4, 5), (3, 3, 4), (5, 5, 5)]:
        state, only = scorer.start(), torch.tensor([0])
        for token in prefix:
            score = scorer.scores(state, only, only)[0, token]
            state = scorer.extend(state, only, torch.tensor([token]))
        starts = sum(p for text, p in truth.items() if text[: len(prefix)] == prefix)
        assert float(score.exp()) == pytest.approx(starts, rel=1e-9)
        assert float(scorer.end(state).exp()) == pytest.approx(truth.get(prefix, 0.0), rel=1e-9)


def test_prefix_scores_of_a_long_utterance_stay_accurate():
    """The closed form subtracts large cumulative sums: compare with the plain recursion over 3000 frames."""
    torch.manual_seed(0)
    log_probs = (4 * torch.randn(1, 3000, VOCABULARY)).log_softmax(2)
    scorer = PrefixScorer(log_probs, torch.tensor([3000]))
    state = scorer.extend(scorer.start(), torch.tensor([0]), torch.tensor([3]))
    y = log_probs[0].double()
    token, blank = torch.tensor(-torch.inf, dtype=torch.double), torch.tensor(-torch.inf, dtype=torch.double)
    before = torch.tensor(0.0, dtype=torch.double)
    for t in range(3000):
        token, blank = torch.logaddexp(token, before) + y[t, 3], torch.logaddexp(blank, token) + y[t, BLANK]
        before = before + y[t, BLANK]
    torch.testing.assert_close(state.blank[0, -1], blank, atol=1e-6, rtol=0)
    torch.testing.assert_close(state.either[0, -1], torch.logaddexp(token, blank), atol=1e-6, rtol=0)


def test_greedy_merges_repeats_within_the_length():
    best = torch.tensor([[3, 3, BLANK, 3, 4, 4, 5, 5]])
    log_probs = torch.nn.functional.one_hot(best, VOCABULARY).float()
    assert greedy(log_probs, torch.tensor([6])) == [[3, 3, 4]]


def decoder_and_batch(seed: int, batch: int = 3, frames: int = 9):
    torch.manual_seed(seed)
    decoder = AttentionDecoder(6, VOCABULARY, DecoderConfig(5, 8, 8, 3, 2)).eval()
    for parameter in decoder.parameters():
        parameter.data.mul_(3)  # a decided decoder, so that scores are far from ties
    encoded = torch.randn(batch, frames, 6)
    ctc = (2 * torch.randn(batch, frames, VOCABULARY)).log_softmax(2)
    return decoder, encoded, ctc


@torch.no_grad()
def joint_score(decoder, encoded, ctc, text: tuple[int, ...], weight: float, bonus: float) -> float:
    previous = torch.tensor([[BOS, *text]])
    log_probs = decoder(encoded[None], torch.tensor([len(encoded)]), previous)[0]
    attention = float(sum(log_probs[i, k] for i, k in enumerate([*text, EOS])))
    score = (1 - weight) * attention + bonus * len(text)
    if weight:
        loss = torch.nn.functional.ctc_loss(
            ctc.unsqueeze(1), torch.tensor([text]), (len(ctc),), (len(text),), BLANK, "sum"
        )
        score -= weight * float(loss)
    return score


@pytest.mark.parametrize(("weight", "bonus"), [(0.0, 0.0), (0.5, 0.0), (0.3, 0.8), (1.0, 0.0)])
def test_wide_beam_finds_the_best_of_all_transcripts(weight, bonus):
    for seed in range(3):
        decoder, encoded, ctc = decoder_and_batch(seed, 1, 4)
        every = [text for n in range(5) for text in itertools.product([3, 4, 5], repeat=n)]
        scores = {text: joint_score(decoder, encoded[0], ctc[0], text, weight, bonus) for text in every}
        best = max(scores, key=scores.get)
        config = DecodeConfig(beam=150, ctc_weight=weight, length_bonus=bonus)
        (found,) = search(decoder, encoded, torch.tensor([4]), ctc, config)
        assert tuple(found[0].tokens) == best
        assert found[0].score == pytest.approx(scores[best], abs=1e-4)


@pytest.mark.parametrize("weight", [0.0, 0.4])
def test_result_does_not_depend_on_the_batch(weight):
    decoder, encoded, ctc = decoder_and_batch(7, 6, 12)
    lengths = torch.tensor([12, 3, 7, 12, 1, 9])
    config = DecodeConfig(beam=4, ctc_weight=weight, nbest=3)
    together = search(decoder, encoded, lengths, ctc, config)
    for row, length in enumerate(lengths):
        part = slice(row, row + 1)
        (alone,) = search(decoder, encoded[part, :length], length[None], ctc[part, :length], config)
        assert [h.tokens for h in together[row]] == [h.tokens for h in alone]
        assert [h.score for h in together[row]] == pytest.approx([h.score for h in alone], abs=1e-4)


def test_n_best_is_ordered_and_distinct():
    decoder, encoded, ctc = decoder_and_batch(1)
    for hypotheses in search(decoder, encoded, torch.tensor([9, 9, 9]), ctc, DecodeConfig(beam=6, nbest=5)):
        assert len({tuple(h.tokens) for h in hypotheses}) == len(hypotheses) == 5
        assert [h.score for h in hypotheses] == sorted((h.score for h in hypotheses), reverse=True)
