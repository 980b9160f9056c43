"""HMMs of lattice-free MMI: one or more frames per phone at a third of the frame rate, a tree of left contexts.

Povey et al., "Purely sequence-trained neural networks for ASR based on lattice-free MMI", 2016. A phone's first frame
has one pdf, all others another one, so that a phone may last a single frame. Kaldi writes this as one state with a pdf
of its own for the self-loop; here it is two states of an ordinary topology, which has the same paths and costs.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mimic.errors import UserError
from mimic.hmm.basic_types import State, entry_text
from mimic.hmm.model import Model
from mimic.hmm.tree import CENTRAL, TreeStats

FACTOR = "frame_subsampling_factor"  # Kaldi's file beside final.mdl: input frames per output of the network
WIDTH = 2  # of the tree: a phone and the one to its left
TOO_SHORT = "more phones than output frames"  # of the network: why an utterance is left out
FIRST, OTHER = 0, 1  # pdf classes
_STATES: list[State] = [(FIRST, [(1, 0.5), (2, 0.5)]), (OTHER, [(1, 0.5), (2, 0.5)]), (-1, [])]


def topo_text(phones: Sequence[int]) -> str:
    """The topology of these phones in Kaldi's text format."""
    return f"<Topology>\n{entry_text(phones, _STATES)}</Topology>\n"


@dataclass(frozen=True)
class PhoneStarts:
    """The phones (n,) of an utterance, the output frames (n,) at which they begin, and all its output frames."""

    phones: np.ndarray
    starts: np.ndarray
    frames: int


def phone_starts(model: Model, ali: np.ndarray, factor: int) -> PhoneStarts | None:
    """An alignment (frames,) at 1 / factor of its frames; None where it has more phones than such frames.

    Output frame t is input frame t * factor. A phone between two of them takes one from a neighbour.
    """
    starts = model.phone_starts(ali)
    n, frames = len(starts), -(-len(ali) // factor)
    if n > frames:
        return None
    order = np.arange(n)
    first = np.maximum.accumulate(-(-starts // factor) - order) + order  # each later than the one before
    return PhoneStarts(model.tid_phone[ali[starts]], np.minimum(first, frames - n + order), frames)


def tree_stats(utterance: PhoneStarts, x: np.ndarray, factor: int, ci_phones: Sequence[int]) -> TreeStats:
    """Statistics for the tree from features (frames, dim) before subsampling; `ci_phones` have no context."""
    x = x[::factor][: utterance.frames].astype(np.float64)
    phones, number = utterance.phones, np.searchsorted(utterance.starts, np.arange(len(x)), "right") - 1
    left = np.where(np.isin(phones, ci_phones), 0, np.append(0, phones[:-1]))
    pdf_class = np.full(len(x), OTHER)
    pdf_class[utterance.starts] = FIRST
    keys = np.stack([left[number], phones[number], np.zeros_like(number), pdf_class], axis=1)
    return TreeStats.merged([TreeStats(keys, np.concatenate([np.ones((len(x), 1)), x, x**2], axis=1))])


class Pdfs:
    """The two pdfs of a phone after another one (0: none), by a model's tree."""

    def __init__(self, model: Model) -> None:
        if (model.tree.context_width, model.tree.central_position) != (WIDTH, CENTRAL):
            raise UserError("the tree is none of left contexts, as LF-MMI needs it: steps/build_tree.sh makes one")
        self._tree = model.tree
        self._known: dict[tuple[int, int], tuple[int, int]] = {}

    def __call__(self, left: int, phone: int) -> tuple[int, int]:
        """(pdf of the first frame, pdf of the others)."""
        if (left, phone) not in self._known:
            found = [self._tree.compute([left, phone], pdf_class) for pdf_class in (FIRST, OTHER)]
            if not all(known for known, _ in found):
                raise UserError(f"the tree does not know phone {phone}: made with another lang directory?")
            self._known[left, phone] = found[0][1], found[1][1]
        return self._known[left, phone]

    def of(self, phones: np.ndarray) -> np.ndarray:
        """Phones (n,) of an utterance -> (n, 2)."""
        row = phones.tolist()
        return np.array([self(left, phone) for left, phone in zip([0, *row[:-1]], row, strict=True)], np.int64)


@dataclass(frozen=True)
class PhoneGraph:
    """All phone sequences of an n-gram model as a graph: a state for each history, entered by its last phone.

    Attributes:
        source, target, prob (arcs,): from state to state, and the probability of the target's phone there.
        start (states,): probability of each state's phone at the beginning of an utterance.
        end (states,): probability that the utterance ends after it.
        pdfs (states, 2): of the first frame of the state's phone, and of the others.
    """

    source: np.ndarray
    target: np.ndarray
    prob: np.ndarray
    start: np.ndarray
    end: np.ndarray
    pdfs: np.ndarray


def phone_graph(sequences: Iterable[np.ndarray], order: int, pdfs: Pdfs) -> PhoneGraph:
    """The maximum-likelihood n-gram model of phone sequences: unseen n-grams have no arcs, as in Kaldi's recipe.

    order: of the n-grams, at least 3: a history has to tell the phone and the one to its left, which its pdfs need.
    """
    counts: Counter[tuple[int, ...]] = Counter()
    for sequence in sequences:
        padded = (*(0,) * (order - 1), *sequence.tolist(), 0)
        counts.update(padded[i : i + order] for i in range(len(padded) - order + 1))
    totals: Counter[tuple[int, ...]] = Counter()
    for gram, count in counts.items():
        totals[gram[:-1]] += count
    begin = (0,) * (order - 1)
    histories = sorted(totals.keys() - {begin})
    number = {history: n for n, history in enumerate(histories)}
    start, end = np.zeros(len(histories)), np.zeros(len(histories))
    arcs = []
    for gram, count in sorted(counts.items()):
        history, share = gram[:-1], count / totals[gram[:-1]]
        if gram[-1] == 0:
            if history != begin:
                end[number[history]] = share
        elif history == begin:
            start[number[gram[1:]]] = share
        else:
            arcs.append((number[history], number[gram[1:]], share))
    source, target, prob = (np.array(column) for column in zip(*arcs, strict=True))
    pairs = [pdfs(history[-2], history[-1]) for history in histories]
    return PhoneGraph(source, target, prob, start, end, np.array(pairs, np.int64))
