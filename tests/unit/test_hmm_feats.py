"""Features of GMM-HMMs: deltas, splicing, LDA, MLLT and fMLLR."""

import numpy as np
import pytest
from lang_maker import mixtures, samples

from mimic.hmm.adapt import FmllrStats, LdaStats, MlltStats, composed
from mimic.hmm.feats import add_deltas, splice, transformed
from mimic.hmm.gmm import AmDiagGmm, GmmStats


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
