"""Lattices, and a graph to decode with."""

from itertools import product

import numpy as np
import pytest
from hmm_maker import arpa
from lang_maker import monophones

from mimic.decoding.wfst.graph import make_graph
from mimic.decoding.wfst.lattice import Lattice


def random_lattice(seed: int = 0, layers: int = 4) -> Lattice:
    """Every state reaches the two of the next layer, and each word is spoken by several transitions."""
    draw, arcs = np.random.default_rng(seed), []
    for layer in range(layers):
        for source, target in product(range(2) if layer else [0], range(2)):
            for _ in range(2):
                states = (2 * layer + source, 2 * layer + 2 + target)
                arcs.append((*states, draw.integers(3), *draw.uniform(0, 10, 2).round(3), ids(draw.integers(1, 9))))
    source, target, word, graph, acoustic, tids = zip(*arcs, strict=True)
    columns = [np.where(np.array(c) == 1, 0, np.array(c)) for c in (source, target)]  # state 1 is not there
    columns = [np.where(c > 1, c - 1, c) for c in columns]
    final = {2 * layers - 1: (0.5, 0.0, ids()), 2 * layers: (0.0, 1.5, ids(9))}
    return Lattice(*columns, np.array(word), np.array(graph), np.array(acoustic), list(tids), final)


def ids(*tids: int) -> bytes:
    return np.array(tids, np.int32).tobytes()


def cost(lattice: Lattice, path: list[int], lmwt: float, penalty: float) -> float:
    graph, acoustic, _ = lattice.final[int(lattice.target[path[-1]])]
    graph += lattice.graph[path].sum() + penalty * (lattice.word[path] > 0).sum()
    return graph + (acoustic + lattice.acoustic[path].sum()) / lmwt


def all_paths(lattice: Lattice, state: int = 0) -> list[list[int]]:
    found = [[]] if state in lattice.final else []
    for arc in np.flatnonzero(lattice.source == state):
        found += [[int(arc), *rest] for rest in all_paths(lattice, int(lattice.target[arc]))]
    return found


@pytest.fixture(scope="module")
def graph(lang, tmp_path_factory):
    root = tmp_path_factory.mktemp("graph")
    (root / "lm.arpa").write_text(arpa(["ONE TWO", "TWO ONE", "ONE ONE", "EIGHT TWO", "MISSING ONE"]))
    model = monophones(lang)
    make_graph(lang, root / "lm.arpa", model, root / "graph")
    return root / "graph", model
