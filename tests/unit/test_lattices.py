"""Lattices: search and what it does when it fails, paths under any scale, archives, graphs from ARPA files."""

import gzip
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hmm_maker import arpa
from test_hmm_parts import lang, monophones  # noqa: F401 (a fixture)

from mimic.decode.graph import make_graph
from mimic.decode.lattice import Decoder, Lattice, SearchOptions, read_decode_dir, read_lattices, write_lattices
from mimic.decode.search import Graph, Search
from mimic.decode.word_times import word_times
from mimic.errors import UserError
from mimic.hmm.kaldi import kaldifst


def random_lattice(seed: int = 0, layers: int = 4) -> Lattice:
    """Every state reaches the two of the next layer, and each word is spoken by several transitions."""
    draw, lines = np.random.default_rng(seed), []
    for layer in range(layers):
        for source, target in product(range(2) if layer else [0], range(2)):
            for _ in range(2):
                word, costs = draw.integers(3), draw.uniform(0, 10, 2).round(3)
                states = f"{2 * layer + source} {2 * layer + 2 + target}"
                lines.append(f"{states} {draw.integers(1, 9)} {word} {costs[0]},{costs[1]}")
    lines += [f"{2 * layers} 0.5,0", f"{2 * layers + 1} 0,1.5"]
    return Lattice.parse(lines)


def all_paths(lattice: Lattice, state: int = 0) -> list[list[int]]:
    found = [[]] if state in lattice.final else []
    for arc in np.flatnonzero(lattice.source == state):
        found += [[int(arc), *rest] for rest in all_paths(lattice, int(lattice.target[arc]))]
    return found


def cost(lattice: Lattice, path: list[int], lmwt: float, penalty: float) -> float:
    graph, acoustic = lattice.final[int(lattice.target[path[-1]])]
    graph += lattice.graph[path].sum() + penalty * (lattice.word[path] > 0).sum()
    return graph + (acoustic + lattice.acoustic[path].sum()) / lmwt


def test_best_and_n_best_paths_are_those_of_a_full_search():
    lattice = random_lattice()
    paths = all_paths(lattice)
    pairs = [(lmwt, wip) for lmwt in (1, 7, 20) for wip in (-2.0, 0.0, 5.0)]
    for (lmwt, wip), path in zip(pairs, lattice.best_paths(*zip(*pairs, strict=True)), strict=True):
        assert cost(lattice, path, lmwt, wip) == pytest.approx(min(cost(lattice, p, lmwt, wip) for p in paths))
    by_words: dict[tuple[int, ...], float] = {}
    for path in paths:
        words = tuple(lattice.words(path))
        by_words[words] = min(by_words.get(words, np.inf), cost(lattice, path, 10, 0.5))
    nbest = lattice.nbest(5, 10, 0.5)
    best = sorted((value, words) for words, value in by_words.items())[:5]
    assert [tuple(words) for _, words in nbest] == [words for _, words in best]
    np.testing.assert_allclose([value for value, _ in nbest], [value for value, _ in best], atol=1e-3)


def test_archives_of_lattices(tmp_path):
    lattices = [("a", random_lattice(1)), ("b", None), ("c", random_lattice(2))]
    assert write_lattices(tmp_path / "lat.1.gz", iter(lattices)) == 2
    text = gzip.open(tmp_path / "lat.1.gz", "rt").read()
    assert text.startswith("a \n0\t2\t") and text.endswith("\n\n")  # Kaldi's text archive of lattices
    (tmp_path / "num_jobs").write_text("1\n")
    found = dict(read_decode_dir(tmp_path))
    assert list(found) == ["a", "c"]
    np.testing.assert_allclose(found["c"].acoustic, lattices[2][1].acoustic)
    assert found["c"].final == lattices[2][1].final
    (tmp_path / "lat.1.gz").write_bytes(gzip.compress(b"a \n0 x\n"))
    with pytest.raises(UserError, match="damaged or missing lattices"):
        list(read_lattices(tmp_path / "lat.1.gz"))
    with pytest.raises(UserError, match="no num_jobs"):
        list(read_decode_dir(tmp_path / "none"))


@pytest.fixture(scope="module")
def graph(lang, tmp_path_factory):  # noqa: F811
    root = tmp_path_factory.mktemp("graph")
    (root / "lm.arpa").write_text(arpa(["ONE TWO", "TWO ONE", "ONE ONE", "EIGHT TWO", "MISSING ONE"]))
    model = monophones(lang)
    make_graph(lang, root / "lm.arpa", model, root / "graph")
    return root / "graph", model


def scores_of(lang, model, text: str) -> np.ndarray:  # noqa: F811
    """(frames, transition ids) that are best where the words are spoken."""
    from mimic.hmm.alignments import Aligner

    ali = Aligner(lang, model).equal(text, 40)
    out = np.full((len(ali), len(model.tid_pdf) - 1), -200.0, np.float32)
    same = model.tid_pdf[1:] == model.tid_pdf[ali][:, None]
    out[same] = -10
    return out


def test_search_in_the_composed_graph(graph, lang, caplog):  # noqa: F811
    directory, model = graph
    decode = Decoder(directory, SearchOptions())
    for text in ("ONE TWO", "EIGHT TWO", "TWO ONE"):
        lattice = decode("utt", scores_of(lang, model, text))
        (path,) = lattice.best_paths([10], [0.0])
        assert " ".join(lang.word_of[word] for word in lattice.words(path)) == text
        ali = lattice.alignment(path)
        assert len(ali) == 40 and (decode.best_path("utt", scores_of(lang, model, text)) == ali).all()
        boundary = {lang.phones[phone]: position for phone, position in lang.rows("word_boundary.txt")}
        times = word_times(model, boundary, ali, lattice.words(path))
        assert [word for word, _, _ in times] == lang.encode(text)
        assert 0 <= times[0][1] < times[1][1] and times[1][1] + times[1][2] <= 40
    caplog.clear()
    same = np.full((20, len(model.tid_pdf) - 1), -1.0, np.float32)
    wide = SearchOptions(beam=100.0, lattice_beam=50.0)
    many = Decoder(directory, wide)("utt", same)
    assert not caplog.text
    few = Decoder(directory, replace(wide, max_states=300))("utt", same)
    assert few.states <= 300 < many.states and "effective beam" in caplog.text
    # Costs of a lattice are those of the path that was scored, whatever the scale of the search.
    assert lattice.acoustic[path].sum() == pytest.approx(10 * 40, rel=1e-3)


def test_words_of_the_language_model_without_pronunciation(graph, lang, tmp_path, caplog):  # noqa: F811
    (tmp_path / "lm.arpa").write_text(arpa(["ONE MISSING TWO"]))
    make_graph(lang, tmp_path / "lm.arpa", graph[1], tmp_path / "graph")
    assert "lm.arpa: 1 words have no pronunciation, first MISSING: left out" in caplog.text
    (tmp_path / "lm.arpa").write_text(arpa(["one two"]))
    with pytest.raises(UserError, match="none of its 4 words is in .*words.txt: same case and spelling?"):
        make_graph(lang, tmp_path / "lm.arpa", graph[1], tmp_path / "graph2")
    with pytest.raises(UserError, match="run steps/mkgraph.sh first"):
        Decoder(tmp_path / "none", SearchOptions())


def arcs_of(path) -> list[tuple[int, int, int, float]]:
    """From, to, transition id and cost of the arcs of a graph, as OpenFst's own code reads them."""
    rows = [line.split() for line in kaldifst.StdVectorFst.read(str(path)).to_str(show_weight_one=True).splitlines()]
    return [(int(row[0]), int(row[1]), int(row[2]), float(row[4])) for row in rows if len(row) == 5]


def full_search(path, scores: np.ndarray) -> float:
    """Cost of the best path, every arc in every frame."""
    arcs, fst = arcs_of(path), Graph.read(path)
    cost = {fst.start: 0.0}
    for row in [None, *scores]:
        if row is not None:
            new: dict[int, float] = {}
            for source, target, tid, weight in arcs:
                if tid and source in cost:
                    new[target] = min(new.get(target, np.inf), cost[source] + weight - float(row[tid - 1]))
            cost = new
        changed = True
        while changed:
            changed = False
            for source, target, tid, weight in arcs:
                if not tid and cost.get(source, np.inf) + weight < cost.get(target, np.inf) - 1e-9:
                    cost[target], changed = cost[source] + weight, True
    return min(cost + float(fst.final[state]) for state, cost in cost.items())


def through(lattice: Lattice) -> np.ndarray:
    """For each arc, what the best path through it costs beyond the best one, in order."""
    costs, order = lattice.graph + lattice.acoustic, lattice.order()
    before, behind = np.full(lattice.states, np.inf), np.full(lattice.states, np.inf)
    before[0] = 0
    for arc in order:
        before[lattice.target[arc]] = min(before[lattice.target[arc]], before[lattice.source[arc]] + costs[arc])
    for state, (graph, _) in lattice.final.items():
        behind[state] = graph
    for arc in reversed(order):
        behind[lattice.source[arc]] = min(behind[lattice.source[arc]], behind[lattice.target[arc]] + costs[arc])
    return np.sort(before[lattice.source] + costs + behind[lattice.target] - behind[0])


@pytest.mark.parametrize("frames", [14, 77])  # within and beyond the frames after which a search forgets
def test_search_remembers_all_that_is_near_the_best_path_and_nothing_else(graph, frames):
    directory, model = graph
    draw = np.random.default_rng(frames)
    scores = draw.normal(-1, 0.6, (frames, len(model.tid_pdf) - 1)).astype(np.float32)

    def found(lattice_beam: float) -> Lattice:
        search = Search(Graph.read(directory / "HCLG.fst"), 1000.0, 10**9, lattice_beam)
        assert search(scores) and search.reached_final
        columns, final = search.paths()
        lattice = Lattice(*columns, {state: (cost, 0.0) for state, cost in final.items()})
        assert {0, *lattice.source, *lattice.target} == set(range(lattice.states))
        return lattice

    wide, best = found(6.0), found(0.0)
    excess = through(wide)
    assert excess[0] == pytest.approx(0, abs=1e-6) and excess[-1] <= 6 + 1e-6
    for beam in (2.0, 4.0):
        np.testing.assert_allclose(through(found(beam)), excess[excess <= beam + 1e-9], atol=1e-6)
    (path,) = best.best_paths([1.0], [0.0])
    assert cost(best, path, 1.0, 0.0) == pytest.approx(full_search(directory / "HCLG.fst", scores), abs=1e-3)
    assert len(best.alignment(path)) == frames


def test_few_tokens_may_go_on(graph):
    directory, model = graph
    scores = np.random.default_rng(1).normal(-1, 0.6, (30, len(model.tid_pdf) - 1)).astype(np.float32)
    costs = []
    for most in (1, 3, 10**9):
        search = Search(Graph.read(directory / "HCLG.fst"), 1000.0, most, 1.0)
        assert search(scores)
        costs.append(search.cost.min())
    assert costs[0] >= costs[1] >= costs[2] and costs[0] > costs[2]


def test_graphs_of_both_kinds_and_damaged_ones(graph, tmp_path):
    """Kaldi's own mkgraph.sh writes const."""
    path = graph[0] / "HCLG.fst"
    vector, arcs = Graph.read(path), arcs_of(path)
    silent = sum(not tid for _, _, tid, _ in arcs)
    assert (len(vector.silent.tid), len(vector.spoken.tid)) == (silent, len(arcs) - silent)
    kaldifst.StdConstFst(kaldifst.StdVectorFst.read(str(path))).write(str(tmp_path / "const.fst"))
    const = Graph.read(tmp_path / "const.fst")
    assert const.start == vector.start and np.array_equal(const.final, vector.final)
    for ours, theirs in zip((*vector.spoken, *vector.silent), (*const.spoken, *const.silent), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    whole = (tmp_path / "const.fst").read_bytes()
    damaged = {"short": path.read_bytes()[:-100], "text": b"0 1 2 3\n" * 20, "empty": b""}
    damaged |= {"elsewhere": whole[:-4] + b"\xff\xff\xff\x0f", "cut": whole[:-100]}  # its last arc leads nowhere
    for name, data in damaged.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=f"{name}: no graph of OpenFst, or damaged"):
            Graph.read(tmp_path / name)


def test_searches_that_fail_say_so(graph, lang, caplog):  # noqa: F811
    directory, model = graph
    decode = Decoder(directory, SearchOptions(beam=20.0))
    few = scores_of(lang, model, "ONE TWO")[:2]  # no word ends within two frames
    lattice = decode("short", few)
    assert lattice is not None and not lattice.words(lattice.best_paths([10], [0.0])[0])[1:]
    assert "short: no token reached a final state: again with beam 40" in caplog.text
    assert "short: outputting partial output since no final-state reached" in caplog.text
    assert len(decode.best_path("short", few)) == 2
    broken = np.full_like(few, np.nan)
    assert decode("broken", broken) is None and "broken: empty lattice: no words" in caplog.text
    assert decode("nothing", few[:0]) is None and decode.best_path("nothing", few[:0]) is None
    assert "nothing: empty lattice: no words" in caplog.text
