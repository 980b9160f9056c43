"""Linear transforms of features: LDA, MLLT (semi-tied covariances), fMLLR.

MLLT and fMLLR: Gales, "Maximum likelihood linear transformations for HMM-based speech recognition", 1998: rows of the
matrix are updated one after the other, each to its optimum.
"""

import logging
from dataclasses import dataclass

import numpy as np

from mimic.hmm.gmm import AmDiagGmm
from mimic.hmm.jobs import Sums

log = logging.getLogger(__name__)


@dataclass
class LdaStats(Sums):
    """Frames (classes,) and sums (classes, dim) of each pdf, and x xT of all frames (dim, dim)."""

    occ: np.ndarray
    x: np.ndarray
    xx: np.ndarray

    @classmethod
    def zeros(cls, classes: int, dim: int) -> "LdaStats":
        return cls(np.zeros(classes), np.zeros((classes, dim)), np.zeros((dim, dim)))

    def accumulate(self, x: np.ndarray, pdfs: np.ndarray) -> None:
        x = x.astype(np.float64)
        np.add.at(self.occ, pdfs, 1)
        np.add.at(self.x, pdfs, x)
        self.xx += x.T @ x

    def estimate(self, dim: int) -> np.ndarray:
        """(dim, spliced dim): the directions in which classes differ most, scaled to unit variance within classes."""
        seen = self.occ > 0
        n = self.occ.sum()
        means, mean = self.x[seen] / self.occ[seen, None], self.x.sum(0) / n
        between = (means - mean).T @ ((means - mean) * self.occ[seen, None]) / n
        within = self.xx / n - np.outer(mean, mean) - between
        within += 1e-6 * np.trace(within) / len(within) * np.eye(len(within))
        whiten = np.linalg.inv(np.linalg.cholesky(within))
        _, vectors = np.linalg.eigh(whiten @ between @ whiten.T)
        return vectors[:, ::-1][:, :dim].T @ whiten


@dataclass
class MlltStats(Sums):
    """beta: frames; g (dim, dim, dim): for each row of the transform the scatter of x over the variance of that row."""

    g: np.ndarray
    beta: float = 0.0

    @classmethod
    def zeros(cls, dim: int) -> "MlltStats":
        return cls(np.zeros((dim, dim, dim)))

    def accumulate(self, gmm: AmDiagGmm, x: np.ndarray, pdfs: np.ndarray) -> None:
        for pdf, frames in gmm.by_pdf(pdfs):
            values = x[frames].astype(np.float64)
            _, gamma = gmm.posteriors(x[frames], pdf)
            rows = gmm.rows(pdf)
            for weight, mean, inverse in zip(gamma.T, gmm.means[rows], gmm.inv_vars[rows], strict=True):
                centred = values - mean
                self.g += inverse[:, None, None] * ((centred * weight[:, None]).T @ centred)
        self.beta += len(x)

    def objective(self, matrix: np.ndarray) -> float:
        """Likelihood per frame, less a constant."""
        quadratic = np.einsum("ij,ijk,ik->", matrix, self.g, matrix)
        return float(np.linalg.slogdet(matrix)[1] - 0.5 * quadratic / self.beta)

    def estimate(self, iterations: int = 200) -> np.ndarray:
        """(dim, dim), to be applied after the transform that the features have."""
        dim = len(self.g)
        matrix = np.eye(dim)
        inverses = np.linalg.inv(self.g)
        for _ in range(iterations):
            for i in range(dim):
                cofactor = np.linalg.inv(matrix).T[i]
                row = cofactor @ inverses[i]
                matrix[i] = row * np.sqrt(self.beta / (row @ cofactor))
        before, after = self.objective(np.eye(dim)), self.objective(matrix)
        log.info("MLLT objective per frame from %.4f to %.4f over %d frames", before, after, self.beta)
        return matrix


@dataclass
class FmllrStats:
    """Of one speaker: k (dim, dim + 1), g (dim, dim + 1, dim + 1), frames beta."""

    k: np.ndarray
    g: np.ndarray
    beta: float = 0.0

    @classmethod
    def zeros(cls, dim: int) -> "FmllrStats":
        return cls(np.zeros((dim, dim + 1)), np.zeros((dim, dim + 1, dim + 1)))

    def accumulate(self, gmm: AmDiagGmm, x: np.ndarray, pdfs: np.ndarray, adapted: np.ndarray | None = None) -> None:
        """Add frames (frames, dim) with their pdfs; posteriors come from the features `adapted`, where given."""
        extended = np.concatenate([x, np.ones((len(x), 1))], axis=1, dtype=np.float64)
        seen = x if adapted is None else adapted
        precision, target = np.zeros(x.shape), np.zeros(x.shape)  # sums over the Gaussians of each frame
        for pdf, frames in gmm.by_pdf(pdfs):
            _, gamma = gmm.posteriors(seen[frames], pdf)
            rows = gmm.rows(pdf)
            precision[frames] = gamma @ gmm.inv_vars[rows]
            target[frames] = gamma @ (gmm.means[rows] * gmm.inv_vars[rows])
        self.k += target.T @ extended
        for i in range(x.shape[1]):
            self.g[i] += (extended * precision[:, i : i + 1]).T @ extended
        self.beta += len(x)

    def objective(self, matrix: np.ndarray) -> float:
        """Likelihood per frame, less a constant."""
        log_det = np.linalg.slogdet(matrix[:, :-1])[1]
        quadratic = np.einsum("ij,ijk,ik->", matrix, self.g, matrix)
        return float(log_det + ((matrix * self.k).sum() - 0.5 * quadratic) / self.beta)

    def estimate(self, speaker: str, min_count: float = 500.0, iterations: int = 40) -> np.ndarray:
        """(dim, dim + 1); the identity, with a line in the log, where the speaker has too few frames."""
        dim = len(self.k)
        matrix = np.eye(dim, dim + 1)
        if self.beta < min_count:
            line = "%s: not updating transform because beta=%d < --fmllr-min-count %d: identity"
            log.warning(line, speaker, self.beta, min_count)
            return matrix
        inverses = np.linalg.inv(self.g + 1e-8 * np.eye(dim + 1))
        for _ in range(iterations):
            for i in range(dim):
                cofactor = np.append(np.linalg.inv(matrix[:, :-1]).T[i], 0)
                along, shift = cofactor @ inverses[i], self.k[i] @ inverses[i]
                # The row is alpha * along + shift; of the two roots for alpha the better one counts.
                a, b = along @ cofactor, shift @ cofactor
                roots = (-b + np.array([1, -1]) * np.sqrt(b * b + 4 * a * self.beta)) / (2 * a)
                gain = self.beta * np.log(np.abs(roots * a + b)) - 0.5 * roots**2 * a
                matrix[i] = roots[int(np.argmax(gain))] * along + shift
        before, after = self.objective(np.eye(dim, dim + 1)), self.objective(matrix)
        log.info("%s: fMLLR objective per frame from %.4f to %.4f, beta=%d", speaker, before, after, self.beta)
        return matrix


def composed(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The affine transform (dim, dim + 1) of `first`, then `second`."""
    return np.concatenate([second[:, :-1] @ first[:, :-1], second[:, :-1] @ first[:, -1:] + second[:, -1:]], axis=1)
