"""Times of words in seconds, from the frames of their tokens, with confidences."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchaudio.functional import forced_align, merge_tokens

from mimic.decoding.ctc.prefix import frames_needed
from mimic.io.tokens import BLANK, Tokens

GAP_S = 0.1  # CTC marks a token by a short peak: a word lasts this much longer on either side, where the gap allows it


@dataclass(frozen=True)
class Word:
    """Seconds from the beginning of the recording; confidence from 0 to 1."""

    word: str
    start: float
    end: float
    confidence: float


class Span(NamedTuple):
    """Frames start to end - 1 of a token, and the mean log-probability that the CTC output gives it there."""

    start: int
    end: int
    score: float


def timed(
    words: Sequence[tuple[str, Sequence[int]]], spans: Sequence[Span], shift: float, seconds: float
) -> list[Word]:
    """Words, each with the places of its tokens among the spans, as seconds.

    shift: seconds from frame to frame; seconds: how long all lasts. The confidence of a word is the geometric mean of
    its tokens' probabilities.
    """
    limits = [(spans[of[0]].start * shift, spans[of[-1]].end * shift) for _, of in words]
    found = []
    for i, (word, of) in enumerate(words):
        start, end = limits[i]
        before = (limits[i - 1][1] + start) / 2 if i else 0.0
        after = (limits[i + 1][0] + end) / 2 if i + 1 < len(words) else seconds
        confidence = float(np.exp(np.mean([spans[k].score for k in of])))
        found.append(Word(word, max(before, start - GAP_S), min(after, end + GAP_S, seconds), confidence))
    return found


def align(ids: Sequence[int], log_probs: Tensor, tokens: Tokens, shift: float, seconds: float) -> list[Word]:
    """Words of recognised tokens, with the times at which the CTC output (frames, tokens) has them; see `timed`.

    Where there are more tokens than frames, words share the time evenly, with confidence 0.
    """
    words = tokens.words(ids)
    if not words:
        return []
    if frames_needed(ids) > len(log_probs):
        step = seconds / len(words)
        return [Word(word, i * step, (i + 1) * step, 0.0) for i, (word, _) in enumerate(words)]
    path, scores = forced_align(log_probs[None].float(), torch.tensor([list(ids)], dtype=torch.int32), blank=BLANK)
    spans = [Span(s.start, s.end, s.score) for s in merge_tokens(path[0], scores[0], BLANK)]
    return timed(words, spans, shift, seconds)
