"""Signals, data directories and transcripts for the tests of scores."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mimic.io.tables import write_data_dir
from mimic.metrics.pesq import package

RATE = 16000
VOCABULARY = "A B C D ONE TWO IT'S LENGTH-OF-SIXTEEN-AND-MORE naïve Ünïcödé ЖУК 東京 <unk> [noise]".split()
needs_pesq = pytest.mark.skipif(package is None, reason="the Python package pesq is not installed")


def speechlike(seconds: float, seed: int = 0) -> np.ndarray:
    """Syllables of a buzzing voice with moving formants, pauses between them: (samples,) float32."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    pitch = 2 * np.pi * np.cumsum(110 + 20 * np.sin(2 * np.pi * 0.7 * t + seed)) / RATE
    formant = 900 + 500 * np.sin(2 * np.pi * 1.3 * t)
    voice = sum(np.sin(k * pitch) * np.exp(-(((110 * k - formant) / 600) ** 2)) for k in range(1, 40))
    syllables = np.clip(np.sin(2 * np.pi * 3.1 * t + seed), 0, None) * (np.sin(2 * np.pi * 0.4 * t + 1) > -0.6)
    x = voice * syllables + 1e-4 * rng.standard_normal(len(t))
    return (0.5 * x / np.abs(x).max()).astype(np.float32)


def noisy(x: np.ndarray, level: float, seed: int = 1) -> np.ndarray:
    return (x + level * np.random.default_rng(seed).standard_normal(len(x))).astype(np.float32)


def write_pair(path: Path, count: int = 5) -> tuple[Path, Path]:
    """data/test_clean and data/test_noisy of two speakers, float wavs in one folder each beside them."""
    for side in ("clean", "noisy"):
        (path / f"{side}_wav").mkdir(parents=True)
        tables: dict[str, dict[str, str]] = {name: {} for name in ("wav.scp", "utt2spk", "utt2snr")}
        for k in range(count):
            utt, wav = f"p{k % 2}-{k:02d}", path / f"{side}_wav" / f"p{k % 2}-{k:02d}.wav"
            x = speechlike(1.2 + 0.1234 * k, k)
            soundfile.write(wav, x if side == "clean" else noisy(x, 0.003 * (k + 1)), RATE, subtype="FLOAT")
            tables["wav.scp"][utt], tables["utt2spk"][utt] = str(wav), f"p{k % 2}"
            tables["utt2snr"][utt] = "2.5" if k < 2 else "7.5"
        write_data_dir(path / f"data/test_{side}", tables)
    return path / "data/test_clean", path / "data/test_noisy"


def random_set(seed: int, utterances: int = 40) -> tuple[dict[str, str], dict[str, str]]:
    """References and hypotheses derived from them by random edits; two hypotheses are missing, one is empty."""
    rng = random.Random(seed)
    refs, hyps = {}, {}
    for i in range(utterances):
        ref = rng.choices(VOCABULARY, k=rng.randint(1, 12))
        hyp = [rng.choice(VOCABULARY) if rng.random() < 0.2 else word for word in ref if rng.random() > 0.15]
        for _ in range(rng.randint(0, 2)):
            hyp.insert(rng.randint(0, len(hyp)), rng.choice(VOCABULARY))
        refs[f"p{i % 3}-{i:03d}"], hyps[f"p{i % 3}-{i:03d}"] = " ".join(ref), " ".join(hyp)
    names = sorted(refs)
    hyps[names[5]] = ""
    del hyps[names[7]], hyps[names[20]]
    return refs, hyps


def utt2spk(refs: dict[str, str]) -> dict[str, str]:
    speakers = {utt: utt.split("-")[0] for utt in refs}
    return speakers | {"zz-unscored": "a-speaker-with-a-long-name"}


@pytest.fixture(scope="module")
def kaldi() -> Path:
    utils = Path(os.environ.get("KALDI_ROOT", "/nonexistent")) / "egs/wsj/s5/utils"
    if not (utils / "scoring").is_dir():
        pytest.skip("KALDI_ROOT names no Kaldi checkout with egs/wsj/s5/utils/scoring")
    return utils
