"""What a training makes of the sums of all its jobs: models, trees, transforms."""

import logging
from dataclasses import fields
from pathlib import Path

import numpy as np

from mimic.errors import UserError
from mimic.hmm.adapt import LdaStats, MlltStats
from mimic.hmm.alignments import read_ali, write_ali
from mimic.hmm.feats import LOG_DET, SPLICE, Features, read_matrix, write_matrix
from mimic.hmm.gmm import AmDiagGmm, GmmStats
from mimic.hmm.kaldi import khg
from mimic.hmm.lang import Lang
from mimic.hmm.model import Model, transition_model, write_tree
from mimic.hmm.tree import TreeStats, build_tree, convert_alignment, make_questions

log = logging.getLogger(__name__)


def sum_jobs(kind: type, directory: Path, name: str, nj: int):
    """The sum of NAME.JOB.acc.npz of all jobs, and what else is in them, summed too."""
    total, more = None, {}
    for job in range(1, nj + 1):
        path = directory / f"{name}.{job}.acc.npz"
        if not path.exists():
            raise UserError(f"{path} is missing: job {job} has not ended, see its log")
        with np.load(path) as arrays:
            own = {part.name for part in fields(kind)}
            values = {key: arrays[key] if arrays[key].ndim else float(arrays[key]) for key in arrays.files}
            stats = kind(**{key: value for key, value in values.items() if key in own})
            if kind is TreeStats:
                total = stats if total is None else TreeStats.merged([total, stats])
            elif total is None:
                total = stats
            else:
                total.add(stats)
            for key in values.keys() - own:
                more[key] = more[key] + values[key] if key in more else values[key]
    return total, more


def init_mono(data: Path, lang: Lang, directory: Path, utterances: int = 10) -> None:
    """Tree and 0.mdl: one Gaussian for each state, with mean and variance of some frames."""
    features = Features(data)
    x = np.concatenate([features(utt) for utt in sorted(features.entries)[:utterances]]).astype(np.float64)
    topo = (lang.path / "topo").read_text()
    topology = khg.HmmTopology()
    topology.read(topo)
    sets = [[lang.phones[phone] for phone in row] for row in lang.rows("sets.txt")]
    tree = khg.monophone_context_dependency_shared(sets, topology.get_phone_to_num_pdf_classes())
    n = tree.num_pdfs
    means, variances = np.tile(x.mean(0), (n, 1)), np.tile(x.var(0) + 1e-3, (n, 1))
    gmm = AmDiagGmm(np.ones(n), means, variances, np.arange(n + 1))
    write_tree(tree, directory / "tree")
    Model(tree, transition_model(tree, topo), gmm, topo).write(directory / "0.mdl")


def est(directory: Path, name: str, out: str, nj: int, mix_up: int = 0, power: float = 0.25, min_occ: float = 10.0):
    """OUT.mdl from NAME.mdl and the sums of its jobs; the likelihood goes to the log and to `likes`."""
    model = Model.read(directory / f"{name}.mdl")
    stats, more = sum_jobs(GmmStats, directory, name, nj)
    if not stats.frames:
        raise UserError(f"{directory}: no frames: no utterance could be aligned, see {directory}/log")
    like = stats.log_like / stats.frames
    log.info("Overall avg like per frame = %.5f over %d frames", like, stats.frames)
    if out.isdigit():
        with open(directory / "likes", "a", encoding="utf-8") as f:
            f.write(f"{name} {like:.5f} {stats.frames:.0f}\n")
    gmm = model.gmm.update(stats, min_occ)
    if mix_up > gmm.num_gauss:
        occ = np.add.reduceat(stats.occ, model.gmm.offsets[:-1])
        gmm = gmm.split(occ, mix_up, power)
    model.updated(more["transitions"]).with_gmm(gmm).write(directory / f"{out}.mdl")
    for job in range(1, nj + 1):
        (directory / f"{name}.{job}.acc.npz").unlink()


def make_tree(lang: Lang, directory: Path, nj: int, leaves: int, threshold: float) -> None:
    """Questions, tree and 1.mdl, whose states have one Gaussian, from the tree statistics of all jobs."""
    stats, _ = sum_jobs(TreeStats, directory, "tree", nj)
    if not len(stats.keys):
        raise UserError(f"{directory}: no frames for the tree: no utterance could be aligned, see its log")
    topo = (lang.path / "topo").read_text()
    topology = khg.HmmTopology()
    topology.read(topo)
    sets = [[lang.phones[phone] for phone in row] for row in lang.rows("sets.txt")]
    extra = [[int(phone) for phone in row] for row in lang.rows("extra_questions.int")]
    questions = make_questions(stats, sets, extra)
    roots = lang.rows("roots.int")
    tree = build_tree(stats, roots, questions, topology.get_phone_to_num_pdf_classes(), leaves, threshold)
    write_tree(tree, directory / "tree")
    n, total = tree.num_pdfs, stats.sums.sum(0)
    sums = np.zeros((n, stats.sums.shape[1]))
    for key, row in zip(stats.keys.tolist(), stats.sums, strict=True):
        sums[tree.compute(key[:3], key[3])[1]] += row
    empty = sums[:, 0] < 1
    if empty.any():
        log.warning("%d of %d pdfs have no frames (spoken noise, skipped states): global mean", empty.sum(), n)
        sums[empty] = total / total[0]
    dim = (sums.shape[1] - 1) // 2
    means = sums[:, 1 : dim + 1] / sums[:, :1]
    variances = np.maximum(sums[:, dim + 1 :] / sums[:, :1] - means**2, 0.01)
    gmm = AmDiagGmm(np.ones(n), means, variances, np.arange(n + 1))
    log.info("%d questions, %d leaves", len(questions), n)
    Model(tree, transition_model(tree, topo), gmm, topo).write(directory / "1.mdl")


def convert_ali(source: Path, directory: Path, job: int) -> None:
    """ali.JOB.gz of `source` with the transition ids of the new tree."""
    old, new, cache = Model.read(source / "final.mdl"), Model.read(directory / "1.mdl"), {}
    alignments = dict(read_ali(source / f"ali.{job}.gz"))
    write_ali(directory / f"ali.{job}.gz", {u: convert_alignment(old, new, a, cache) for u, a in alignments.items()})


def make_lda(directory: Path, nj: int, dim: int) -> None:
    stats, _ = sum_jobs(LdaStats, directory, "lda", nj)
    if stats.occ.sum() < 2:
        raise UserError(f"{directory}: no frames for LDA: no utterance could be aligned, see its log")
    write_matrix(directory / "final.mat", stats.estimate(dim))
    (directory / "splice_opts").write_text(f"--left-context={SPLICE} --right-context={SPLICE}\n")  # for Kaldi's steps


def make_mllt(directory: Path, name: str, nj: int) -> None:
    """Apply the transform that the sums ask for to final.mat, and to the means of NAME.mdl."""
    stats, _ = sum_jobs(MlltStats, directory, f"mllt_{name}", nj)
    matrix = stats.estimate()
    model = Model.read(directory / f"{name}.mdl")
    model.with_gmm(model.gmm.moved(matrix)).write(directory / f"{name}.mdl")
    write_matrix(directory / "final.mat", matrix @ read_matrix(directory / "final.mat"))
    before = directory / LOG_DET
    log_det = float(before.read_text()) if before.exists() else 0.0
    before.write_text(f"{log_det + np.linalg.slogdet(matrix)[1]:.6f}\n")
    for job in range(1, nj + 1):
        (directory / f"mllt_{name}.{job}.acc.npz").unlink()
