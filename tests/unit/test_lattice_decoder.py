"""The lattice decoder against an exhaustive search, and scores of its lattices."""

# ruff: noqa: F811 (fixtures)

import runpy
import sys
from dataclasses import replace

import numpy as np
import pytest
from data_maker import ROOT
from hmm_maker import arpa
from lang_maker import lang, monophones  # noqa: F401 (a fixture)
from lattice_maker import cost, graph, ids, random_lattice  # noqa: F401 (a fixture)

from mimic.decoding.wfst.graph import make_graph
from mimic.decoding.wfst.graph_file import Graph
from mimic.decoding.wfst.lattice import Lattice, word_times
from mimic.decoding.wfst.lattice_decoder import Decoder, SearchOptions
from mimic.decoding.wfst.lattice_io import write_lattices
from mimic.decoding.wfst.token_passing import TokenPassing
from mimic.errors import UserError
from mimic.hmm.kaldi import kaldifst
from mimic.hmm.model import write_tree


def scores_of(lang, model, text: str) -> np.ndarray:
    """(frames, pdfs) that are best where the words are spoken."""
    from mimic.hmm.alignments import Aligner

    ali = Aligner(lang, model).equal(text, 40)
    out = np.full((len(ali), model.transitions.num_pdfs), -200.0, np.float32)
    out[np.arange(len(ali)), model.tid_pdf[ali]] = -10
    return out


def test_search_in_the_composed_graph(graph, lang, caplog):
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
    same = np.full((20, model.transitions.num_pdfs), -1.0, np.float32)
    wide = SearchOptions(beam=100.0, lattice_beam=50.0)
    many = Decoder(directory, wide, model)("utt", same)
    assert not caplog.text
    few = Decoder(directory, replace(wide, max_elements=1000), model)("utt", same)
    assert few.states < many.states and "utt: lattice larger than allowed: effective beam" in caplog.text
    # Costs of a lattice are those of the path that was scored, whatever the scale of the search.
    assert lattice.acoustic[path].sum() == pytest.approx(10 * 40, rel=1e-3)


def test_words_of_the_language_model_without_pronunciation(graph, lang, tmp_path, caplog):
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
    for state, (weight, *_) in lattice.final.items():
        to_end[state] = weight
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
    # (costs of tokens, cost up to which they are kept, next beam) by hand from the rules of GetCutoff
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


def test_searches_that_fail_say_so(graph, lang, caplog):
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
    score(lattice, "--min-lmwt", 5, "--max-lmwt", 5, "--word-ins-penalty", "0.3, 2")
    assert (decode / "wer_5_0.3").exists() and (decode / "wer_5_2.0").exists()
    score(lattice, "--min-lmwt", 5, "--max-lmwt", 5, "--word-ins-penalty", "3 4")
    assert (decode / "wer_5_4.0").exists()
    assert "--min-lmwt 9 has to be from 1 to --max-lmwt, which is 7" in score(lattice, "--min-lmwt", 9, "--max-lmwt", 7)
    assert "--min-lmwt 0 has to be from 1" in score(lattice, "--min-lmwt", 0)
    assert "w: not in" in score(lattice, utt="w")
    other = replace(lattice, word=lattice.word * 1000)
    assert "is not in" in score(other) and "decoded with another graph?" in score(other)
    other = replace(lattice, tids=[ids(10**6)] * len(lattice.tids))
    assert "transition ids: decoded with another model?" in score(other)
    (decode / "lmwt").write_text("many\n")
    assert "lmwt: no number: score the development set again" in score(lattice, "--from", decode)
