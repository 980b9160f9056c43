"""Lattices: search and what it does when it fails, paths under any scale, archives, graphs from ARPA files."""

import gzip
import runpy
import struct
import sys
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from data_maker import ROOT
from hmm_maker import arpa
from test_hmm_parts import lang, monophones  # noqa: F401 (a fixture)

from mimic.decoding.wfst.determinize import determinize
from mimic.decoding.wfst.graph import make_graph
from mimic.decoding.wfst.graph_file import Graph
from mimic.decoding.wfst.lattice import Lattice, word_times
from mimic.decoding.wfst.lattice_decoder import Decoder, SearchOptions
from mimic.decoding.wfst.lattice_io import read_decode_dir, read_lattices, write_lattices
from mimic.decoding.wfst.token_passing import TokenPassing
from mimic.errors import UserError
from mimic.hmm.kaldi import kaldifst
from mimic.hmm.model import write_tree


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


def all_paths(lattice: Lattice, state: int = 0) -> list[list[int]]:
    found = [[]] if state in lattice.final else []
    for arc in np.flatnonzero(lattice.source == state):
        found += [[int(arc), *rest] for rest in all_paths(lattice, int(lattice.target[arc]))]
    return found


def cost(lattice: Lattice, path: list[int], lmwt: float, penalty: float) -> float:
    graph, acoustic, _ = lattice.final[int(lattice.target[path[-1]])]
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
    (tmp_path / "num_jobs").write_text("1\n")
    found = dict(read_decode_dir(tmp_path))
    assert list(found) == ["a", "c"]
    order = np.argsort(lattices[2][1].source, kind="stable")  # arcs follow their states
    np.testing.assert_allclose(found["c"].acoustic, lattices[2][1].acoustic[order], rtol=1e-6)
    assert found["c"].tids == [lattices[2][1].tids[arc] for arc in order]
    assert found["c"].final == lattices[2][1].final
    with pytest.raises(UserError, match="no num_jobs"):
        list(read_decode_dir(tmp_path / "none"))


# One lattice in the four forms that Kaldi's tools write: (word 4, ids 1 2), then (no word, id 3 on the arc) or the end.
PLAIN = "u \n0\t1\t1\t4\t0.5,2\n1\t2\t2\t0\n2\t3\t3\t0\t1,0.25\n2\t0.125,0\n3\n\n"
COMPACT = "u \n0\t1\t4\t0.5,2,1_2\n1\t2\t0\t1,0.25,3\n1\t0.125,0,\n2\n\n"


def binary(kind: bytes, states: list[bytes], start: int = 0) -> bytes:
    head = struct.pack("<ii6si", 2125659606, 6, b"vector", len(kind)) + kind
    return b"u " + head + struct.pack("<iiQqqq", 2, 0, 0, start, len(states), 0) + b"".join(states)


def plain_state(final: tuple[float, float], *arcs: tuple) -> bytes:
    packed = [struct.pack("<iiffi", tid, word, graph, acoustic, to) for to, tid, word, graph, acoustic in arcs]
    return struct.pack("<ffq", *final, len(arcs)) + b"".join(packed)


NEVER = (np.inf, np.inf)
PLAIN_STATES = [  # the start is the third state
    plain_state((0.125, 0), (1, 3, 0, 1, 0.25)), plain_state((0, 0)), plain_state(NEVER, (3, 1, 4, 0.5, 2)),
    plain_state(NEVER, (0, 2, 0, 0, 0)),
]  # fmt: skip


@pytest.mark.parametrize(
    "archive",
    [PLAIN.encode(), COMPACT.encode(), binary(b"lattice4", PLAIN_STATES, 2)],
    ids=["plain", "compact", "binary"],
)
def test_all_forms_of_kaldis_lattices_are_read(tmp_path, archive):
    (tmp_path / "lat.1.gz").write_bytes(gzip.compress(archive + archive))
    (utt, lattice), (again, _) = read_lattices(tmp_path / "lat.1.gz")
    assert utt == again == "u"
    paths = all_paths(lattice)
    assert sorted(lattice.alignment(path).tolist() for path in paths) == [[1, 2], [1, 2, 3]]
    assert all(lattice.words(path) == [4] for path in paths)
    assert sorted(cost(lattice, path, 2, 0) for path in paths) == [1.625, 2.625]


def test_damaged_lattices_are_one_line(tmp_path):
    whole = binary(b"lattice4", PLAIN_STATES, 2)
    elsewhere = binary(b"lattice4", [plain_state(NEVER, (9, 1, 4, 0, 0)), plain_state((0, 0))])
    cycle = binary(b"lattice4", [plain_state((0, 0), (0, 1, 4, 0, 0))])
    archives = {"text": b"u \n0 x\n\n", "cut": whole[:-5], "open": COMPACT[:-1].encode(), "cycle": cycle,
                "elsewhere": elsewhere, "other": binary(b"standard", []), "no end": b"u \n0 1 4\n\n"}  # fmt: skip
    for name, data in archives.items():
        (tmp_path / name).write_bytes(gzip.compress(data))
        with pytest.raises(UserError, match=f"{name}: damaged or missing lattices"):
            list(read_lattices(tmp_path / name))
    (tmp_path / "plain").write_bytes(whole)
    with pytest.raises(UserError, match="plain: damaged or missing lattices"):
        list(read_lattices(tmp_path / "plain"))


@pytest.mark.parametrize("seed", range(4))
def test_determinised_lattices_have_every_sequence_once_with_its_best_alignment(seed):
    lattice, acwt, beam = random_lattice(seed, 5), 0.5, 12.0
    best: dict[tuple[int, ...], tuple[float, list[int]]] = {}
    for path in all_paths(lattice):
        found = cost(lattice, path, 1 / acwt, 0), lattice.alignment(path).tolist()
        words = tuple(lattice.words(path))
        best[words] = min(best.get(words, found), found)
    out, effective = determinize(lattice, beam, acwt, 10**6)
    assert effective == beam and (out.word > 0).all()
    pairs = list(zip(out.source.tolist(), out.word.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)  # at most one arc of a word leaves a state
    found = {tuple(out.words(p)): (cost(out, p, 1 / acwt, 0), out.alignment(p).tolist()) for p in all_paths(out)}
    least = min(best.values())[0]
    assert found.keys() >= {words for words, (total, _) in best.items() if total <= least + beam - 1e-6}
    for words, (total, alignment) in found.items():
        assert total == pytest.approx(best[words][0]) and alignment == best[words][1]
    few, effective = determinize(lattice, beam, acwt, 12)
    assert effective < beam and len(few.source) < len(out.source)
    kept = {tuple(few.words(path)) for path in all_paths(few)}
    assert kept and kept < found.keys()


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
    decode = Decoder(directory, SearchOptions(), model)
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
    many = Decoder(directory, wide, model)("utt", same)
    assert not caplog.text
    few = Decoder(directory, replace(wide, max_elements=1000), model)("utt", same)
    assert few.states < many.states and "utt: lattice larger than allowed: effective beam" in caplog.text
    # Costs of a lattice are those of the path that was scored, whatever the scale of the search.
    assert lattice.acoustic[path].sum() == pytest.approx(10 * 40, rel=1e-3)


def test_words_of_the_language_model_without_pronunciation(graph, lang, tmp_path, caplog):  # noqa: F811
    (tmp_path / "lm.arpa").write_text(arpa(["ONE MISSING TWO"]))
    make_graph(lang, tmp_path / "lm.arpa", graph[1], tmp_path / "graph")
    assert "lm.arpa: 1 words have no pronunciation, first MISSING: left out" in caplog.text
    (tmp_path / "lm.arpa").write_text(arpa(["one two"]))
    with pytest.raises(UserError, match="none of its 4 words is in .*words.txt: same case"):
        make_graph(lang, tmp_path / "lm.arpa", graph[1], tmp_path / "graph2")
    with pytest.raises(UserError, match="run steps/mkgraph.sh first"):
        Decoder(tmp_path / "none", SearchOptions(), graph[1])


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
    before, to_end = np.full(lattice.states, np.inf), np.full(lattice.states, np.inf)
    before[0] = 0
    for arc in order:
        before[lattice.target[arc]] = min(before[lattice.target[arc]], before[lattice.source[arc]] + costs[arc])
    for state, (graph, *_) in lattice.final.items():
        to_end[state] = graph
    for arc in reversed(order):
        to_end[lattice.source[arc]] = min(to_end[lattice.source[arc]], to_end[lattice.target[arc]] + costs[arc])
    return np.sort(before[lattice.source] + costs + to_end[lattice.target] - to_end[0])


@pytest.mark.parametrize("frames", [14, 77])  # within and beyond the frames after which a search forgets
def test_search_remembers_all_that_is_near_the_best_path_and_nothing_else(graph, frames):
    directory, model = graph
    draw = np.random.default_rng(frames)
    scores = draw.normal(-1, 0.6, (frames, len(model.tid_pdf) - 1)).astype(np.float32)

    def found(lattice_beam: float) -> Lattice:
        search = TokenPassing(Graph.read(directory / "HCLG.fst"), 1000.0, 10**9, lattice_beam)
        assert search(scores) and search.reached_final
        (source, target, tid, *columns), final = search.paths()
        tids = [ids(one) if one else b"" for one in tid]
        lattice = Lattice(source, target, *columns, tids, {state: (cost, 0.0, b"") for state, cost in final.items()})
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
        search = TokenPassing(Graph.read(directory / "HCLG.fst"), 1000.0, most, 1.0, 0)
        assert search(scores)
        costs.append(search.cost.min())
    assert costs[0] >= costs[1] >= costs[2] and costs[0] > costs[2]


def test_a_narrow_beam_keeps_the_least_number_of_tokens(graph):
    """Kaldi's min-active: a beam that holds few tokens is widened instead of losing the only way to an end."""
    directory, model = graph
    scores = np.random.default_rng(1).normal(-1, 0.6, (30, len(model.tid_pdf) - 1)).astype(np.float32)
    searches = {}
    for beam, least in ((1000.0, 200), (0.1, 200), (0.1, 0)):
        searches[beam, least] = TokenPassing(Graph.read(directory / "HCLG.fst"), beam, 7000, 1.0, least)
        assert searches[beam, least](scores)
    wide, narrow, lost = searches.values()
    assert narrow.reached_final and len(narrow.cost) > len(lost.cost)
    assert narrow.cost.min() == pytest.approx(wide.cost.min(), abs=1e-6) and lost.cost.min() > wide.cost.min() + 0.1
    search = TokenPassing(Graph.read(directory / "HCLG.fst"), 2.0, 5, 1.0, 3)
    # (costs of tokens, cost up to which they go on, next beam) by hand from the rules of GetCutoff
    for costs, cutoff, beam in (
        ([0, 1], np.inf, np.inf),  # no more than the least number
        ([0, 0.5, 1, 1.5, 9], 2, 2),  # the beam holds enough
        ([0, 3, 4, 5, 9], 5, 5.5),  # the beam is too narrow
        ([0, 0.1, 0.2, 0.3, 0.4, 0.5, 9], 0.5, 1.0),  # too many
    ):
        search.cost = np.array(costs, float)
        assert search._cutoff() == (cutoff, beam), costs


def test_graphs_of_both_kinds_and_damaged_ones(graph, tmp_path):
    """Kaldi's own mkgraph.sh writes const."""
    path = graph[0] / "HCLG.fst"
    vector, arcs = Graph.read(path), arcs_of(path)
    silent = sum(not tid for _, _, tid, _ in arcs)
    assert (len(vector.epsilon.tid), len(vector.emitting.tid)) == (silent, len(arcs) - silent)
    kaldifst.StdConstFst(kaldifst.StdVectorFst.read(str(path))).write(str(tmp_path / "const.fst"))
    const = Graph.read(tmp_path / "const.fst")
    assert const.start == vector.start and np.array_equal(const.final, vector.final)
    for a, b in zip((*vector.emitting, *vector.epsilon), (*const.emitting, *const.epsilon), strict=True):
        np.testing.assert_array_equal(a, b)
    whole = (tmp_path / "const.fst").read_bytes()
    damaged = {"short": path.read_bytes()[:-100], "text": b"0 1 2 3\n" * 20, "empty": b""}
    damaged |= {"elsewhere": whole[:-4] + b"\xff\xff\xff\x0f", "cut": whole[:-100]}  # its last arc leads nowhere
    for name, data in damaged.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=f"{name}: not an OpenFst graph, or damaged"):
            Graph.read(tmp_path / name)


def test_searches_that_fail_say_so(graph, lang, caplog):  # noqa: F811
    directory, model = graph
    decode = Decoder(directory, SearchOptions(beam=20.0), model)
    few = scores_of(lang, model, "ONE TWO")[:2]  # no word ends within two frames
    lattice = decode("short", few)
    assert lattice is not None and not lattice.words(lattice.best_paths([10], [0.0])[0])[1:]
    assert "short: outputting partial output since no final-state reached" in caplog.text
    assert len(decode.best_path("short", few)) == 2
    broken = np.full_like(few, np.nan)
    assert decode("broken", broken) is None and "broken: empty lattice: no words" in caplog.text
    assert decode("nothing", few[:0]) is None and decode.best_path("nothing", few[:0]) is None
    assert "nothing: empty lattice: no words" in caplog.text


def test_scores_of_lattices_that_fit_and_that_do_not(graph, tmp_path, caplog, monkeypatch):
    directory, model = graph
    data, decode = tmp_path / "data", tmp_path / "exp/decode"
    for folder in (data, decode):
        folder.mkdir(parents=True)
    write_tree(model.tree, tmp_path / "exp/tree")
    model.write(tmp_path / "exp/final.mdl")
    (data / "utt2spk").write_text("u s\nv s\n")
    (data / "text").write_text("u ONE\nv ONE TWO\n")
    (data / "frame_shift").write_text("0.01\n")
    (decode / "num_jobs").write_text("1\n")

    def score(lattice: Lattice, *options: object, utt: str = "u") -> str:
        write_lattices(decode / "lat.1.gz", [(utt, lattice)])
        caplog.clear()
        words = [*options, data, directory, tmp_path / "exp", decode]
        monkeypatch.setattr(sys, "argv", [str(ROOT / "pyscripts/score_lattices.py"), *map(str, words)])
        with pytest.raises(SystemExit) as ended:  # in this process, which spares a start
            runpy.run_path(sys.argv[0], run_name="__main__")
        assert (ended.value.code or 0) == any(record.levelname == "ERROR" for record in caplog.records)
        return caplog.text

    lattice = random_lattice()
    assert "1 of 2 utterances have no lattice: no words" in score(lattice, "--min-lmwt", 5, "--max-lmwt", 6)
    found = {path.name: path.read_text().split()[1] for path in decode.glob("wer_*")}
    order = [f"wer_{lmwt}_{wip}" for wip in ("0.0", "0.5", "1.0") for lmwt in (5, 6)]  # of Kaldi's scoring
    first = min(order, key=lambda name: float(found[name]))
    assert f"wer_{(decode / 'lmwt').read_text().strip()}_{(decode / 'wip').read_text().strip()}" == first
    assert "--min-lmwt 9 has to be from 1 to --max-lmwt, which is 7" in score(lattice, "--min-lmwt", 9, "--max-lmwt", 7)
    assert "--min-lmwt 0 has to be from 1" in score(lattice, "--min-lmwt", 0)
    assert "w: not in" in score(lattice, utt="w")
    other = replace(lattice, word=lattice.word * 1000)
    assert "is not in" in score(other) and "decoded with another graph?" in score(other)
    other = replace(lattice, tids=[ids(10**6)] * len(lattice.tids))
    assert "transition ids: decoded with another model?" in score(other)
    (decode / "lmwt").write_text("many\n")
    assert "lmwt: no number: score the development set again" in score(lattice, "--from", decode)
