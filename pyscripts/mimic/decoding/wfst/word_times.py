"""When the words of a lattice's path were spoken, from the phones of its alignment."""

from collections.abc import Mapping, Sequence

import numpy as np

from mimic.hmm.model import Model


def word_times(
    model: Model, boundary: Mapping[int, str], ali: np.ndarray, words: Sequence[int]
) -> list[tuple[int, int, int]]:
    """(word, first frame, frames) for each word; `boundary` is phones/word_boundary.int.

    Phones know their position in the word, so that the n-th stretch from a beginning to an end is the n-th word.
    """
    if not len(ali):
        return []
    starts = model.phone_starts(ali)
    ends = [*starts[1:].tolist(), len(ali)]
    found, begun = [], 0
    for start, end, phone in zip(starts.tolist(), ends, model.tid_phone[ali[starts]].tolist(), strict=True):
        position = boundary[phone]
        if position in ("begin", "singleton"):
            begun = start
        if position in ("end", "singleton"):
            found.append((begun, end - begun))
    return [(word, *place) for word, place in zip(words, found, strict=False)]
