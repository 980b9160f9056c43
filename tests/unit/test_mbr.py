"""Minimum Bayes risk decoding: against all paths of small lattices."""

from collections.abc import Sequence

import numpy as np
import pytest
from lattice_maker import all_paths, cost, ids, random_lattice

from mimic.decoding.wfst import mbr
from mimic.decoding.wfst.lattice import Lattice
from mimic.decoding.wfst.rescoring import of_paths
from mimic.metrics.wer import operations

WIDE = 1e6
NEAR = {"abs": 1e-4}  # a deletion counts 1e-5 more than one, in each of at most six places


def sentences(lattice: Lattice, lmwt: float, penalty: float) -> dict[tuple[int, ...], float]:
    """The probability of each word sequence."""
    found: dict[tuple[int, ...], float] = {}
    for path in all_paths(lattice):
        words = tuple(lattice.words(path))
        found[words] = found.get(words, 0) + np.exp(-cost(lattice, path, lmwt, penalty))
    return {words: p / sum(found.values()) for words, p in found.items()}


def align(ref: Sequence[int], hyp: Sequence[int]) -> str:
    return operations([str(word) for word in ref], [str(word) for word in hyp])


def expected(spoken: dict[tuple[int, ...], float], hyp: Sequence[int]) -> float:
    return sum(p * sum(op != "C" for op in align(ref, hyp)) for ref, p in spoken.items())


def line(*alternatives: dict[int, float]) -> Lattice:
    """One word after the other, each of alternatives with their probabilities; 0: without a word."""
    arcs = [(i, i + 1, word, -np.log(p)) for i, each in enumerate(alternatives) for word, p in each.items()]
    source, target, word, graph = (np.array(column) for column in zip(*arcs, strict=True))
    end = {len(alternatives): (0.0, 0.0, b"")}
    return Lattice(source, target, word, graph, np.zeros(len(arcs)), [ids(1)] * len(arcs), end)


@pytest.mark.parametrize("seed", range(6))
def test_expected_errors_are_at_most_those_of_the_best_path(seed):
    lattice = random_lattice(seed)
    pairs = [(lmwt, wip) for lmwt in (1, 7, 20) for wip in (-2.0, 0.0, 2.0)]
    scales = list(zip(*pairs, strict=True))
    for pair, path, found in zip(pairs, lattice.best_paths(*scales), mbr.decode(lattice, *scales, WIDE), strict=True):
        spoken = sentences(lattice, *pair)
        mine, best = (expected(spoken, hyp) for hyp in ([word for word, _ in found], lattice.words(path)))
        assert mine < best + 1e-3
        assert all(0 <= confidence <= 1 + 1e-9 for _, confidence in found)
    assert mbr.decode(lattice, [7], [0.0], WIDE) == mbr.decode(lattice, *scales, WIDE)[4:5]  # whatever is beside it


@pytest.mark.parametrize("seed", range(3))
def test_expected_errors_of_separate_paths_are_exact(seed):
    """Where paths meet only at the end, the recursion's averages over paths are none."""
    lattice = random_lattice(seed)
    lattice = of_paths(lattice, all_paths(lattice), [0.0] * len(all_paths(lattice)))
    spoken, hyp = sentences(lattice, 7, 0.5), lattice.words(lattice.best_paths([7], [0.5])[0])
    risk = mbr._Risk(lattice, [7], [0.5], WIDE)
    places = np.zeros((2 * len(hyp) + 1, 1), int)
    places[1::2, 0] = np.searchsorted(risk.words, hyp)
    errors, counts = risk._expected(places, np.array([len(places)]), np.array([0]))
    assert errors == pytest.approx(expected(spoken, hyp), **NEAR)
    np.testing.assert_allclose(counts.sum(axis=0), 1, atol=1e-9)  # a word, or none, at each place


def test_confidences_are_the_probabilities_of_words():
    lattice = line({3: 0.7, 4: 0.2, 0: 0.1}, {5: 1.0}, {0: 0.6, 6: 0.4})
    ((three, five),) = mbr.decode(lattice, [10], [0.0])
    assert three == (3, pytest.approx(0.7, **NEAR)) and five == (5, pytest.approx(1, **NEAR))
    ((_, _, six),) = mbr.decode(lattice, [10], [-1.0])  # a word costs less, and is as likely as e to one more
    assert six == (6, pytest.approx(0.4 * np.e / (0.4 * np.e + 0.6), **NEAR))
    assert mbr.decode(lattice, [10], [-1.0], beam=0.1) == [[(3, 1.0), (5, 1.0), (6, 1.0)]]  # of the best path alone


def test_words_that_no_path_has_together():
    """Each word is the likelier one at its place, but the paths that have both are not the likeliest."""
    rows = [(0, 1, 1, 0.4), (1, 4, 2, 1.0), (0, 2, 1, 0.25), (2, 4, 3, 1.0), (0, 3, 9, 0.35), (3, 4, 3, 1.0)]
    source, target, word, p = (np.array(column) for column in zip(*rows, strict=True))
    lattice = Lattice(source, target, word, -np.log(p), np.zeros(6), [ids(1)] * 6, {4: (0.0, 0.0, b"")})
    assert lattice.words(lattice.best_paths([1], [0.0])[0]) == [1, 2]
    ((one, three),) = mbr.decode(lattice, [1], [0.0])
    assert one == (1, pytest.approx(0.65, **NEAR)) and three == (3, pytest.approx(0.6, **NEAR))


def test_lattices_without_words():
    assert mbr.decode(line({0: 1.0}), [5, 6], [0.0, 1.0]) == [[], []]
    nothing = Lattice(*[np.zeros(0, int)] * 3, *[np.zeros(0)] * 2, [], {0: (1.0, 0.0, ids(4))})
    assert mbr.decode(nothing, [5], [0.0]) == [[]]


def test_parts_of_the_scales_give_what_all_give(monkeypatch):
    lattice, lmwts, penalties = random_lattice(3), [1, 2, 3, 9, 15], [0.0, -2.0, 1.0, 0.0, -1.0]
    whole = mbr.decode(lattice, lmwts, penalties, WIDE)
    monkeypatch.setattr(mbr, "CELLS", 1)
    assert mbr.decode(lattice, lmwts, penalties, WIDE) == whole


def test_times_of_words():
    spans = [(3, 10, 20), (4, 30, 5), (5, 40, 10)]
    times = mbr.timed([(3, 0.9), (6, 0.5), (5, 1.0)], spans)
    assert times == [(3, 10, 20, 0.9), (6, 30, 5, 0.5), (5, 40, 10, 1.0)]
    assert mbr.timed([(3, 0.9), (5, 1.0)], spans) == [(3, 10, 20, 0.9), (5, 40, 10, 1.0)]
    more = mbr.timed([(3, 0.9), (4, 0.8), (7, 0.4), (5, 1.0), (8, 0.3)], spans)
    assert more[2:] == [(7, 35, 5, 0.4), (5, 40, 10, 1.0), (8, 50, 1, 0.3)]  # between its neighbours; after the end
    assert mbr.timed([], spans) == [] and mbr.timed([(7, 0.4)], []) == [(7, 0, 1, 0.4)]
