"""Features as a model wants them: CMVN per speaker; for mixtures deltas, or splicing and a transform, then fMLLR."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
from kaldiio.matio import write_array

from mimic.errors import UserError
from mimic.io import archives, feature_dir
from mimic.io.atomic import replace
from mimic.io.tables import read_utt2spk

LOG_DET = "mllt_log_det"  # file beside final.mat: of the square matrices that MLLT has put onto LDA
SPLICE = 3  # frames to either side, Kaldi's default


def add_deltas(x: np.ndarray, order: int = 2, window: int = 2) -> np.ndarray:
    """(frames, dim) -> (frames, dim (order + 1)), as Kaldi's add-deltas: the ends are repeated."""
    kernel = np.ones(1)
    step = np.arange(-window, window + 1) / sum(k * k for k in range(-window, window + 1))
    out = [x]
    for _ in range(order):
        kernel = np.convolve(kernel, step)
        half = len(kernel) // 2
        padded = np.concatenate([np.repeat(x[:1], half, 0), x, np.repeat(x[-1:], half, 0)])
        total = sum(weight * padded[k : k + len(x)] for k, weight in enumerate(kernel) if weight)
        out.append(cast("np.ndarray", total))  # a sum of nothing would be 0
    return np.concatenate(out, axis=1, dtype=np.float32)


def splice(x: np.ndarray, left: int = SPLICE, right: int = SPLICE) -> np.ndarray:
    """(frames, dim) -> (frames, dim (left + 1 + right)), as Kaldi's splice-feats: the ends are repeated."""
    index = np.clip(np.arange(len(x))[:, None] + np.arange(-left, right + 1), 0, len(x) - 1)
    return x[index].reshape(len(x), -1)


def transformed(x: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(frames, dim) by a linear (rows, dim) or an affine (rows, dim + 1) matrix."""
    out = x @ matrix[:, : x.shape[1]].T.astype(np.float32)
    return out + matrix[:, -1].astype(np.float32) if matrix.shape[1] == x.shape[1] + 1 else out


class Features:
    """Features of a feature directory, utterance by utterance.

    Args:
        directory: feats.scp, cmvn.scp by speaker, utt2spk.
        model: directory whose final.mat (LDA) is applied to spliced features; None or without one: deltas.
        trans: {speaker: matrix (dim, dim + 1)} of fMLLR; a speaker that is not in it keeps the features as they are.
        kind: "model" as above, "splice" for spliced features without the matrix.
    """

    def __init__(
        self, directory: Path, model: Path | None = None, trans: dict[str, np.ndarray] | None = None,
        kind: str = "model",
    ) -> None:  # fmt: skip
        self.entries = archives.read_scp(directory / "feats.scp")
        self.speakers = read_utt2spk(directory / "utt2spk")
        self.trans, self.kind = trans or {}, kind
        self.lda = read_matrix(model / "final.mat") if model and (model / "final.mat").exists() else None
        known = model / LOG_DET if model else None
        self.mllt_log_det = float(known.read_text()) if known and known.exists() else 0.0
        self.means = {}
        for speaker, entry in archives.read_scp(directory / "cmvn.scp").items():
            stats = archives.load(entry)
            if stats[0, -1] < 1:
                raise UserError(f"{directory}/cmvn.scp: {speaker}: statistics of no frames")
            self.means[speaker] = (stats[0, :-1] / stats[0, -1]).astype(np.float32)

    def __call__(self, utt: str) -> np.ndarray:
        """(frames, dim) float32."""
        speaker = self.speakers[utt]
        x = archives.load(self.entries[utt]) - self.means[speaker]
        if self.kind == "splice":
            return splice(x)
        x = add_deltas(x) if self.lda is None else transformed(splice(x), self.lda)
        return transformed(x, self.trans[speaker]) if speaker in self.trans else x

    def log_det(self, utt: str) -> float:
        """log |det| of MLLT and the speaker's fMLLR, which makes likelihoods under different transforms comparable."""
        trans = self.trans.get(self.speakers[utt])
        return self.mllt_log_det + (0.0 if trans is None else float(np.linalg.slogdet(trans[:, :-1])[1]))

    def __contains__(self, utt: str) -> bool:
        return utt in self.entries

    def blocks(self, utts: list[str], alignments: dict[str, np.ndarray], frames: int = 1 << 16) -> Iterator[list[str]]:
        """Those of the utterances that are aligned, in groups of about so many frames."""
        group: list[str] = []
        total = 0
        for utt in utts:
            if utt not in alignments:
                continue
            group.append(utt)
            total += len(alignments[utt])
            if total >= frames:
                yield group
                group, total = [], 0
        if group:
            yield group


class SpeakerFeatures:
    """Features of feature directories, normalised by speaker.

    An utterance of directory k > 0 is `utterance+k` here; base[utterance+k] is its id there, and in alignments.
    """

    def __init__(self, directories: Sequence[Path], norm_vars: bool) -> None:
        self.entries: dict[str, str] = {}
        self.lengths: dict[str, int] = {}
        self.base: dict[str, str] = {}
        self._speaker: dict[str, tuple[int, str]] = {}
        self._stats: dict[tuple[int, str], tuple[np.ndarray, np.ndarray]] = {}
        for k, directory in enumerate(directories):
            suffix = f"+{k}" if k else ""
            entries, frames = feature_dir.read(directory)
            self.entries |= {u + suffix: e for u, e in entries.items()}
            self.base |= {u + suffix: u for u in entries}
            self.lengths |= {u + suffix: n for u, n in frames.items()}
            self._speaker |= {u + suffix: (k, s) for u, s in read_utt2spk(directory / "utt2spk").items()}
            for speaker, entry in archives.read_scp(directory / "cmvn.scp").items():
                stats = archives.load(entry)
                mean = stats[0, :-1] / stats[0, -1]
                variance = np.maximum(stats[1, :-1] / stats[0, -1] - mean**2, 1e-8)
                scale = 1 / np.sqrt(variance) if norm_vars else np.ones_like(mean)
                self._stats[k, speaker] = mean.astype(np.float32), scale.astype(np.float32)

    @property
    def dim(self) -> int:
        return len(next(iter(self._stats.values()))[0])

    def __call__(self, utt: str) -> np.ndarray:
        """(frames, dim) float32."""
        mean, scale = self._stats[self._speaker[utt]]
        return (feature_dir.load(self.entries[utt], utt, self.lengths[utt]) - mean) * scale


def read_matrix(path: Path) -> np.ndarray:
    """One matrix that a file holds, as final.mat."""
    return archives.load(str(path)).astype(np.float64)


def write_matrix(path: Path, matrix: np.ndarray) -> None:
    """A file with one float matrix."""
    with replace(path, "wb") as f:
        write_array(f, np.ascontiguousarray(matrix, np.float32))


def read_trans(directory: Path) -> dict[str, np.ndarray]:
    """{speaker: matrix} of the archives trans.JOB of a directory; empty where it has none."""
    found: dict[str, np.ndarray] = {}
    for scp in sorted(directory.glob("trans.*.scp")):
        found |= {speaker: archives.load(entry) for speaker, entry in archives.read_scp(scp).items()}
    return found


def write_trans(directory: Path, job: int, trans: dict[str, np.ndarray]) -> None:
    """trans.JOB, an archive of Kaldi's, and its index."""
    with archives.ArkWriter(directory / f"trans.{job}", directory / f"trans.{job}.scp") as writer:
        for speaker in sorted(trans):
            writer.write(speaker, trans[speaker].astype(np.float32))
