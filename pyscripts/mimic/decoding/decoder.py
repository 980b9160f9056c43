"""A recogniser with the search that its configuration names: features to transcripts with times and confidences."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mimic.decoding.attention.beam_search import search
from mimic.decoding.attention.next_token import Fused, LanguageModel
from mimic.decoding.config import DecodeConfig
from mimic.decoding.ctc.path import CtcDecoder, Found, Greedy
from mimic.decoding.ctc.times import Word, align, timed
from mimic.errors import UserError
from mimic.io.tokens import Tokens
from mimic.nets.masking import valid_frames
from mimic.registry import Registry

# Searches that read language models; most decodings do without.
BEAMS = Registry({"lexicon": "mimic.decoding.ctc.beam:Lexicon", "lexicon-free": "mimic.decoding.ctc.beam:LexiconFree"})

# By what they predict: the model in a search, and the reader of its file.
NGRAMS = Registry(
    {
        "token": "mimic.decoding.attention.fused_ngram:TokenNgram,Ngram",
        "word": "mimic.decoding.attention.fused_ngram:WordNgram,Ngram",
    }
)

Search = Literal["auto", "joint", "greedy", "lexicon", "lexicon-free"]  # as in DecodeConfig


class Result(NamedTuple):
    """A transcript. `parts`: what its score is made of, natural logarithms before their weights."""

    text: str
    words: list[Word]
    ids: list[int]
    score: float
    parts: dict[str, float]


class EndToEndDecoder:
    """Decodes batches of features.

    Args:
        model: with `encode(features, lengths) -> (encoded, lengths, CTC log-probabilities)`, an `encoder` that has
            `output_lengths`, and `decoder`, its attention decoder or None.
        lm: the network that `config.lm` names, if it takes part.
        second: log-probabilities of sentences of token ids by the model that `config.rescore` names, if it takes part.

    Raises UserError for a search that the model cannot do, and for an n-gram model that does not fit it.
    """

    def __init__(
        self,
        model: Any,
        tokens: Tokens,
        config: DecodeConfig,
        device: str = "cpu",
        lm: Any = None,
        second: Callable[[list[list[int]]], list[float]] | None = None,
    ):
        self.model, self.tokens, self.device = model, tokens, device
        self.config = config = replace(config, search=choose(config, model.decoder is not None))
        self.fused = fused_models(config, tokens, lm) if config.search == "joint" else []
        self.ctc = None if config.search == "joint" else ctc_decoder(config, tokens)
        self.second = second

    def is_long(self, frames: int) -> bool:
        """Whether `long` is for utterances of this length."""
        return self.ctc is not None and frames > self.config.window

    @torch.inference_mode()
    def __call__(self, features: Tensor, lengths: Tensor, shift: float) -> list[list[Result]]:
        """(batch, frames, bins), (batch,) -> for each utterance up to `nbest` transcripts, best first.

        shift: seconds from frame to frame.
        """
        encoded, frames, ctc = self.model.encode(features.to(self.device), lengths.to(self.device))
        check_outputs(ctc[valid_frames(frames, ctc.shape[1])])
        seconds = [int(length) * shift for length in lengths]
        if self.ctc is None:
            found = search(self.model.decoder, encoded, frames, ctc, self.config, self.fused)
            ctc = ctc.float().cpu()
            results = [
                [self._joint(one, ctc[row, : frames[row]], seconds[row]) for one in hypotheses]
                for row, hypotheses in enumerate(found)
            ]
        else:
            results = self.decode(ctc, frames, seconds)
        return self._rescored(results)

    def decode(self, ctc: Tensor, frames: Tensor, seconds: list[float]) -> list[list[Result]]:
        """CTC log-probabilities (batch, frames, tokens) with their lengths and times -> transcripts."""
        assert self.ctc is not None  # no joint search
        outputs = ctc.float().cpu().numpy()
        return [
            [self._timed(one, int(n), s) for one in self.ctc.decode(np.ascontiguousarray(row[: int(n)]))]
            for row, n, s in zip(outputs, frames, seconds, strict=True)
        ]

    @torch.inference_mode()
    def long(self, read: Callable[[int, int], np.ndarray], frames: int, shift: float) -> list[Result]:
        """An utterance of any length, piece by piece: memory does not grow with it. Gives the best transcript alone.

        read(begin, end) gives these frames (frames, bins).
        """
        assert self.ctc is not None  # see `is_long`
        total = 0
        for begin, end, skip, kept in pieces(self.model.encoder, frames, self.config.window, self.config.margin):
            features = torch.from_numpy(np.ascontiguousarray(read(begin, end))).to(self.device)
            lengths = torch.tensor([len(features)], device=self.device)
            ctc = self.model.encode(features[None], lengths)[2][0, skip : skip + kept]
            check_outputs(ctc)
            self.ctc.add(np.ascontiguousarray(ctc.float().cpu().numpy()))
            total += len(ctc)
        return [self._timed(self.ctc.end(), total, frames * shift)]

    def _joint(self, found, ctc: Tensor, seconds: float) -> Result:
        words = align(found.tokens, ctc, self.tokens, seconds / max(len(ctc), 1), seconds)
        return Result(self.tokens.decode(found.tokens), words, found.tokens, found.score, {})

    def _timed(self, found: Found, frames: int, seconds: float) -> Result:
        words = timed(found.words, found.spans, seconds / max(frames, 1), seconds)
        parts = {"ctc": found.ctc} | ({"ngram": found.ngram} if self.config.ngram else {})
        return Result(" ".join(word for word, _ in found.words), words, found.ids, found.score, parts)

    def _rescored(self, results: list[list[Result]]) -> list[list[Result]]:
        """Add the second language model's part, and rank again."""
        if self.second is None:
            return results
        every = [one for of_utterance in results for one in of_utterance]
        second = iter(self.second([self._lm_tokens(one) for one in every]))
        ranked = []
        for of_utterance in results:
            again = []
            for one in of_utterance:
                value = next(second)
                score = one.score + self.config.rescore_weight * value
                again.append(one._replace(score=score, parts=one.parts | {"rescore": value}))
            ranked.append(sorted(again, key=lambda one: -one.score))
        return ranked

    def _lm_tokens(self, result: Result) -> list[int]:
        """A transcript's tokens as the language model was trained on them."""
        return result.ids if self.tokens.token_type == "phn" else self.tokens.encode(result.text)


def choose(config: DecodeConfig, attention: bool) -> Search:
    """The search that `auto` stands for; refuses settings that would have no effect."""
    name: Search = config.search if config.search != "auto" else "joint" if attention else "greedy"
    if name == "joint":
        if not attention:
            raise UserError("--decode.search joint: this recogniser has no attention decoder: take another search")
    elif config.lm:
        raise UserError(f"--decode.lm takes part in --decode.search joint; {name} takes --decode.rescore {config.lm}")
    if name == "greedy":
        if config.ngram or config.rescore:
            given = "ngram" if config.ngram else "rescore"
            raise UserError(f"--decode.{given}: greedy takes no language model: lexicon or lexicon-free do")
        if config.nbest > 1:
            raise UserError(f"--decode.nbest {config.nbest}: greedy decoding has one: take lexicon or lexicon-free")
    return name


def fused_models(config: DecodeConfig, tokens: Tokens, lm: LanguageModel | None = None) -> list[Fused]:
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


def check_outputs(log_probs: Tensor) -> None:
    """UserError for NaN, of which a search would make an empty transcript."""
    if bool(log_probs.isnan().any()):
        raise UserError("the recogniser's output is NaN: its weights or these features are too large")


def ctc_decoder(config: DecodeConfig, tokens: Tokens) -> CtcDecoder:
    """The search over CTC outputs of that name."""
    if config.search == "greedy":
        return Greedy(tokens)
    return BEAMS[config.search](config, tokens)


def pieces(encoder: Any, frames: int, window: int, margin: int) -> Iterator[tuple[int, int, int, int]]:
    """Cut an utterance into pieces that follow each other in the encoder's output.

    Gives, for each, its frames (begin, end) with the margins, and which of the encoder's frames of it count: how many
    to skip, how many to take.
    """
    stride = round(9600 / (encoder.output_lengths(19200) - encoder.output_lengths(9600)))  # frames in per frame out
    total, step, around = encoder.output_lengths(frames), max(1, window // stride), -(-margin // stride)
    for at in range(0, total, step):
        kept = min(step, total - at)
        first, last = max(0, at - around), min(total, at + kept + around)
        begin, end = first * stride, last * stride
        while end < frames and encoder.output_lengths(end - begin) < last - first:
            end += stride  # convolutions without padding take more than they give
        end = frames if last == total else min(end, frames)
        yield begin, end, at - first, kept
