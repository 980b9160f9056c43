"""Pruning of token passing: of each frame, the links and tokens on no path within the lattice beam are dropped.

Extra cost of a token or link: the cost of the best path through it, less that of the best path of all. Backwards from
the last frame it is, for a link, that of its target token plus what the link costs more than the best way to that
token; and for a token the least one of the links that leave it (Povey et al., 2012, section 4).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mimic.decoding.wfst.graph_file import Arcs, Graph


class Links(NamedTuple):
    """Arcs that tokens were passed along: tokens from and to, the arc, its acoustic cost."""

    source: np.ndarray
    target: np.ndarray
    arc: np.ndarray
    acoustic: np.ndarray

    def of(self, chosen: np.ndarray) -> "Links":
        return Links(*(column[chosen] for column in self))


@dataclass
class Frame:
    """The tokens after a frame: their costs, the links from the frame before to them, and the links between them."""

    cost: np.ndarray
    emitting: Links
    epsilon: Links


def prune(frames: list[Frame], graph: Graph, begin: int, extra: np.ndarray, lattice_beam: float) -> None:
    """Drop the links and tokens after frame `begin` whose extra cost is above `lattice_beam`, in place.

    extra: extra cost of each token of the last frame, or less than it.
    """
    last = len(frames) - 1
    for number in range(last, begin - 1, -1):
        frame = frames[number]
        extra = _prune_epsilon(frame, graph.epsilon, extra, lattice_beam)
        if number == begin:
            return
        if number < last:
            extra = _prune_tokens(frame, frames[number + 1], extra)
        earlier = frames[number - 1]
        link_extra = _over_best(frame.emitting, graph.emitting, earlier, frame) + extra[frame.emitting.target]
        kept = np.flatnonzero(link_extra <= lattice_beam)
        frame.emitting = frame.emitting.of(kept)
        extra = np.full(len(earlier.cost), np.inf)
        np.minimum.at(extra, frame.emitting.source, link_extra[kept])


def _prune_epsilon(frame: Frame, arcs: Arcs, extra: np.ndarray, lattice_beam: float) -> np.ndarray:
    """Drop epsilon links of a frame; gives the extra costs of its tokens with those links taken into account."""
    over_best = _over_best(frame.epsilon, arcs, frame, frame)
    while True:  # chains of epsilon arcs are short
        before = extra.copy()
        np.minimum.at(extra, frame.epsilon.source, over_best + before[frame.epsilon.target])
        if np.array_equal(before, extra):
            break
    kept = over_best + extra[frame.epsilon.target] <= lattice_beam
    frame.epsilon = frame.epsilon.of(np.flatnonzero(kept))
    return extra


def _prune_tokens(frame: Frame, later: Frame, extra: np.ndarray) -> np.ndarray:
    """Drop the tokens of a frame that no link leaves any more; gives the extra costs of the others."""
    alive = np.isfinite(extra)
    place, epsilon = alive.cumsum() - 1, frame.epsilon
    emitting = frame.emitting.of(np.flatnonzero(alive[frame.emitting.target]))
    frame.cost = frame.cost[alive]
    frame.epsilon = epsilon._replace(source=place[epsilon.source], target=place[epsilon.target])
    frame.emitting = emitting._replace(target=place[emitting.target])
    later.emitting = later.emitting._replace(source=place[later.emitting.source])
    return extra[alive]


def _over_best(links: Links, arcs: Arcs, before: Frame, after: Frame) -> np.ndarray:
    """What going along each link costs more than the best way to the token that it leads to."""
    return before.cost[links.source] + arcs.cost[links.arc] + links.acoustic - after.cost[links.target]
