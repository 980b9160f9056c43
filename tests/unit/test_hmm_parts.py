"""The parts of GMM-HMM training against kaldi-hmm-gmm, kaldi_native_io and what the theory says of them."""

import gzip

import kaldi_native_io
import numpy as np
import pytest

from mimic.errors import UserError
from mimic.hmm import lang as lang_dir
from mimic.hmm.adapt import FmllrStats, LdaStats, MlltStats, composed
from mimic.hmm.alignments import Aligner, read_ali, write_ali
from mimic.hmm.feats import add_deltas, splice, transformed, write_matrix, write_trans
from mimic.hmm.gmm import AmDiagGmm, GmmStats
from mimic.hmm.kaldi import kaldifst, khg
from mimic.hmm.lang import Lang, LangOptions, make_lang
from mimic.hmm.model import Model, read_tree, transition_model, write_tree
from mimic.hmm.summary import collect, write_job
from mimic.hmm.tree import TreeStats, build_tree, make_questions

LEXICON = "ONE W AH N\nWON W AH N\nTWO T UW\nTOO T UW\nTO T UW\nA AH\nA EY\nEIGHT EY T\n"


@pytest.fixture(scope="module")
def lang(tmp_path_factory) -> Lang:
    root = tmp_path_factory.mktemp("lang")
    (root / "lexicon.txt").write_text(LEXICON)
    make_lang(root / "lexicon.txt", root / "lang", LangOptions())
    return Lang(root / "lang")


def monophones(lang: Lang, dim: int = 3) -> Model:
    topo = (lang.path / "topo").read_text()
    topology = khg.HmmTopology()
    topology.read(topo)
    sets = [[lang.phones[phone] for phone in row] for row in lang.rows("sets.txt")]
    tree = khg.monophone_context_dependency_shared(sets, topology.get_phone_to_num_pdf_classes())
    n = tree.num_pdfs
    means = np.random.default_rng(0).normal(size=(n, dim))
    return Model(
        tree, transition_model(tree, topo), AmDiagGmm(np.ones(n), means, np.ones((n, dim)), np.arange(n + 1)), topo
    )


def mixtures(pdfs: int = 3, gauss: int = 2, dim: int = 4) -> AmDiagGmm:
    draw = np.random.default_rng(1)
    n = pdfs * gauss
    offsets = np.arange(pdfs + 1) * gauss
    return AmDiagGmm(np.full(n, 1 / gauss), draw.normal(size=(n, dim)) * 2, draw.uniform(0.5, 2, (n, dim)), offsets)


def samples(gmm: AmDiagGmm, frames: int = 3000, seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    rows = draw.integers(gmm.num_gauss, size=frames)
    x = gmm.means[rows] + draw.normal(size=(frames, gmm.dim)) * np.sqrt(gmm.vars[rows])
    return x.astype(np.float32), np.searchsorted(gmm.offsets, rows, "right") - 1


def their_pdf(gmm: AmDiagGmm, pdf: int) -> khg.DiagGmm:
    rows = gmm.rows(pdf)
    kaldi = khg.DiagGmm(rows.stop - rows.start, gmm.dim)
    kaldi.set_weights(gmm.weights[rows].astype(np.float32))
    kaldi.set_invvars_and_means(gmm.inv_vars[rows].astype(np.float32), gmm.means[rows].astype(np.float32))
    kaldi.compute_gconsts()
    return kaldi


def test_lang_has_kaldis_files_and_both_lexicons_accept_what_they_should(lang):
    assert lang.words["<eps>"] == 0 and lang.encode("ONE FOO") == [lang.words["ONE"], lang.oov]
    assert (lang.path / "oov.txt").read_text() == "<UNK>\n"
    for name in ("silence.csl", "disambig.int", "sets.int", "roots.int", "extra_questions.int", "word_boundary.int"):
        assert (lang.path / "phones" / name).stat().st_size, name
    assert lang.rows("word_boundary.txt")[0] == ["SIL", "nonword"]
    aligned = lang.rows("align_lexicon.txt")
    assert ["<UNK>", "<UNK>", "SPN_S"] in aligned and ["<eps>", "<eps>", "SIL"] in aligned
    numbers = [[lang.words[a], lang.words[b], *(lang.phones[p] for p in c)] for a, b, *c in aligned]
    assert [list(map(int, row)) for row in lang.rows("align_lexicon.int")] == numbers
    assert all(row[:2] == ["shared", "split"] for row in lang.rows("roots.txt"))
    topology = khg.HmmTopology()
    topology.read((lang.path / "topo").read_text())
    topology.check()
    classes = topology.get_phone_to_num_pdf_classes()
    assert classes[lang.phones["SIL"]] == 5 and classes[lang.phones["AH_S"]] == 3

    def phones_of(fst: str, *words: str) -> set[str]:
        """The phones of every path with these words."""
        graph = kaldifst.StdVectorFst.read(str(lang.path / fst))
        target = kaldifst.make_linear_acceptor([lang.words[word] for word in words])
        both = kaldifst.compose(graph, target)
        paths = kaldifst.convert_nbest_to_vector(kaldifst.shortest_path(both, n=50))
        found = [kaldifst.get_linear_symbol_sequence(path)[1] for path in paths]
        return {" ".join(lang.phone_of[p] for p in path if p) for path in found}

    spoken = phones_of("L.fst", "TO", "A")
    assert {"T_B UW_E AH_S", "SIL T_B UW_E SIL EY_S SIL"} <= spoken and len(spoken) == 16
    unique = [phones_of("L_disambig.fst", word) for word in ("TWO", "TOO", "TO", "ONE", "WON")]
    assert len(set().union(*unique)) == sum(map(len, unique)), "two words sound alike in L_disambig.fst"


def test_words_without_pronunciation_and_reserved_ones(tmp_path, caplog):
    (tmp_path / "lexicon.txt").write_text(
        "ONE 1.0 W AH1 N\nONE 0.9 W AH0 N\nONE(2) 0.4 W AO N\nNOTHING\nTWO 0.5 T UW\n"
    )
    found = lang_dir.dictionary(tmp_path / "lexicon.txt")
    assert found == [("ONE", ("W", "AH", "N"), 1.0), ("ONE", ("W", "AO", "N"), 0.4), ("TWO", ("T", "UW"), 0.5)]
    assert "lexicon.txt:4: NOTHING has no pronunciation: taken as out of vocabulary" in caplog.text
    (tmp_path / "lexicon.txt").write_text("<s> W AH1 N\n")
    with pytest.raises(UserError, match="are not words: remove them"):
        make_lang(tmp_path / "lexicon.txt", tmp_path / "lang", LangOptions())
    (tmp_path / "lexicon.txt").write_text("NOTHING\n")
    with pytest.raises(UserError, match="no words with phones in it"):
        make_lang(tmp_path / "lexicon.txt", tmp_path / "lang", LangOptions())
    with pytest.raises(UserError, match=r"no L.fst: is it a lang directory\?"):
        Lang(tmp_path / "lang")


def test_likelihoods_update_and_split_are_kaldis():
    gmm = mixtures()
    x, pdfs = samples(gmm)
    start = AmDiagGmm(gmm.weights, gmm.means + 0.3, np.ones_like(gmm.vars), gmm.offsets)
    stats = GmmStats.zeros(start.num_gauss, start.dim)
    start.accumulate(stats, x, pdfs)
    updated = start.update(stats)
    likes = start.log_likes(x)
    for pdf in range(start.num_pdfs):
        kaldi = their_pdf(start, pdf)
        assert likes[7, pdf] == pytest.approx(kaldi.log_likelihood(x[7]), abs=1e-3)
        assert start.log_likes(x, np.array([pdf, 0]))[7] == pytest.approx(likes[7, [pdf, 0]], abs=1e-4)
        acc = khg.AccumDiagGmm(kaldi, 15)
        for frame in x[pdfs == pdf]:
            acc.accumulate_from_diag(kaldi, frame, 1.0)
        np.testing.assert_allclose(stats.occ[start.rows(pdf)], acc.occupancy, rtol=1e-3)
        np.testing.assert_allclose(stats.x[start.rows(pdf)], acc.mean_accumulator, rtol=1e-3, atol=0.05)
        np.testing.assert_allclose(stats.x2[start.rows(pdf)], acc.variance_accumulator, rtol=1e-3)
    am, accs = khg.AmDiagGmm(), khg.AccumAmDiagGmm()
    am.init(their_pdf(start, 0), 1)
    accs.init(am, 15)
    for frame in x[pdfs == 0]:
        accs.accumulate_for_gmm(am, frame, 0, 1.0)
    khg.mle_am_diag_gmm_update(khg.MleDiagGmmOptions(), accs, 15, am)
    np.testing.assert_allclose(updated.means[:2], am.get_pdf(0).means, atol=1e-3)
    np.testing.assert_allclose(updated.weights[:2], am.get_pdf(0).weights, atol=1e-4)
    np.testing.assert_allclose(updated.vars[:2], am.get_pdf(0).vars, rtol=1e-3)
    split = updated.split(np.array([5000.0, 300.0, 300.0]), 12)
    assert split.num_gauss == 12 and np.diff(split.offsets)[0] > np.diff(split.offsets)[1]
    np.testing.assert_allclose(np.add.reduceat(split.weights, split.offsets[:-1]), 1)


def test_likelihood_rises_and_rare_gaussians_go():
    gmm = mixtures(gauss=3)
    x, pdfs = samples(gmm)
    model = AmDiagGmm(gmm.weights, gmm.means + 1, np.full_like(gmm.vars, 4), gmm.offsets)
    likes = []
    for _ in range(8):
        stats = GmmStats.zeros(model.num_gauss, model.dim)
        model.accumulate(stats, x, pdfs)
        likes.append(stats.log_like / stats.frames)
        model = model.update(stats)
    assert (np.diff(likes) > 0).all() and likes[-1] > likes[0] + 0.2
    far = AmDiagGmm(gmm.weights, gmm.means + np.eye(9)[:, :1] * 1e3, gmm.vars, gmm.offsets)
    stats = GmmStats.zeros(far.num_gauss, far.dim)
    far.accumulate(stats, x, pdfs)
    assert np.diff(far.update(stats).offsets).tolist() == [2, 3, 3]


def test_an_alignment_finds_the_frames_and_asks_for_few_pdfs(lang):
    model, asked = monophones(lang), []
    aligner = Aligner(lang, model)
    drawn = aligner.equal("ONE TWO", 40)
    all_likes = np.where(np.arange(model.gmm.num_pdfs) == model.tid_pdf[drawn][:, None], -1.0, -50.0).astype(np.float32)

    def log_likes(pdfs):
        asked.append(pdfs)
        return all_likes[:, pdfs]

    ali, score = aligner.align("utt", "ONE TWO", log_likes, 10, 40)
    assert (model.tid_pdf[ali] == model.tid_pdf[drawn]).all() and ali.dtype == np.int32
    spoken = set(model.tid_pdf[drawn])
    assert spoken <= set(asked[0]) and len(asked[0]) < model.gmm.num_pdfs
    full = khg.DecodableCtc(np.ascontiguousarray(np.float32(0.1) * all_likes[:, model.tid_pdf[1:]]))
    whole = khg.align_utterance_wrapper(  # the scales of Kaldi's scale_opts
        khg.AlignConfig(10, 40, False), "utt", 0.1, aligner.graph("ONE TWO"), full, 0, 0, 0, 0.0, 0
    )
    assert ali.tolist() == whole[5] and score == pytest.approx(whole[3] / whole[4])

    def silences(boost):  # where frames say nothing
        found, _ = Aligner(lang, model, boost).align("utt", "ONE TWO", lambda pdfs: np.zeros((40, len(pdfs))), 10, 40)
        return np.isin(model.tid_phone[found], lang.silence).sum()

    assert silences(1e-9) == 0 < silences(4)


def test_models_and_trees_in_kaldis_format(lang, tmp_path):
    model = monophones(lang)
    counts = np.random.default_rng(0).uniform(10, 50, len(model.tid_pdf))
    counts[0] = 0
    model = model.updated(counts)
    write_tree(model.tree, tmp_path / "tree")
    model.write(tmp_path / "final.mdl")
    again = Model.read(tmp_path / "final.mdl")
    np.testing.assert_allclose(again.transitions.log_probs, model.transitions.log_probs, atol=1e-6)
    np.testing.assert_allclose(
        again.transitions.non_self_loop_log_probs, model.transitions.non_self_loop_log_probs, atol=1e-4
    )
    np.testing.assert_allclose(again.gmm.means, model.gmm.means, atol=1e-5)
    assert again.tuples == model.tuples and again.gmm.num_pdfs == model.tree.num_pdfs
    # kaldi-hmm-gmm has its own reader of the tree file.
    assert "digraph" in khg.draw_tree(str(lang.path / "phones.txt"), str(tmp_path / "tree"))
    (tmp_path / "short.mdl").write_bytes((tmp_path / "final.mdl").read_bytes()[:200])
    with pytest.raises(UserError, match="short.mdl: (damaged|expected)"):
        Model.read(tmp_path / "short.mdl", tmp_path / "tree")
    with pytest.raises(UserError, match="train the model first"):
        Model.read(tmp_path / "none.mdl")


def row(values) -> str:
    return " ".join(f"{value:.9g}" for value in values)


def as_text(model: Model) -> str:
    """A model as Kaldi's gmm-copy --binary=false lays it out."""
    state, gmm = model.transitions.__getstate__(), model.gmm
    triples = "".join(f"{phone} {hmm} {pdf} \n" for phone, hmm, pdf, *_ in model.tuples)
    lines = [f"<TransitionModel> \n{model.topo}<Triples> {len(model.tuples)} \n{triples}</Triples> \n<LogProbs> \n"]
    lines.append(
        f" [ {row(state[6])} ]\n</LogProbs> \n</TransitionModel> \n<DIMENSION> {gmm.dim} <NUMPDFS> {gmm.num_pdfs} "
    )
    for pdf in range(gmm.num_pdfs):
        rows = gmm.rows(pdf)
        scaled, inverse = (
            "\n".join(f"  {row(line)} " for line in m[rows]) for m in (gmm.means * gmm.inv_vars, gmm.inv_vars)
        )
        lines.append(f"<DiagGMM> \n<GCONSTS>  [ {row(gmm.gconsts[rows])} ]\n<WEIGHTS>  [ {row(gmm.weights[rows])} ]\n")
        lines.append(f"<MEANS_INVVARS>  [\n{scaled}]\n<INV_VARS>  [\n{inverse}]\n</DiagGMM> \n")
    return "".join(lines)


TREE = (
    "ContextDependency 3 1 ToPdf TE 1 3 ( NULL CE 0 SE 0 [ 1 ]\n"
    "{ SE -1 [ 0 1 ]\n{ CE 1 CE 2 } \nCE 3 } \n) \nEndContextDependency "
)


def test_models_trees_and_alignments_as_text(lang, tmp_path):
    model = monophones(lang)
    write_tree(model.tree, tmp_path / "tree")
    model.write(tmp_path / "final.mdl")
    (tmp_path / "text.mdl").write_text(as_text(model))
    binary, text = Model.read(tmp_path / "final.mdl"), Model.read(tmp_path / "text.mdl")
    assert text.tuples == binary.tuples and text.gmm.offsets.tolist() == binary.gmm.offsets.tolist()
    np.testing.assert_allclose(text.gmm.means, binary.gmm.means, rtol=1e-6)
    np.testing.assert_allclose(text.gmm.vars, binary.gmm.vars, rtol=1e-6)
    np.testing.assert_allclose(text.transitions.log_probs, binary.transitions.log_probs, rtol=1e-6)
    (tmp_path / "small").write_text(TREE)
    tree = read_tree(tmp_path / "small")
    asked = [([1, 1, 0], 0), ([1, 2, 0], 0), ([1, 2, 0], 2), ([2, 2, 0], 0)]
    assert [tree.compute(*key)[1] for key in asked] == [0, 1, 2, 3] and tree.num_pdfs == 4
    whole = as_text(model)
    for name, data in (
        ("half.mdl", whole[: len(whole) // 2]),
        ("no.mdl", "number"),
        ("some.mdl", whole.replace("1", "x")),
    ):
        (tmp_path / name).write_text(data)
        with pytest.raises(UserError, match=f"{name}: (damaged|expected)"):
            Model.read(tmp_path / name)
    (tmp_path / "small").write_text(TREE[:60])
    with pytest.raises(UserError, match="small: not a tree of Kaldi's, or damaged"):
        read_tree(tmp_path / "small")
    alignments = {"a": [7, 7], "b": [3, 1, 2]}
    lines = "".join(f"{utt} {row(ali)} \n" for utt, ali in alignments.items())
    (tmp_path / "ali.1.gz").write_bytes(gzip.compress(lines.encode()))
    assert {utt: ali.tolist() for utt, ali in read_ali(tmp_path / "ali.1.gz")} == alignments
    (tmp_path / "ali.1.gz").write_bytes(gzip.compress(b"a 1 x\n"))
    with pytest.raises(UserError, match="ali.1.gz: damaged or missing alignments"):
        list(read_ali(tmp_path / "ali.1.gz"))


def test_archives_that_kaldi_reads(tmp_path):
    alignments = {"b": np.array([3, 1, 2], np.int32), "a": np.array([7], np.int32)}
    write_ali(tmp_path / "ali.1.gz", alignments)
    with kaldi_native_io.SequentialInt32VectorReader(f"ark:gunzip -c {tmp_path}/ali.1.gz |") as reader:
        found = dict(reader)
    assert list(found) == ["a", "b"] and found["b"] == [3, 1, 2]
    assert [utt for utt, _ in read_ali(tmp_path / "ali.1.gz")] == ["a", "b"]
    write_trans(tmp_path, 1, {"s1": np.eye(2, 3)})
    with kaldi_native_io.SequentialFloatMatrixReader(f"ark:{tmp_path}/trans.1") as reader:
        assert [(key, value.tolist()) for key, value in reader] == [("s1", np.eye(2, 3).tolist())]
    write_matrix(tmp_path / "final.mat", np.eye(2, 4))
    assert kaldi_native_io.FloatMatrix.read(str(tmp_path / "final.mat")).numpy().tolist() == np.eye(2, 4).tolist()
    (tmp_path / "ali.1.gz").write_bytes(b"nothing")
    with pytest.raises(UserError, match="damaged or missing alignments"):
        list(read_ali(tmp_path / "ali.1.gz"))


def test_utterances_that_failed_are_counted_over_all_jobs(tmp_path):
    write_job(tmp_path, 1, 60, {}, frames=100, log_like=-250.5)
    write_job(tmp_path, 2, 40, {"u2": "no features", "u1": "too short"}, frames=50, log_like=-50)
    with pytest.raises(UserError, match="2 of 100 utterances failed, more than --max-skip 0.01 .* u1: too short"):
        collect(tmp_path, 2, 0.01)
    sums = {"done": 98, "errors": 2, "frames": 150, "log_like": -300.5}
    assert collect(tmp_path, 2, 0.02) == sums
    assert (tmp_path / "skipped.tsv").read_text() == "u1\ttoo short\nu2\tno features\n"
    with pytest.raises(UserError, match=r"summary.1.json: missing or damaged: a job has not ended"):
        collect(tmp_path, 2, 0.02)
    write_job(tmp_path, 1, 1, {"u1": "no features"})
    with pytest.raises(UserError, match="1 of 1 utterances failed: see skipped.tsv there; the first, u1: no features"):
        collect(tmp_path, 1, 1.0)


def test_deltas_and_splicing():
    x = np.arange(10, dtype=np.float32)[:, None] ** 2
    deltas = add_deltas(x)
    assert deltas.shape == (10, 3)
    np.testing.assert_allclose(deltas[4:6, 1], [8, 10])  # slope of t squared
    np.testing.assert_allclose(deltas[4:6, 2], [2, 2], atol=1e-5)
    assert deltas[0, 1] == pytest.approx((1 * (1 - 0) + 2 * (4 - 0)) / 10)  # the first frame repeated
    assert splice(x, 2, 1)[0].tolist() == [0, 0, 0, 1] and splice(x, 2, 1)[9].tolist() == [49, 64, 81, 81]


def test_lda_finds_what_tells_classes_apart():
    draw = np.random.default_rng(0)
    pdfs = draw.integers(3, size=4000)
    x = draw.normal(size=(4000, 6)) @ draw.normal(size=(6, 6))
    x[:, 2] += 5 * pdfs
    stats = LdaStats.zeros(3, 6)
    stats.accumulate(x, pdfs)
    matrix = stats.estimate(2)
    y = x @ matrix.T
    within = np.cov(np.concatenate([y[pdfs == c] - y[pdfs == c].mean(0) for c in range(3)]).T)
    np.testing.assert_allclose(within, np.eye(2), atol=0.02)
    assert np.var([y[pdfs == c, 0].mean() for c in range(3)]) > 10 * np.var([y[pdfs == c, 1].mean() for c in range(3)])


def test_mllt_undoes_a_rotation():
    gmm = mixtures(pdfs=4, gauss=1)
    x, pdfs = samples(AmDiagGmm(gmm.weights, gmm.means, np.tile([0.1, 1, 3, 9], (4, 1)), gmm.offsets), 6000)
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(4, 4)))[0]
    turned = AmDiagGmm(gmm.weights, gmm.means @ turn.T, np.ones((4, 4)), gmm.offsets)
    stats = GmmStats.zeros(4, 4)
    y = (x @ turn.T).astype(np.float32)
    turned.accumulate(stats, y, pdfs)
    turned = turned.update(stats)
    sums = MlltStats.zeros(4)
    sums.accumulate(turned, y, pdfs)
    matrix = sums.estimate()
    assert sums.objective(matrix) > sums.objective(np.eye(4)) + 0.1
    covariance = np.cov(np.concatenate([(y[pdfs == p] - y[pdfs == p].mean(0)) @ matrix.T for p in range(4)]).T)
    scale = np.sqrt(np.diag(covariance))
    assert np.abs(covariance / np.outer(scale, scale) - np.eye(4)).max() < 0.1


def test_fmllr_undoes_an_affine_change_and_needs_frames(caplog):
    gmm = mixtures(pdfs=6, gauss=2)
    x, pdfs = samples(gmm, 5000)
    change = np.eye(4) + 0.2 * np.random.default_rng(5).normal(size=(4, 4))
    y = (x @ change.T + [1, -1, 0.5, 0]).astype(np.float32)
    matrix = None
    for _ in range(4):  # posteriors come from better and better features
        stats = FmllrStats.zeros(4)
        stats.accumulate(gmm, y, pdfs, None if matrix is None else transformed(y, matrix))
        matrix = stats.estimate("s1", 500)
        assert stats.objective(matrix) >= stats.objective(np.eye(4, 5))
    np.testing.assert_allclose(transformed(y, matrix), x, atol=0.5)
    np.testing.assert_allclose(composed(matrix, np.eye(4, 5)), matrix)
    few = FmllrStats.zeros(4)
    few.accumulate(gmm, y[:100], pdfs[:100])
    np.testing.assert_array_equal(few.estimate("s2", 500), np.eye(4, 5))
    assert "s2: not updating transform because beta=100 < --fmllr-min-count 500: identity" in caplog.text


def test_the_tree_asks_about_what_changes_the_sound(lang, tmp_path):
    """AH sounds different after W; the tree must ask for that first and keep silence whole."""
    model, draw = monophones(lang), np.random.default_rng(0)
    spoken = [p for name, p in lang.phones.items() if name[-2:] in ("_B", "_I", "_E", "_S") and p not in lang.silence]
    keys, sums = [], []
    for centre in spoken:
        for left in spoken:
            for state in range(3):
                shift = 4.0 * (lang.phone_of[centre].startswith("AH") and lang.phone_of[left].startswith("W"))
                x = draw.normal(shift + state, 1, (40, 2))
                keys.append((left, centre, 0, state))
                sums.append(np.concatenate([[40], x.sum(0), (x**2).sum(0)]))
    for state in range(5):
        keys.append((0, lang.phones["SIL"], 0, state))
        mean = 5.0 * (state // 2)  # the last one differs from the others, and of these the third and fourth from two
        sums.append(100 * np.array([1, mean, mean, 1 + mean**2, 1 + mean**2]))
    stats = TreeStats.merged([TreeStats(np.array(keys), np.array(sums))])
    sets = [[lang.phones[phone] for phone in row] for row in lang.rows("sets.txt")]
    questions = make_questions(stats, sets, [[lang.phones[f"W_{p}"] for p in "BEIS"]])
    classes = model.transitions.topo.get_phone_to_num_pdf_classes()
    tree = build_tree(stats, lang.rows("roots.int"), questions, classes, 60, threshold=50)
    assert tree.num_pdfs <= 60

    def pdf(left: str, centre: str, state: int = 1) -> int:
        return tree.compute([lang.phones[left], lang.phones[centre], 0], state)[1]

    assert pdf("W_B", "AH_I") == pdf("W_S", "AH_E") != pdf("T_B", "AH_I") == pdf("N_E", "AH_I")
    assert pdf("T_B", "AH_I", 0) != pdf("T_B", "AH_I", 2)
    assert pdf("W_B", "SIL") == pdf("T_B", "SIL")  # states of silence are split, too, where they differ
    assert [pdf("W_B", "SIL", s) == pdf("W_B", "SIL", s + 1) for s in range(4)] == [True, False, True, False]
    write_tree(tree, tmp_path / "tree")
    assert "digraph" in khg.draw_tree(str(lang.path / "phones.txt"), str(tmp_path / "tree"))
