"""Weights of the n-gram model and the word bonus, chosen on a development set."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import kaldialign
import numpy as np

from mimic.decoding.ctc.beam import Lexicon, LexiconFree
from mimic.errors import UserError
from mimic.io.entries import found, place
from mimic.io.tables import read_table

TEST = re.compile(r"(^|[^a-z])(test|eval)($|[^a-z])", re.IGNORECASE)


class Point(NamedTuple):
    """Word errors with these weights."""

    ngram_lm_scale: float
    word_insertion_bonus: float
    errors: int
    words: int

    @property
    def wer(self) -> float:
        return 100 * self.errors / max(self.words, 1)


def refuse_test(directory: Path) -> None:
    """Raises UserError where a feature directory is a test set by its name, its target, or what it was made from."""
    for name in _origins(directory, set()):
        if TEST.search(name):
            raise UserError(f"{directory}: is (or was made from) {name}: weights are tuned on a development set")


def _origins(path: Path, seen: set[Path]) -> Iterable[str]:
    """Names of a directory and of those that its steps have read."""
    real = path.resolve()
    if real in seen:
        return
    seen.add(real)
    yield from {path.name, real.name}
    if (path / "feats.scp").is_file():
        for entry in set(read_table(path / "feats.scp").values()):
            yield Path(place(entry).path).resolve().parent.name
    if (path / ".fingerprint").is_file():
        for line in (path / ".fingerprint").read_text(encoding="utf-8").splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "input":
                name = Path(found(json.JSONDecoder().raw_decode(rest)[0]))
                # A file stands for its directory where that holds speech: a lexicon is made from the words of all sets.
                if name.is_file() and not (name.parent / "utt2spk").exists():
                    continue
                yield from _origins(name.parent if name.is_file() else name, seen)


def search(
    decoder: Lexicon | LexiconFree,
    outputs: Iterable[tuple[str, Callable[[], np.ndarray]]],
    texts: Mapping[str, str],
    grid: Sequence[tuple[float, float]],
) -> list[Point]:
    """Word errors with each pair of weights.

    outputs: utterances, and functions that read their CTC log-probabilities (frames, tokens).
    """
    errors, words = np.zeros(len(grid), np.int64), 0
    for utt, read in outputs:
        log_probs, reference = np.ascontiguousarray(read()), texts[utt].split()
        words += len(reference)
        for i, (weight, bonus) in enumerate(grid):
            decoder.set_scales(replace(decoder.config, ngram_lm_scale=weight, word_insertion_bonus=bonus))
            sentences = decoder.decode(log_probs)
            hypothesis = [word for word, _ in sentences[0].words] if sentences else []
            errors[i] += kaldialign.edit_distance(reference, hypothesis)["total"]
    return [Point(*pair, int(n), words) for pair, n in zip(grid, errors, strict=True)]


def total(parts: Iterable[Sequence[Point]]) -> list[Point]:
    """The points of all jobs together."""
    return [
        points[0]._replace(errors=sum(p.errors for p in points), words=sum(p.words for p in points))
        for points in zip(*parts, strict=True)
    ]


def best(points: Sequence[Point]) -> Point:
    """Fewest errors; of equals the smallest weights."""
    return min(points, key=lambda p: (p.errors, p.ngram_lm_scale, abs(p.word_insertion_bonus)))


def table(points: Sequence[Point]) -> str:
    """WER, one line for each weight of the n-gram model, one column for each word bonus."""
    bonuses = sorted({p.word_insertion_bonus for p in points})
    at = {(p.ngram_lm_scale, p.word_insertion_bonus): p for p in points}
    lines = ["\t".join(["ngram_lm_scale", *(f"bonus {b:g}" for b in bonuses)])]
    for weight in sorted({p.ngram_lm_scale for p in points}):
        lines.append("\t".join([f"{weight:g}", *(f"{at[weight, b].wer:.2f}" for b in bonuses)]))
    return "\n".join(lines) + "\n"
