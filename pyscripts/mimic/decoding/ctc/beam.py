"""Beam search over CTC outputs with n-gram models: flashlight-text's decoders, KenLM inside.

What is added to them: checks of the symbols (a model in another case is an error, not a bad transcript), spellings
that keep to CTC at the ends of words, natural logarithms, times, and utterances of any length.
"""

import math
from pathlib import Path as File
from typing import Any

import numpy as np

from mimic.decoding.config import DecodeConfig
from mimic.decoding.ctc.kenlm import KenLm
from mimic.decoding.ctc.path import Found, Path
from mimic.decoding.ctc.spelling import Spelling
from mimic.errors import UserError
from mimic.io.tokens import BLANK, BOS, EOS, UNK, Tokens

try:
    from flashlight.lib.text import decoder as flashlight
except ImportError:  # no wheel for this system
    flashlight = None

LOOK_BACK = 250  # frames before the newest one that may still change when an utterance comes in pieces
NEVER = -1e9  # log-probability; finite, for sums of it are compared
LOG10 = math.log(10)


class _Beam:
    """What both searches share. The decoders see one more token, silence, which costs nothing to leave out."""

    _decoder: Any  # of flashlight-text

    def __init__(self, config: DecodeConfig, tokens: Tokens):
        if flashlight is None:
            raise UserError(
                f"--decode.search {config.search} needs flashlight-text, which is not installed (no wheel for this "
                f"system?): take greedy"
            )
        self.config, self.tokens = config, tokens
        self.width = len(tokens) + 1  # and the silence
        self.silence = len(tokens)
        self.closing = np.zeros((0, self.width), np.float32)  # frames after the last one
        self._begun, self._open, self._path = False, np.zeros((0, self.width), np.float32), Path()

    def set_scales(self, config: DecodeConfig) -> None:
        """Take other scales, with the same n-gram model and words."""
        raise NotImplementedError

    def _options(self) -> dict[str, Any]:
        """What the options of both decoders have."""
        return {
            "beam_size": self.config.beam,
            "beam_size_token": self.config.beam_tokens or self.width,
            "beam_threshold": self.config.beam_threshold,
            "lm_weight": LOG10 * self._ngram_lm_scale(),  # KenLM's logarithms are of base 10
            "sil_score": 0.0,
            "log_add": False,
            "criterion_type": flashlight.CriterionType.CTC,
        }

    def _ngram_lm_scale(self) -> float:
        return self.config.ngram_lm_scale if self.config.ngram else 0.0

    def _score(self, ctc: float, ngram: float, words: int) -> float:
        return ctc + self._ngram_lm_scale() * ngram + self.config.word_insertion_bonus * words

    def decode(self, log_probs: np.ndarray) -> list[Found]:
        frames = self._frames(log_probs, self.closing)
        results = self._decoder.decode(frames.ctypes.data, *frames.shape)
        found: dict[str, Found] = {}  # by text: two spaces are one
        for result in results:
            if len(found) == self.config.nbest and not self._ranked_again():
                break
            path = Path()
            self._take(path, result, frames)
            one = self._found(path, result.emittingModelScore, LOG10 * result.lmScore)
            found.setdefault(" ".join(word for word, _ in one.words), one)
        return sorted(found.values(), key=lambda one: -one.score)[: self.config.nbest]

    def add(self, log_probs: np.ndarray) -> None:
        if not self._begun:
            self._decoder.decode_begin()
            self._begun = True
        self._step(self._frames(log_probs))
        result = self._decoder.get_best_hypothesis(LOOK_BACK)
        self._decoder.prune(LOOK_BACK)
        done = max(len(result.tokens) - 1, 0)
        self._take(self._path, result, self._open[:done])
        self._open = self._open[done:]

    def end(self) -> Found:
        if not self._begun:
            self._decoder.decode_begin()
        if len(self.closing):
            self._step(self.closing)
        self._decoder.decode_end()
        result = self._decoder.get_all_final_hypothesis()[0]
        self._take(self._path, result, self._open)
        path, self._path, self._begun, self._open = self._path, Path(), False, self._open[:0]
        return self._found(path, path.ctc(), 0.0)

    def _step(self, frames: np.ndarray) -> None:
        self._open = np.concatenate([self._open, frames])
        if len(frames):
            self._decoder.decode_step(frames.ctypes.data, *frames.shape)

    def _frames(self, log_probs: np.ndarray, after: np.ndarray | None = None) -> np.ndarray:
        """(frames, tokens) -> (frames + closing frames, tokens + silence)."""
        frames = np.full((len(log_probs) + (0 if after is None else len(after)), self.width), NEVER, np.float32)
        frames[: len(log_probs), :-1] = log_probs
        if after is not None:
            frames[len(log_probs) :] = after
        return frames

    def _take(self, path: Path, result: "flashlight.DecodeResult", frames: np.ndarray) -> None:
        """Add what a result says of these frames; its first entry is the frame before them."""
        ids, labels = (np.array(part[1 : len(frames) + 1], np.int64) for part in (result.tokens, result.words))
        path.add(ids, frames, labels)

    def _found(self, path: Path, ctc: float, ngram: float) -> Found:
        """The transcript of a path, with its scores."""
        raise NotImplementedError

    def _ranked_again(self) -> bool:
        return False


class LexiconFree(_Beam):
    """Any tokens, with an n-gram model of tokens."""

    def __init__(self, config: DecodeConfig, tokens: Tokens):
        """Raises UserError where the model's symbols are not the recogniser's tokens."""
        super().__init__(config, tokens)
        names = list(tokens.symbols)
        names[BOS], names[EOS], names[UNK] = "<s>", "</s>", "<unk>"
        self._lm = flashlight.ZeroLM()
        if config.ngram:
            model = KenLm(config.ngram)
            model.check([name for i, name in enumerate(names) if i > UNK], "tokens of the recogniser", set(names))
            self._lm = model.with_words([*names, "<silence>"])
        self.set_scales(config)

    def set_scales(self, config: DecodeConfig) -> None:
        self.config = config
        options = flashlight.LexiconFreeDecoderOptions(**self._options())
        self._decoder = flashlight.LexiconFreeDecoder(options, self._lm, self.silence, BLANK, [])

    def _ranked_again(self) -> bool:
        return self.config.word_insertion_bonus != 0

    def _found(self, path: Path, ctc: float, ngram: float) -> Found:
        ids, spans = path.tokens((BLANK, self.silence))
        words = self.tokens.words(ids)
        return Found(ids, spans, words, self._score(ctc, ngram, len(words)), ctc, ngram)


class Lexicon(_Beam):
    """Words of a list, with an n-gram model of words."""

    def __init__(self, config: DecodeConfig, tokens: Tokens):
        """Raises UserError where the words cannot be spelt, or the model does not know them."""
        super().__init__(config, tokens)
        if not config.ngram and not config.lexicon:
            raise UserError("--decode.search lexicon: give --decode.ngram (words), or --decode.lexicon")
        model = KenLm(config.ngram) if config.ngram else None
        if config.lexicon:
            spelling = Spelling.read(File(config.lexicon), tokens)
        else:
            assert model is not None  # one of both is given
            spelling = Spelling.of(model, tokens)
        self.words = spelling.words
        self._lm = flashlight.ZeroLM()
        if model:
            if config.lexicon:
                model.check(self.words, f"words of {config.lexicon}")
            self._lm = model.with_words(self.words)
        if spelling.space is not None:  # a word ends where the next space begins, the last one in an added frame
            self.silence = spelling.space
            self.closing = np.full((1, self.width), NEVER, np.float32)
            self.closing[0, spelling.space] = 0.0
        self._trie, start = flashlight.Trie(self.width, self.silence), self._lm.start(False)
        for number, spellings in enumerate(spelling.spellings):
            score = self._lm.score(start, number)[1]
            for ids in spellings:
                self._trie.insert(ids, number, score)
        self._trie.smear(flashlight.SmearingMode.MAX)
        self.set_scales(config)

    def set_scales(self, config: DecodeConfig) -> None:
        self.config = config
        scores = {"word_score": config.word_insertion_bonus, "unk_score": -math.inf}
        options = flashlight.LexiconDecoderOptions(**scores, **self._options())
        self._decoder = flashlight.LexiconDecoder(options, self._trie, self._lm, self.silence, BLANK, -1, [], False)

    def _found(self, path: Path, ctc: float, ngram: float) -> Found:
        ids, spans = path.tokens((BLANK, self.silence, len(self.tokens)))
        labels, frames = path.labels()
        of = np.searchsorted(frames, [span.start for span in spans])  # the word that ends first after a token
        places: list[list[int]] = [[] for _ in range(len(labels) + 1)]
        for place, word in enumerate(of.tolist()):
            places[word].append(place)
        words = [(self.words[label], place) for label, place in zip(labels, places, strict=False) if place]
        return Found(ids, spans, words, self._score(ctc, ngram, len(labels)), ctc, ngram)
