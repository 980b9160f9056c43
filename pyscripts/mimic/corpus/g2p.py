"""Letters to phones for words that no lexicon has: a joint n-gram model estimated from the lexicon at hand.

After Bisani & Ney, "Joint-sequence models for grapheme-to-phoneme conversion" (2008): each letter is paired with up
to two phones, pairs are found by EM over all monotone alignments, and a back-off n-gram over pairs scores the
sequence. A word that is two words of the lexicon put together is split first. No randomness anywhere.
"""

import math
import unicodedata
from collections import defaultdict
from collections.abc import Mapping

Pair = tuple[str, tuple[str, ...]]  # a letter and the 0, 1 or 2 phones that it stands for
START: Pair = ("<", ())
END: Pair = (">", ())
ORDER = 6  # pairs in an n-gram
BEAM = 24
MAX_WORDS = 20000  # of a large lexicon, every n-th word is enough and keeps estimation under a minute
MAX_PHONES = 2


class LetterToSound:
    """`model(word) -> phones`; [] for a word with a character that is not a letter of the lexicon (`unknown_letters`).

    Marks such as apostrophes are silent. An accented letter that the lexicon lacks is read as the one without accent.
    """

    def __init__(self, lexicon: Mapping[str, list[str]], iterations: int = 6) -> None:
        self.lexicon = lexicon
        words = [(w, p) for w, p in sorted(lexicon.items()) if w.isalpha() and len(p) <= MAX_PHONES * len(w)]
        words = words[:: max(1, len(words) // MAX_WORDS)]
        weights: dict[Pair, float] = defaultdict(lambda: 1.0)
        for _ in range(iterations):
            weights = _expected_pairs(words, weights)
        self.choices: dict[str, list[Pair]] = defaultdict(list)
        # counts[history][pair], for histories of 0 to ORDER - 1 pairs
        self.counts: dict[tuple[Pair, ...], dict[Pair, int]] = defaultdict(lambda: defaultdict(int))
        for word, phones in words:
            pairs = [START, *_best_pairs(word, phones, weights), END]
            for i in range(1, len(pairs)):
                for n in range(min(ORDER, i + 1)):
                    self.counts[tuple(pairs[i - n : i])][pairs[i]] += 1
        for pair in self.counts[()]:
            self.choices[pair[0]].append(pair)

    def __call__(self, word: str) -> list[str]:
        if self.unknown_letters(word):
            return []
        word = "".join(map(self._known, word))
        return self.lexicon.get(word) or self.compound(word) or self.plural(word) or self.spell(word)

    def unknown_letters(self, word: str) -> str:
        """The characters of a word that the model cannot read; all of them where it can read no letter."""
        known = [self._known(c) for c in word]
        if not any(c in self.choices for c in "".join(known)):
            return word
        return "".join(c for c, read_as in zip(word, known, strict=True) if not read_as)

    def _known(self, character: str) -> str:
        """What a character is read as: itself where the lexicon has it or it is a mark, a letter without its accent."""
        if character in self.choices or unicodedata.category(character)[0] == "P":
            return character
        base = "".join(c for c in unicodedata.normalize("NFD", character) if unicodedata.category(c) != "Mn")
        return base if all(c in self.choices for c in base) else ""

    def compound(self, word: str) -> list[str]:
        """Phones of the most even split into two words of the lexicon, each of three letters or more; else []."""
        cuts = sorted(range(3, len(word) - 2), key=lambda cut: abs(len(word) - 2 * cut))
        for cut in cuts:
            if word[:cut] in self.lexicon and word[cut:] in self.lexicon:
                return self.lexicon[word[:cut]] + self.lexicon[word[cut:]]
        return []

    def plural(self, word: str) -> list[str]:
        """Phones of a word of the lexicon with S or 'S after it (plural, possessive, third person); else []."""
        stem = self.lexicon.get(word.removesuffix("S").removesuffix("'")) if word.endswith("S") else None
        if not stem:
            return []
        if stem[-1] in ("S", "Z", "SH", "ZH", "CH", "JH"):
            return [*stem, "IH", "Z"]
        return [*stem, "S" if stem[-1] in ("P", "T", "K", "F", "TH") else "Z"]

    def spell(self, word: str) -> list[str]:
        """The likeliest phones by the n-gram, searched with a beam over the letters."""
        beam: list[tuple[float, tuple[Pair, ...]]] = [(0.0, (START,))]
        for letter in [*(c for c in word if c in self.choices), END[0]]:
            grown = [
                (score + self.log_probability(pairs, pair), (*pairs, pair))
                for score, pairs in beam
                for pair in self.choices[letter]
            ]
            beam = sorted(grown, key=lambda item: (-item[0], item[1]))[:BEAM]
        return [phone for _, phones in beam[0][1] for phone in phones]

    def log_probability(self, history: tuple[Pair, ...], pair: Pair) -> float:
        """Witten-Bell smoothing: each order hands on the share of its mass that new events have had."""
        p = 1e-6
        for n in range(min(ORDER, len(history) + 1)):
            seen = self.counts.get(history[len(history) - n :])
            if seen is None:
                break
            total, kinds = sum(seen.values()), len(seen)
            p = (seen.get(pair, 0) + kinds * p) / (total + kinds)
        return math.log(p)


def _arcs(word: str, phones: list[str]) -> list[tuple[int, int, int, Pair]]:
    """All (letters before, phones before, phones after, pair) from which an alignment can be made, left to right."""
    arcs = []
    for i, letter in enumerate(word):
        left = MAX_PHONES * (len(word) - i - 1)  # phones that the letters after this one can still take
        for j in range(min(MAX_PHONES * i, len(phones)) + 1):
            for k in range(j, min(j + MAX_PHONES, len(phones)) + 1):
                if len(phones) - k <= left:
                    arcs.append((i, j, k, (letter, tuple(phones[j:k]))))
    return arcs


def _expected_pairs(words: list[tuple[str, list[str]]], weights: Mapping[Pair, float]) -> dict[Pair, float]:
    """One round of EM: expected counts of the pairs under `weights`, as probabilities."""
    counts: dict[Pair, float] = defaultdict(float)
    for word, phones in words:
        arcs = _arcs(word, phones)
        forward: dict[tuple[int, int], float] = defaultdict(float, {(0, 0): 1.0})
        for i, j, k, pair in arcs:
            forward[i + 1, k] += forward[i, j] * weights[pair]
        end = len(word), len(phones)
        backward: dict[tuple[int, int], float] = defaultdict(float, {end: 1.0})
        for i, j, k, pair in reversed(arcs):
            through = weights[pair] * backward[i + 1, k]
            backward[i, j] += through
            if through and forward[end]:
                counts[pair] += forward[i, j] * through / forward[end]
    total = sum(counts.values())
    return defaultdict(float, {pair: count / total for pair, count in counts.items()})


def _best_pairs(word: str, phones: list[str], weights: Mapping[Pair, float]) -> list[Pair]:
    """The likeliest alignment (Viterbi)."""
    best: dict[tuple[int, int], tuple[float, list[Pair]]] = {(0, 0): (1.0, [])}
    for i, j, k, pair in _arcs(word, phones):
        if (i, j) in best:
            score = best[i, j][0] * weights[pair]
            if score > best.get((i + 1, k), (0.0, []))[0]:
                best[i + 1, k] = score, [*best[i, j][1], pair]
    return best[len(word), len(phones)][1] if (len(word), len(phones)) in best else []
