"""N best paths of lattices with another language model: against all paths, and by the step on a small one."""

import math

import numpy as np
import pytest
from hmm_maker import arpa
from lattice_maker import cost, ids, random_lattice
from test_lattices import all_paths

from mimic.decoding.ngram.ngram import Ngram
from mimic.decoding.wfst.lattice import Lattice
from mimic.decoding.wfst.rescoring import log_prob, of_paths
from mimic.errors import UserError


@pytest.mark.parametrize("seed", range(4))
def test_the_best_paths_of_all(seed):
    lattice, lmwt = random_lattice(seed), 3.0
    best: dict[tuple[int, ...], float] = {}
    for path in all_paths(lattice):
        words = tuple(lattice.words(path))
        best[words] = min(best.get(words, math.inf), cost(lattice, path, lmwt, 0))
    found = lattice.nbest_paths(1000, lmwt)
    costs = [cost(lattice, path, lmwt, 0) for path in found]
    assert costs == sorted(costs) and len(found) == len(best)
    assert {tuple(lattice.words(path)): c for path, c in zip(found, costs, strict=True)} == pytest.approx(best)
    few = lattice.nbest_paths(5, lmwt)
    assert few and few == found[: len(few)]


@pytest.mark.parametrize("seed", range(4))
def test_a_lattice_of_paths_keeps_words_alignments_and_costs(seed):
    lattice, draw = random_lattice(seed), np.random.default_rng(seed)
    paths = lattice.nbest_paths(20, 10)
    more = draw.uniform(-9, 9, len(paths)).tolist()
    new = of_paths(lattice, paths, more)
    found = sorted(all_paths(new))
    expected = [(lattice.words(p), lattice.alignment(p).tolist()) for p in paths]
    assert sorted((new.words(p), new.alignment(p).tolist()) for p in found) == sorted(expected)
    for lmwt, penalty in ((7, 0.0), (2, 0.5)):
        (best,) = new.best_paths([lmwt], [penalty])
        costs = [cost(lattice, path, lmwt, penalty) + m for path, m in zip(paths, more, strict=True)]
        assert cost(new, best, lmwt, penalty) == pytest.approx(min(costs))
        assert new.words(best) == lattice.words(paths[int(np.argmin(costs))])


def test_a_lattice_without_an_arc():
    lattice = Lattice(*(np.zeros(0, np.int64) for _ in range(3)), np.zeros(0), np.zeros(0), [], {0: (1.0, 2.0, ids(3))})
    assert lattice.nbest_paths(5, 10) == [[]]
    assert of_paths(lattice, [[]], [0.5]).final == {0: (1.5, 2.0, ids(3))}


def test_log_probabilities_of_sentences(tmp_path):
    (tmp_path / "lm.arpa").write_text(arpa(["A B", "B A", "A A"]))
    model = Ngram(tmp_path / "lm.arpa")
    for sentence in ("", "A", "B A A B"):
        context, total = model.start, 0.0
        for word in [*sentence.split(), "</s>"]:
            log_probs, following = model.row(context)
            total += log_probs[model.ids[word]]
            context = int(following[model.ids[word]])
        assert log_prob(model, sentence) == pytest.approx(total)
    with pytest.raises(UserError, match="neither 'C' nor <unk>"):
        log_prob(model, "A C")
