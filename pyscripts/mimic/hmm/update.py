"""What a training makes of the sums of all its jobs: models, trees, transforms."""

import logging
from pathlib import Path

import numpy as np

from mimic.errors import UserError
from mimic.hmm import chain
from mimic.hmm.adapt import LdaStats, MlltStats
from mimic.hmm.alignments import read_ali, write_ali
from mimic.hmm.feats import LOG_DET, SPLICE, Features, read_matrix, write_matrix
from mimic.hmm.gmm import AmDiagGmm, GmmStats
from mimic.hmm.jobs import add_sums, remove_sums
from mimic.hmm.kaldi import khg
from mimic.hmm.lang import Lang
from mimic.hmm.model import Model, read_topology, transition_model, write_tree
from mimic.hmm.tree import WIDTH, TreeStats, build_tree, convert_alignment, make_questions

log = logging.getLogger(__name__)


def init_mono(data: Path, lang: Lang, directory: Path, utterances: int = 10) -> None:
    """Tree and 0.mdl: one Gaussian for each state, with mean and variance of some frames."""
    features = Features(data)
    x = np.concatenate([features(utt) for utt in sorted(features.entries)[:utterances]]).astype(np.float64)
    tree = khg.monophone_context_dependency_shared(lang.sets(), read_topology(lang.topo).get_phone_to_num_pdf_classes())
    n = tree.num_pdfs
    _write_first(directory / "0.mdl", tree, lang.topo, np.tile(x.mean(0), (n, 1)), np.tile(x.var(0) + 1e-3, (n, 1)))


def _write_first(path: Path, tree: khg.ContextDependency, topo: str, means: np.ndarray, variances: np.ndarray) -> None:
    """A tree, and a model whose states have one Gaussian each, means and variances (pdfs, dim)."""
    write_tree(tree, path.parent / "tree")
    gmm = AmDiagGmm(np.ones(len(means)), means, variances, np.arange(len(means) + 1))
    Model(tree, transition_model(tree, topo), gmm, topo).write(path)


def est(directory: Path, name: str, out: str, nj: int, mix_up: int = 0, power: float = 0.25, min_occ: float = 10.0):
    """OUT.mdl from NAME.mdl and the sums of its jobs; the likelihood goes to the log and to `likes`."""
    model = Model.read(directory / f"{name}.mdl")
    stats, more = add_sums(GmmStats, directory, name, nj)
    if not stats.frames:
        raise UserError(f"{directory}: no frames: no utterance could be aligned, see {directory}/log")
    like = stats.log_like / stats.frames
    log.info("Overall avg like per frame = %.5f over %d frames", like, stats.frames)
    if out.isdigit():
        with open(directory / "likes", "a", encoding="utf-8") as f:
            f.write(f"{name} {like:.5f} {stats.frames:.0f}\n")
    gmm = model.mixtures.update(stats, min_occ)
    if mix_up > gmm.num_gauss:
        occ = np.add.reduceat(stats.occ, model.mixtures.offsets[:-1])
        gmm = gmm.split(occ, mix_up, power)
    model.updated(more["transitions"]).with_gmm(gmm).write(directory / f"{out}.mdl")
    remove_sums(directory, name, nj)


def _grown_tree(
    lang: Lang, directory: Path, nj: int, leaves: int, threshold: float, topo: str, width: int
) -> tuple[TreeStats, khg.ContextDependency]:
    stats, _ = add_sums(TreeStats, directory, "tree", nj)
    if not len(stats.keys):
        raise UserError(f"{directory}: no frames for the tree: no utterance could be aligned, see its log")
    extra = [[int(phone) for phone in row] for row in lang.rows("extra_questions.int")]
    questions = make_questions(stats, lang.sets(), extra)
    classes = read_topology(topo).get_phone_to_num_pdf_classes()
    tree = build_tree(stats, lang.rows("roots.int"), questions, classes, leaves, threshold, width)
    log.info("%d questions, %d leaves", len(questions), tree.num_pdfs)
    return stats, tree


def make_chain_tree(lang: Lang, directory: Path, nj: int, leaves: int, threshold: float) -> None:
    """The tree and final.mdl of LF-MMI, which has transitions only, from the tree statistics of all jobs."""
    topo = chain.topo_text([phone for group in lang.sets() for phone in group])
    _, tree = _grown_tree(lang, directory, nj, leaves, threshold, topo, chain.WIDTH)
    write_tree(tree, directory / "tree")
    Model(tree, transition_model(tree, topo), None, topo).write(directory / "final.mdl")


def make_tree(lang: Lang, directory: Path, nj: int, leaves: int, threshold: float) -> None:
    """Questions, tree and 1.mdl, whose states have one Gaussian, from the tree statistics of all jobs."""
    stats, tree = _grown_tree(lang, directory, nj, leaves, threshold, lang.topo, WIDTH)
    n, total = tree.num_pdfs, stats.sums.sum(0)
    by_pdf = np.zeros((n, stats.sums.shape[1]))
    for key, row in zip(stats.keys.tolist(), stats.sums, strict=True):
        by_pdf[tree.compute(key[:3], key[3])[1]] += row
    empty = by_pdf[:, 0] < 1
    if empty.any():
        log.warning("%d of %d pdfs have no frames (spoken noise, skipped states): global mean", empty.sum(), n)
        by_pdf[empty] = total / total[0]
    dim = (by_pdf.shape[1] - 1) // 2
    means = by_pdf[:, 1 : dim + 1] / by_pdf[:, :1]
    variances = np.maximum(by_pdf[:, dim + 1 :] / by_pdf[:, :1] - means**2, 0.01)
    _write_first(directory / "1.mdl", tree, lang.topo, means, variances)


def convert_ali(source: Path, directory: Path, job: int) -> None:
    """ali.JOB.gz of `source` with the transition ids of the new tree."""
    old, new = Model.read(source / "final.mdl"), Model.read(directory / "1.mdl")
    cache: dict[tuple[tuple[int, ...], int], int] = {}
    alignments = dict(read_ali(source / f"ali.{job}.gz"))
    write_ali(directory / f"ali.{job}.gz", {u: convert_alignment(old, new, a, cache) for u, a in alignments.items()})


def make_lda(directory: Path, nj: int, dim: int) -> None:
    stats, _ = add_sums(LdaStats, directory, "lda", nj)
    if stats.occ.sum() < 2:
        raise UserError(f"{directory}: no frames for LDA: no utterance could be aligned, see its log")
    write_matrix(directory / "final.mat", stats.estimate(dim))
    (directory / "splice_opts").write_text(f"--left-context={SPLICE} --right-context={SPLICE}\n")  # for Kaldi's steps


def make_mllt(directory: Path, name: str, nj: int) -> None:
    """Apply the transform that the sums ask for to final.mat, and to the means of NAME.mdl."""
    stats, _ = add_sums(MlltStats, directory, f"mllt_{name}", nj)
    matrix = stats.estimate()
    model = Model.read(directory / f"{name}.mdl")
    model.with_gmm(model.mixtures.moved(matrix)).write(directory / f"{name}.mdl")
    write_matrix(directory / "final.mat", matrix @ read_matrix(directory / "final.mat"))
    before = directory / LOG_DET
    log_det = float(before.read_text()) if before.exists() else 0.0
    before.write_text(f"{log_det + np.linalg.slogdet(matrix)[1]:.6f}\n")
    remove_sums(directory, f"mllt_{name}", nj)
