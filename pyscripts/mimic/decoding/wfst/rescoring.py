"""N best paths of lattices with another language model: Kaldi's lmrescore_nbest.sh."""

from collections.abc import Sequence

import numpy as np

from mimic.decoding.ngram.ngram import END, UNKNOWN, Ngram
from mimic.decoding.wfst.lattice import Final, Lattice
from mimic.errors import UserError


def of_paths(lattice: Lattice, paths: Sequence[Sequence[int]], costs: Sequence[float]) -> Lattice:
    """A lattice of these paths alone, one beside the other, with as much added to the graph cost of each."""
    rows: list[tuple[int, int, int, float, float, bytes]] = []
    final: dict[int, Final] = {}
    state = 0
    for path, more in zip(paths, costs, strict=True):
        at = 0
        for place, arc in enumerate(path):
            state += 1
            graph = float(lattice.graph[arc]) + (0.0 if place else more)
            rows.append((at, state, int(lattice.word[arc]), graph, float(lattice.acoustic[arc]), lattice.tids[arc]))
            at = state
        graph, acoustic, tids = lattice.final[int(lattice.target[path[-1]]) if len(path) else 0]
        final[at] = (graph + (0.0 if len(path) else more), acoustic, tids)
    columns = list(zip(*rows, strict=True)) if rows else [()] * 6
    source, target, word = (np.array(column, np.int64) for column in columns[:3])
    graph_costs, acoustic_costs = (np.array(column, float) for column in columns[3:5])
    return Lattice(source, target, word, graph_costs, acoustic_costs, list(columns[5]), final)


def log_prob(model: Ngram, sentence: str) -> float:
    """Natural logarithm of the probability of a sentence, its end included; a word that the model lacks is <unk>.

    Raises UserError for such a word where the model has no <unk>.
    """
    context, total = model.start, 0.0
    for word in [*sentence.split(), END]:
        number = model.ids.get(word, model.ids.get(UNKNOWN))
        if number is None:
            raise UserError(f"the n-gram model has neither {word!r} nor {UNKNOWN}: is it that of another graph?")
        total += model.log_prob(context, number)
        context = int(model.advance(context, number))
    return total
