"""The batched search against a plain one: no batches, no cached states, every score from its definition."""

import itertools
import math
from dataclasses import replace
from functools import cache

import pytest
import torch

from mimic.decoding.attention.beam_search import narrow_beam, search
from mimic.decoding.attention.fused_ngram import TokenNgram
from mimic.decoding.attention.next_token import Fused
from mimic.decoding.config import DecodeConfig
from mimic.decoding.ngram.ngram import Ngram
from mimic.io.tokens import BLANK, BOS, EOS, SPECIAL
from mimic.nets.attention_decoder import AttentionDecoder, DecoderConfig
from mimic.nets.lm import RnnLm, RnnLmConfig

SYMBOLS = [*SPECIAL, "a", "b"]
FRAMES, TOKENS = 5, len(SYMBOLS)
ARPA = """\\data\\
ngram 1=5
ngram 2=4
ngram 3=1
\\1-grams:
-0.9\t<s>\t-0.3
-0.8\t</s>
-1.2\t<unk>
-0.4\ta\t-0.2
-0.6\tb\t-0.1
\\2-grams:
-0.2\t<s> a\t-0.15
-0.5\ta a
-0.3\tb a
-0.7\ta </s>
\\3-grams:
-0.25\t<s> a b
\\end\\
"""
EVERYTHING = DecodeConfig(
    beam=16, ctc_weight=0.3, temperature=1.25, lm_scale=0.4, lm_temperature=1.5, ngram_lm_scale=0.2,
    coverage_weight=1.5, eos_threshold=2.5, max_attn_shift=4, min_ratio=0.2, max_ratio=0.7, length_bonus=0.3, nbest=2,
)  # fmt: skip
CASES = {
    "attention": replace(EVERYTHING, **dict.fromkeys(
        ["ctc_weight", "lm_scale", "ngram_lm_scale", "coverage_weight", "eos_threshold", "max_attn_shift", "min_ratio",
         "length_bonus"], 0), temperature=1.0, nbest=1, max_ratio=1.0),
    "ctc": DecodeConfig(beam=3, ctc_weight=1.0, nbest=3),
    "coverage": DecodeConfig(beam=8, ctc_weight=0.0, coverage_weight=1.5, lm_scale=0, ngram_lm_scale=0),
    "threshold": DecodeConfig(beam=4, ctc_weight=0.0, eos_threshold=1.05, nbest=4),
    "normalised": replace(EVERYTHING, length_norm=True),
    "published": DecodeConfig(beam=5, ctc_weight=0.0, lm_scale=0.15, lm_temperature=1.25, temperature=1.25,
                              ngram_lm_scale=0.0, coverage_weight=1.5, eos_threshold=10.0, max_attn_shift=5,
                              length_norm=True, nbest=3),
    "everything": EVERYTHING,
    "everything, narrow": replace(EVERYTHING, beam=3, nbest=3),
}  # fmt: skip


class Setting:
    """Small models with random weights, decided enough to be far from ties."""

    def __init__(self, seed: int, tmp_path, batch: int = 3, frames: int = FRAMES):
        torch.manual_seed(seed)
        self.decoder = AttentionDecoder(6, TOKENS, DecoderConfig(5, 8, 8, 3, 2)).eval()
        self.lm = RnnLm(TOKENS, RnnLmConfig(4, 2, 6, 5)).eval()
        for parameter in [*self.decoder.parameters(), *self.lm.parameters()]:
            parameter.data.mul_(3)
        (tmp_path / "lm.arpa").write_text(ARPA)
        self.ngram = TokenNgram(Ngram(tmp_path / "lm.arpa"), SYMBOLS)
        self.encoded = torch.randn(batch, frames, 6)
        self.ctc = (2 * torch.randn(batch, frames, TOKENS)).log_softmax(2)

    def search(self, config: DecodeConfig, lengths: torch.Tensor, rows=slice(None)):
        models = [Fused(self.lm, config.lm_scale, config.lm_temperature), Fused(self.ngram, config.ngram_lm_scale)]
        longest = int(lengths[rows].max())
        return search(
            self.decoder, self.encoded[rows, :longest], lengths[rows], self.ctc[rows, :longest], config, models
        )


def log(probability: float) -> float:
    return math.log(probability) if probability else -math.inf


class Reference:
    """Beam search over one utterance, as simple as it can be."""

    def __init__(self, setting: Setting, utt: int, frames: int, config: DecodeConfig):
        self.setting, self.config, self.frames = setting, config, frames
        self.encoded, self.ctc = setting.encoded[utt : utt + 1, :frames], setting.ctc[utt, :frames].double()
        self.texts: dict[tuple, float] = {}  # probability of every transcript, summed over all alignments
        probs = self.ctc.exp().tolist()
        for path in itertools.product(range(TOKENS), repeat=frames if config.ctc_weight else 0):
            text = tuple(k for k, _ in itertools.groupby(path) if k != BLANK)
            self.texts[text] = self.texts.get(text, 0.0) + math.prod(probs[t][k] for t, k in enumerate(path))

    @cache  # noqa: B019
    def next(self, tokens: tuple) -> tuple[list[float], float, float, int]:
        """What each next token adds without CTC, and how the attention stands: raw end and best log-probability."""
        config, decoder = self.config, self.setting.decoder
        memory = decoder.precompute(self.encoded, torch.tensor([self.frames]))
        state, attention = decoder.start(memory), torch.zeros(self.frames)
        for token in (BOS, *tokens):
            log_probs, state = decoder.step(torch.tensor([token]), memory, state)
            attention = attention + state.weights[0]
        decoded = (log_probs[0].double() / config.temperature).log_softmax(0)
        total = (1 - config.ctc_weight) * decoded
        lm = self.setting.lm(torch.tensor([[BOS, *tokens]]))[0, -1].double()
        total = total + config.lm_scale * (lm / config.lm_temperature).log_softmax(0)
        ngram, row = self.setting.ngram, self.setting.ngram.start(1)
        for token in (BOS, *tokens):
            scores, row = ngram.step(torch.tensor([token]), row)
        total = total + config.ngram_lm_scale * scores[0].double()
        excess = torch.maximum(attention, torch.tensor(config.coverage_threshold)) - config.coverage_threshold
        total = total - config.coverage_weight * float(excess.sum()) / (len(tokens) + 1)
        return total.tolist(), float(decoded[EOS]), float(decoded.max()), int(state.weights.argmax())

    def prefix(self, tokens: tuple) -> float:
        return log(sum(p for text, p in self.texts.items() if text[: len(tokens)] == tokens))

    def search(self, beam: int) -> list[tuple[tuple, float]]:
        config = self.config
        weight = config.ctc_weight
        most = max(int(self.frames * config.max_ratio), 1)
        fewest = min(int(self.frames * config.min_ratio), most)
        running, finished, ended = [((), 0.0)], {}, 0
        for length in range(most + 1):
            ends, extensions = {}, {}
            for tokens, score in running:
                scores, end, best, peak = self.next(tokens)
                before = self.next(tokens[:-1])[3] if tokens else 0
                if config.max_attn_shift and abs(peak - before) > config.max_attn_shift:
                    continue
                likely = not config.eos_threshold or end > config.eos_threshold * best or length == most
                if length >= fewest and likely:
                    total = score + scores[EOS]
                    if weight:
                        total += weight * log(self.texts.get(tokens, 0.0))
                    ends[tokens] = total
                for token in range(EOS + 1, TOKENS):
                    longer = (*tokens, token)
                    base = score + scores[token] + config.length_bonus
                    extensions[longer] = (base + (weight * self.prefix(longer) if weight else 0.0), base)
            best = sorted(extensions, key=lambda longer: -extensions[longer][0])[:beam]
            kept = sorted([extensions[longer][0] for longer in best] + list(ends.values()), reverse=True)[:beam]
            ends = {
                k: total for k, total in ends.items() if total > -math.inf and (total >= kept[-1] or length == most)
            }
            finished |= {tokens: total / (length + 1 if config.length_norm else 1) for tokens, total in ends.items()}
            ended += len(ends)
            if config.length_norm and ended >= beam:
                break
            running = [(longer, extensions[longer][1]) for longer in best if extensions[longer][0] > -torch.inf]
        return [(tokens, score) for tokens, score in finished.items() if score > -torch.inf]

    def result(self) -> list[tuple[tuple, float]]:
        found = dict(self.search(self.config.beam))
        if narrow_beam(self.config):
            found |= dict(self.search(narrow_beam(self.config)))
        return sorted(found.items(), key=lambda item: -item[1])[: self.config.nbest]


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_search_equals_the_plain_one(tmp_path, name):
    config, lengths = CASES[name], torch.tensor([5, 3, 4])
    compared = 0
    for seed in range(2):
        setting = Setting(seed, tmp_path)
        for utt, found in enumerate(setting.search(config, lengths)):
            truth = Reference(setting, utt, int(lengths[utt]), config).result()
            if not truth:  # the attention jumped too far everywhere: see the test of that
                continue
            compared += 1
            assert [tuple(h.tokens) for h in found] == [tokens for tokens, _ in truth]
            assert [h.score for h in found] == pytest.approx([score for _, score in truth], abs=1e-4)
    assert compared >= 4


@pytest.mark.parametrize("name", CASES)
def test_result_does_not_depend_on_the_batch(tmp_path, name):
    lengths = torch.tensor([14, 3, 7, 14, 1, 9, 12, 2])
    for seed, bonus in enumerate([CASES[name].length_bonus, 0.8]):  # short transcripts and long ones
        setting, config = Setting(seed, tmp_path, 8, 14), replace(CASES[name], length_bonus=bonus)
        together = setting.search(config, lengths)
        for row in range(8):
            (alone,) = setting.search(config, lengths, slice(row, row + 1))
            assert alone and [h.tokens for h in together[row]] == [h.tokens for h in alone]
            assert [h.score for h in together[row]] == pytest.approx([h.score for h in alone], abs=1e-4)


@torch.no_grad()
def test_beam_of_one_is_greedy(tmp_path):
    lengths, kinds = torch.full((20,), 10), set()
    for seed in range(3):
        setting = Setting(seed, tmp_path, 20, 10)
        found = search(setting.decoder, setting.encoded, lengths, None, DecodeConfig(beam=1, ctc_weight=0))
        memory = setting.decoder.precompute(setting.encoded, lengths)
        state, last = setting.decoder.start(memory), torch.full((20,), BOS)
        steps = []
        for _ in range(10):
            log_probs, state = setting.decoder.step(last, memory, state)
            log_probs[:, [BLANK, BOS]] = -torch.inf
            last = log_probs.argmax(1)
            steps.append(last)
        for hypotheses, tokens in zip(found, torch.stack(steps, 1).tolist(), strict=True):
            if EOS in tokens:
                assert hypotheses[0].tokens == tokens[: tokens.index(EOS)]
                kinds.add(len(hypotheses[0].tokens))
    assert len(kinds) >= 3


def test_first_pass_saves_work_and_changes_nothing(tmp_path, monkeypatch):
    setting = Setting(2, tmp_path, 6, 14)
    lengths, config = torch.full((6,), 14), replace(CASES["attention"], beam=16)
    two = setting.search(config, lengths)
    monkeypatch.setattr("mimic.decoding.attention.beam_search.narrow_beam", lambda config: 0)
    for hypotheses, one in zip(two, setting.search(config, lengths), strict=True):
        assert hypotheses[0].score >= one[0].score - 1e-5


def test_attention_may_not_jump_but_every_utterance_gets_a_transcript(tmp_path):
    setting, lengths = Setting(1, tmp_path, 4, 14), torch.tensor([14, 14, 9, 5])
    config = DecodeConfig(beam=4, ctc_weight=0, lm_scale=0, ngram_lm_scale=0, length_bonus=1.5)
    free, strict, strictest = (setting.search(replace(config, max_attn_shift=shift), lengths) for shift in (0, 4, 1))
    assert strict[0][0].tokens != free[0][0].tokens and strict[0][0].score < free[0][0].score
    for hypotheses, truth in zip(strictest, free, strict=True):  # none was left: as without the option
        assert hypotheses[0].tokens == truth[0].tokens


def test_bounds_on_the_length_hold(tmp_path):
    setting = Setting(1, tmp_path, 3, 12)
    config = DecodeConfig(beam=4, ctc_weight=0.2, nbest=4, min_ratio=0.5, max_ratio=0.7)
    for hypotheses, length in zip(setting.search(config, torch.tensor([12, 8, 10])), [12, 8, 10], strict=True):
        assert hypotheses and all(length // 2 <= len(h.tokens) <= int(0.7 * length) for h in hypotheses)
