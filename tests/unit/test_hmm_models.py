"""Parts of GMM-HMM training: lang directories, Gaussians, alignments and trees, against Kaldi's own library."""

# ruff: noqa: F811 (fixtures)

import numpy as np
import pytest
from lang_maker import lang, mixtures, monophones, samples  # noqa: F401 (a fixture)

from mimic.errors import UserError
from mimic.hmm import lang as lang_dir
from mimic.hmm.alignments import Aligner
from mimic.hmm.gmm import AmDiagGmm, GmmStats
from mimic.hmm.kaldi import kaldifst, khg
from mimic.hmm.lang import Lang, LangOptions, make_lang
from mimic.hmm.model import write_tree
from mimic.hmm.tree import TreeStats, build_tree, make_questions


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
