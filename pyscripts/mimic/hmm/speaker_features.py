"""Features that are normalised by speaker, of one or several feature directories: what acoustic models are given."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mimic.io import archives, feature_dir
from mimic.io.tables import read_utt2spk


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
