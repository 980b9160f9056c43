"""Phonetic decision trees (Young, Odell, Woodland, "Tree-based state tying", 1994) in Kaldi's form.

Statistics are Gaussians of (left phone, phone, right phone, pdf class); a leaf is split by the question about one of
these four that raises the likelihood most.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count

import numpy as np

from mimic.hmm.basic_types import pack_int, pack_ints
from mimic.hmm.gmm import LOG_2PI
from mimic.hmm.jobs import Sums
from mimic.hmm.kaldi import khg
from mimic.hmm.model import Model, tree_of

WIDTH, CENTRAL = 3, 1
PDF_CLASS = 3  # column of a key; Kaldi calls it -1
VAR_FLOOR = 0.01


@dataclass
class TreeStats(Sums):
    """keys (n, 4) unique and sorted; sums (n, 1 + 2 dim): frames, x, x squared."""

    keys: np.ndarray
    sums: np.ndarray

    @classmethod
    def merged(cls, parts: Sequence["TreeStats"]) -> "TreeStats":
        keys = np.concatenate([part.keys for part in parts])
        sums = np.concatenate([part.sums for part in parts])
        order = np.lexsort(keys.T[::-1])
        keys, sums = keys[order], sums[order]
        first = np.flatnonzero(np.concatenate([[True], (keys[1:] != keys[:-1]).any(1)]))
        return cls(keys[first], np.add.reduceat(sums, first))

    def add(self, other: "TreeStats") -> None:
        both = TreeStats.merged([self, other])
        self.keys, self.sums = both.keys, both.sums


def utterance_stats(model: Model, ali: np.ndarray, x: np.ndarray, ci_phones: Sequence[int]) -> TreeStats:
    """Statistics of an alignment (frames,) and its features (frames, dim); `ci_phones` have no context."""
    starts = model.phone_starts(ali)
    phones = model.tid_phone[ali[starts]]
    around = np.stack([np.append(0, phones[:-1]), phones, np.append(phones[1:], 0)], axis=1)
    around[np.isin(phones, ci_phones)] *= np.array([0, 1, 0])
    number = np.searchsorted(starts, np.arange(len(ali)), "right") - 1
    keys = np.concatenate([around[number], model.tid_state[ali][:, None]], axis=1)
    x = x.astype(np.float64)
    return TreeStats.merged([TreeStats(keys, np.concatenate([np.ones((len(x), 1)), x, x**2], axis=1))])


def log_like(sums: np.ndarray) -> np.ndarray:
    """(..., 1 + 2 dim) -> log-likelihood of the frames under their own Gaussian."""
    dim = (sums.shape[-1] - 1) // 2
    n = np.maximum(sums[..., :1], 1e-10)
    mean = sums[..., 1 : dim + 1] / n
    variance = np.maximum(sums[..., dim + 1 :] / n - mean**2, VAR_FLOOR)
    return -0.5 * sums[..., 0] * (np.log(variance).sum(-1) + dim * (1 + LOG_2PI))


def make_questions(stats: TreeStats, sets: Sequence[Sequence[int]], extra: Sequence[Sequence[int]]) -> np.ndarray:
    """Questions (n, phones + 1): the sets of phones that bottom-up clustering of `sets` forms, and `extra` ones."""
    size = max(max(group) for group in [*sets, *extra, [int(stats.keys[:, :3].max())]]) + 1
    clusters = {}
    for number, group in enumerate(sets):
        rows = np.isin(stats.keys[:, CENTRAL], group)
        if rows.any():
            clusters[number] = (list(group), stats.sums[rows].sum(0))
    questions = [group for group, _ in clusters.values()]
    pairs: dict[tuple[int, int], float] = {}
    fresh, serial = list(clusters), count(len(sets))
    while len(clusters) > 2:
        for a in fresh:  # the loss of likelihood when two become one
            others = [b for b in clusters if b != a]
            both = np.stack([clusters[a][1] + clusters[b][1] for b in others])
            single = np.stack([clusters[b][1] for b in others])
            losses = log_like(clusters[a][1]) + log_like(single) - log_like(both)
            pairs |= {(min(a, b), max(a, b)): loss for b, loss in zip(others, losses, strict=True)}
        a, b = min(pairs, key=lambda pair: (pairs[pair], pair))
        new = next(serial)
        merged = (clusters[a][0] + clusters[b][0], clusters[a][1] + clusters[b][1])
        for old in (a, b):
            del clusters[old]
        pairs = {pair: loss for pair, loss in pairs.items() if not {a, b} & set(pair)}
        clusters[new], fresh = merged, [new]
        questions.append(merged[0])
    unique = {tuple(sorted(question)) for question in [*questions, *extra] if question}
    table = np.zeros((len(unique), size), bool)
    for row, question in zip(table, sorted(unique), strict=True):
        row[list(question)] = True
    return table


class _Leaf:
    """Rows of the statistics, and the best question about them."""

    classes: int  # of pdfs

    def __init__(self, stats: TreeStats, questions: np.ndarray, classes: int, split: bool = True) -> None:
        self.stats, self.gain = stats, 0.0
        self.children: list[_Leaf] | None = None
        if not split or len(stats.keys) < 2:
            return
        self.total = stats.sums.sum(0)
        below = np.tril(np.ones((classes - 1, classes), bool))  # pdf class 0? at most 1? ...
        for column, asked in ((PDF_CLASS, below), (0, questions), (1, questions), (2, questions)):
            values = np.zeros((asked.shape[1], len(self.total)))
            np.add.at(values, stats.keys[:, column], stats.sums)
            yes = asked @ values
            no = self.total - yes
            gains = np.where((yes[:, 0] > 0) & (no[:, 0] > 0), log_like(yes) + log_like(no) - log_like(self.total), 0)
            best = int(np.argmax(gains))
            if gains[best] > self.gain:
                self.gain, self.column, self.asked = float(gains[best]), column, asked[best]

    def halves(self) -> list[TreeStats]:
        yes = self.asked[self.stats.keys[:, self.column]]
        return [TreeStats(self.stats.keys[side], self.stats.sums[side]) for side in (yes, ~yes)]


def build_tree(
    stats: TreeStats, roots: Sequence[Sequence[str]], questions: np.ndarray, classes: Sequence[int], leaves: int,
    threshold: float = 300.0, width: int = WIDTH,
) -> khg.ContextDependency:  # fmt: skip
    """The tree of at most so many leaves, from roots.int; `classes`: pdf classes of each phone.

    width: 3; 2 where the statistics know no right phones.
    Splitting ends where it would raise the likelihood by less than `threshold`.
    """
    queue: list[tuple[float, int, _Leaf]] = []
    serial, made = count(), 0
    tops = []
    for shared, split, *group in roots:
        phones = sorted(map(int, group))
        mine = np.isin(stats.keys[:, CENTRAL], phones)
        n = classes[phones[0]]
        states = [mine] if shared == "shared" else [mine & (stats.keys[:, PDF_CLASS] == s) for s in range(n)]
        found = []
        for rows in states:
            leaf = _Leaf(TreeStats(stats.keys[rows], stats.sums[rows]), questions, n, split == "split")
            leaf.classes = n
            found.append(leaf)
            heappush(queue, (-leaf.gain, next(serial), leaf))
            made += 1
        tops.append((phones, found))
    while made < leaves and queue:
        gain, _, leaf = heappop(queue)
        if -gain < threshold:
            break
        leaf.children = []
        for half in leaf.halves():
            child = _Leaf(half, questions, leaf.classes)
            child.classes = leaf.classes
            leaf.children.append(child)
            heappush(queue, (-child.gain, next(serial), child))
        made += 1
    numbers = count()
    maps = [(phones, _write_root(found, numbers)) for phones, found in tops]
    head = b"ContextDependency " + pack_int(width) + pack_int(CENTRAL) + b"ToPdf "
    return tree_of(head + _chain(maps) + b"EndContextDependency ")


def _split_event_map(key: int, values: Iterable[int], yes: bytes, no: bytes) -> bytes:
    return b"SE " + pack_int(key) + pack_ints(list(values)) + b"{ " + yes + no + b"} "


def _write_root(found: list[_Leaf], numbers: count) -> bytes:
    if len(found) == 1:
        return _write_leaf(found[0], numbers)
    inner = b"".join(_write_leaf(leaf, numbers) for leaf in found)
    return b"TE " + pack_int(-1) + b"\xfc" + pack_int(len(found))[1:] + b"( " + inner + b") "


def _write_leaf(leaf: _Leaf, numbers: count) -> bytes:
    if leaf.children is None:
        return b"CE " + pack_int(next(numbers))
    yes, no = (_write_leaf(child, numbers) for child in leaf.children)
    key = -1 if leaf.column == PDF_CLASS else leaf.column
    return _split_event_map(key, np.flatnonzero(leaf.asked), yes, no)


def _chain(maps: list[tuple[list[int], bytes]]) -> bytes:
    """Which root: the groups of phones are halved until one is left."""
    if len(maps) == 1:
        return maps[0][1]
    half = len(maps) // 2
    phones = sorted(p for group, _ in maps[:half] for p in group)
    return _split_event_map(CENTRAL, phones, _chain(maps[:half]), _chain(maps[half:]))


def convert_alignment(old: Model, new: Model, ali: np.ndarray, cache: dict) -> np.ndarray:
    """An alignment (frames,) with the transition ids of another model of the same phones (Kaldi's convert-ali)."""
    starts = old.phone_starts(ali)
    phones = old.tid_phone[ali[starts]].tolist()
    bounds = [*starts.tolist(), len(ali)]
    out = np.empty_like(ali)
    width, central = new.tree.context_width, new.tree.central_position
    padded = [0] * central + phones + [0] * (width - 1 - central)
    for i, (first, last) in enumerate(zip(bounds, bounds[1:], strict=False)):
        window = tuple(padded[i : i + width])
        for t in range(first, last):
            key = (window, int(ali[t]))
            if key not in cache:
                cache[key] = _converted(old, new, window, int(ali[t]), phones[i])
            out[t] = cache[key]
    return out


def _converted(old: Model, new: Model, window: tuple[int, ...], tid: int, phone: int) -> int:
    state = int(old.tid_state[tid])
    known, pdf = new.tree.compute(list(window), state)
    if not known:
        raise ValueError(f"the tree has no answer for {window}, {state}")
    if not hasattr(new, "by_tuple"):
        new.by_tuple = {entry[:3]: number for number, entry in enumerate(new.tuples, 1)}
    number = new.by_tuple[phone, state, pdf]
    index = tid - old.transitions.state2id[int(old.tid_tuple[tid])]
    return new.transitions.state2id[number] + index
