"""Gaussian mixtures with diagonal covariances, one for each pdf: likelihoods, statistics, maximum likelihood update.

All pdfs lie in the same arrays, pdf p in the rows offsets[p] to offsets[p + 1], so that a block of frames is a few
matrix products. Updates and splits are those of Kaldi's gmm-est.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heapify, heapreplace

import numpy as np

from mimic.hmm.jobs import Sums

LOG_2PI = float(np.log(2 * np.pi))


@dataclass
class GmmStats(Sums):
    """Sums over frames for each Gaussian: occupancy (gauss,), x and x squared (gauss, dim); likelihood and frames."""

    occ: np.ndarray
    x: np.ndarray
    x2: np.ndarray
    log_like: float = 0.0
    frames: float = 0.0

    @classmethod
    def zeros(cls, gauss: int, dim: int) -> "GmmStats":
        return cls(np.zeros(gauss), np.zeros((gauss, dim)), np.zeros((gauss, dim)))


class AmDiagGmm:
    """weights (gauss,), means and variances (gauss, dim) of all pdfs; offsets (pdfs + 1,)."""

    def __init__(self, weights: np.ndarray, means: np.ndarray, variances: np.ndarray, offsets: np.ndarray) -> None:
        self.weights, self.means, self.vars = (np.asarray(a, np.float64) for a in (weights, means, variances))
        self.offsets = np.asarray(offsets, np.int64)
        self._prepare()

    def _prepare(self) -> None:
        self.inv_vars = 1 / self.vars
        constant = -0.5 * (self.dim * LOG_2PI + np.log(self.vars).sum(1) + (self.means**2 * self.inv_vars).sum(1))
        self.gconsts = np.log(np.maximum(self.weights, 1e-30)) + constant
        linear = np.concatenate([self.means * self.inv_vars, -0.5 * self.inv_vars], axis=1)
        self._linear = linear.T.astype(np.float32)  # (2 dim, gauss)

    @property
    def dim(self) -> int:
        return self.means.shape[1]

    @property
    def num_pdfs(self) -> int:
        return len(self.offsets) - 1

    @property
    def num_gauss(self) -> int:
        return len(self.weights)

    def rows(self, pdf: int) -> slice:
        return slice(self.offsets[pdf], self.offsets[pdf + 1])

    def component_log_likes(self, x: np.ndarray, rows: slice | np.ndarray = slice(None)) -> np.ndarray:
        """(frames, dim) -> log of weight times density of each Gaussian (frames, gauss)."""
        return np.concatenate([x, x * x], axis=1, dtype=np.float32) @ self._linear[:, rows] + self.gconsts[rows].astype(
            np.float32
        )

    def log_likes(self, x: np.ndarray, pdfs: np.ndarray | None = None) -> np.ndarray:
        """(frames, dim) -> log-likelihoods of all pdfs, or of these, (frames, pdfs), float32."""
        sizes, rows = np.diff(self.offsets), slice(None)
        if pdfs is not None:
            sizes = sizes[pdfs]
            rows = np.arange(sizes.sum()) + np.repeat(self.offsets[pdfs] - np.cumsum(sizes) + sizes, sizes)
        parts, starts = self.component_log_likes(x, rows), np.cumsum(sizes) - sizes
        top = np.maximum.reduceat(parts, starts, axis=1)
        parts -= np.repeat(top, sizes, axis=1)
        return top + np.log(np.add.reduceat(np.exp(parts, out=parts), starts, axis=1))

    def posteriors(self, x: np.ndarray, pdf: int) -> tuple[np.ndarray, np.ndarray]:
        """(frames, dim) -> log-likelihoods of a pdf (frames,), posteriors of its Gaussians (frames, gauss)."""
        parts = self.component_log_likes(x, self.rows(pdf)).astype(np.float64)
        top = parts.max(1, keepdims=True)
        gamma = np.exp(parts - top)
        total = gamma.sum(1, keepdims=True)
        return (top + np.log(total))[:, 0], gamma / total

    def by_pdf(self, pdfs: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Each pdf of an alignment (frames,) and the numbers of its frames."""
        order = np.argsort(pdfs, kind="stable")
        values, starts = np.unique(pdfs[order], return_index=True)
        for pdf, frames in zip(values, np.split(order, starts[1:]), strict=True):
            yield int(pdf), frames

    def accumulate(self, stats: GmmStats, x: np.ndarray, pdfs: np.ndarray, other: np.ndarray | None = None) -> None:
        """Add frames (frames, dim) with their pdfs; posteriors from `x`, sums of `other` features where given."""
        seen = x if other is None else other
        for pdf, frames in self.by_pdf(pdfs):
            log_likes, gamma = self.posteriors(x[frames], pdf)
            rows, values = self.rows(pdf), seen[frames].astype(np.float64)
            stats.occ[rows] += gamma.sum(0)
            stats.x[rows] += gamma.T @ values
            stats.x2[rows] += gamma.T @ values**2
            stats.log_like += float(log_likes.sum())
        stats.frames += len(x)

    def update(self, stats: GmmStats, min_occupancy: float = 10.0, min_variance: float = 0.001) -> "AmDiagGmm":
        """The maximum likelihood model of the statistics; Gaussians seen less than `min_occupancy` are removed."""
        weights, means, variances = self.weights.copy(), self.means.copy(), self.vars.copy()
        total = np.add.reduceat(stats.occ, self.offsets[:-1])
        share = stats.occ / np.maximum(np.repeat(total, np.diff(self.offsets)), 1e-10)
        learned = (stats.occ > min_occupancy) & (share > 1e-5)
        occ = stats.occ[learned, None]
        weights[learned], means[learned] = share[learned], stats.x[learned] / occ
        variances[learned] = np.maximum(stats.x2[learned] / occ - means[learned] ** 2, min_variance)
        keep = learned.copy()
        for pdf in range(self.num_pdfs):
            rows = self.rows(pdf)
            if not keep[rows].any():  # one has to stay: the heaviest, as it was
                keep[rows.start + int(np.argmax(stats.occ[rows]))] = True
        offsets = np.concatenate([[0], np.cumsum(np.add.reduceat(keep.astype(int), self.offsets[:-1]))])
        return AmDiagGmm(_normalised(weights[keep], offsets), means[keep], variances[keep], offsets)

    def split(self, occ: np.ndarray, target: int, power: float = 0.25, min_count: float = 20.0) -> "AmDiagGmm":
        """Split the heaviest Gaussians until there are `target`; pdfs get shares like their occupancies ** power."""
        sizes = _targets(occ, np.diff(self.offsets), target, power, min_count)
        draw = np.random.default_rng(0)
        parts = []
        for pdf, size in enumerate(sizes):
            rows = self.rows(pdf)
            w, m, v = list(self.weights[rows]), list(self.means[rows]), list(self.vars[rows])
            while len(w) < size:
                big = int(np.argmax(w))
                w[big] /= 2
                step = 0.01 * draw.standard_normal(self.dim) * np.sqrt(v[big])
                w, m, v = [*w, w[big]], [*m, m[big] + step], [*v, v[big]]
                m[big] = m[big] - step
            parts.append((w, m, v))
        offsets = np.concatenate([[0], np.cumsum([len(w) for w, _, _ in parts])])
        weights, means, variances = (np.concatenate([part[i] for part in parts]) for i in range(3))
        return AmDiagGmm(weights, means, variances, offsets)

    def moved(self, transform: np.ndarray) -> "AmDiagGmm":
        """The same with transformed means, for features under the same transform."""
        return AmDiagGmm(self.weights, self.means @ transform.T, self.vars, self.offsets)


def _normalised(weights: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    return weights / np.repeat(np.add.reduceat(weights, offsets[:-1]), np.diff(offsets))


def _targets(occ: np.ndarray, sizes: np.ndarray, target: int, power: float, min_count: float) -> np.ndarray:
    """How many Gaussians each pdf gets: the next one goes to the pdf that has most of occ ** power for each of its."""
    sizes = sizes.copy()
    scaled = np.maximum(occ, 0) ** power
    queue = [(-scaled[p] / sizes[p], p) for p in range(len(sizes))]
    heapify(queue)
    left = target - sizes.sum()
    while left > 0 and queue[0][0] < 0:
        p = queue[0][1]
        if min_count * (sizes[p] + 1) > occ[p]:
            heapreplace(queue, (0.0, p))  # too few frames for one more
            continue
        sizes[p] += 1
        left -= 1
        heapreplace(queue, (-scaled[p] / sizes[p], p))
    return sizes
