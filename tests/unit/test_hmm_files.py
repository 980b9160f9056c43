"""Models, trees, alignments and counts of jobs as files, in Kaldi's formats."""

# ruff: noqa: F811 (fixtures)

import gzip

import kaldi_native_io
import numpy as np
import pytest
from lang_maker import lang, monophones  # noqa: F401 (a fixture)

from mimic.errors import UserError
from mimic.hmm.alignments import read_ali, write_ali
from mimic.hmm.feats import write_matrix, write_trans
from mimic.hmm.jobs import collect_summaries, write_summary
from mimic.hmm.kaldi import khg
from mimic.hmm.model import Model, read_tree, write_tree


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
    write_summary(tmp_path, 1, 60, {}, frames=100, log_like=-250.5)
    write_summary(tmp_path, 2, 40, {"u2": "no features", "u1": "too short"}, frames=50, log_like=-50)
    with pytest.raises(UserError, match="2 of 100 utterances failed, more than --max-skip 0.01 .* u1: too short"):
        collect_summaries(tmp_path, 2, 0.01)
    sums = {"done": 98, "errors": 2, "frames": 150, "log_like": -300.5}
    assert collect_summaries(tmp_path, 2, 0.02) == sums
    assert (tmp_path / "skipped.tsv").read_text() == "u1\ttoo short\nu2\tno features\n"
    with pytest.raises(UserError, match=r"summary.1.json: missing or damaged: a job has not ended"):
        collect_summaries(tmp_path, 2, 0.02)
    write_summary(tmp_path, 1, 1, {"u1": "no features"})
    with pytest.raises(UserError, match="1 of 1 utterances failed: see skipped.tsv there; the first, u1: no features"):
        collect_summaries(tmp_path, 1, 1.0)


def test_alignments_across_the_buffers_of_gzip(tmp_path):
    """Wherever a buffer of the reader ends: after the first of the two bytes that say that numbers follow, too."""
    draw = np.random.default_rng(0)
    alignments = {f"u{n:0{draw.integers(5, 12)}}": draw.integers(1, 99, draw.integers(1, 9)) for n in range(40000)}
    write_ali(tmp_path / "ali.1.gz", alignments)
    found = dict(read_ali(tmp_path / "ali.1.gz"))
    assert {utt: ali.tolist() for utt, ali in found.items()} == {utt: ali.tolist() for utt, ali in alignments.items()}
