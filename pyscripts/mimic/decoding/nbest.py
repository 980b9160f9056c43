"""Transcripts with times as files: CTM, and JSON of n-best lists with a lattice of their words."""

import math
from collections.abc import Sequence
from typing import Any

from mimic.decoding.decoder import Result

END = "</s>"


def ctm(utt: str, result: Result) -> str:
    """Lines of NIST's format: utterance, channel, begin, seconds, word, confidence."""
    return "".join(
        f"{utt} 1 {w.start:.2f} {max(w.end - w.start, 0.01):.2f} {w.word} {w.confidence:.2f}\n" for w in result.words
    )


def record(utt: str, results: Sequence[Result]) -> dict[str, Any]:
    """What is written of an utterance.

    hypotheses: text, score, its parts, posterior (softmax of the scores), and words as [word, begin, end, confidence].
    arcs: the words of all of them as a lattice, [from, to, word, begin, end, posterior], from node 0 to node `end`,
    which </s> leads to. Transcripts share what they begin and end with; times are the likeliest one's.
    """
    best = max((one.score for one in results), default=0.0)
    weights = [math.exp(one.score - best) for one in results]
    posteriors = [weight / sum(weights) for weight in weights]
    hypotheses = [
        {
            "text": one.text,
            "score": round(one.score, 4),
            **{name: round(value, 4) for name, value in one.parts.items()},
            "posterior": round(posterior, 4),
            "words": [[w.word, round(w.start, 2), round(w.end, 2), round(w.confidence, 4)] for w in one.words],
        }
        for one, posterior in zip(results, posteriors, strict=True)
    ]
    arcs, end = _lattice(results, posteriors)
    return {"utt": utt, "hypotheses": hypotheses, "end": end, "arcs": arcs}


def _lattice(results: Sequence[Result], posteriors: Sequence[float]) -> tuple[list[list[Any]], int]:
    """Arcs of the smallest acyclic automaton with these sentences, each ended by </s>, and its last node."""
    sentences = [(*(word.word for word in one.words), END) for one in results]
    tree: dict[tuple[str, ...], set[str]] = {(): set()}  # words so far -> next ones
    for words in sentences:
        for i, word in enumerate(words):
            tree.setdefault(words[:i], set()).add(word)
            tree.setdefault(words[: i + 1], set())
    # Where the same can follow is one node. The longest prefixes come first, so that what follows has its node.
    nodes: dict[frozenset, int] = {}
    node: dict[tuple[str, ...], int] = {}
    for prefix in sorted(tree, key=len, reverse=True):
        follow = frozenset((word, node[prefix + (word,)]) for word in sorted(tree[prefix]))
        node[prefix] = nodes.setdefault(follow, len(nodes))
    last = len(nodes) - 1
    arcs: dict[tuple[int, int, str], list[Any]] = {}
    for one, words, posterior in zip(results, sentences, posteriors, strict=True):
        times = [(round(word.start, 2), round(word.end, 2)) for word in one.words]
        times.append((times[-1][1],) * 2 if times else (0.0, 0.0))
        for i, (word, time) in enumerate(zip(words, times, strict=True)):
            key = (last - node[words[:i]], last - node[words[: i + 1]], word)
            arcs.setdefault(key, [*key, *time, 0.0])[5] += posterior
    return [[*arc[:5], round(arc[5], 4)] for _, arc in sorted(arcs.items())], last
