"""Synthetic audio for benchmarks of training: how long a step takes does not depend on what it is."""

from pathlib import Path

import numpy as np
import soundfile

from mimic.io.tables import write_data_dir

RATE = 16000


def speech(folder: Path, utterances: int, seconds: float, speakers: int = 4) -> None:
    """Data directories train_{clean,noisy}: noise in syllables of random colour, 12 phones and 3 words a second.

    Utterances have 0.8 to 1.2 times `seconds`.
    """
    draw = np.random.default_rng(0)
    phones = [f"P{i:02d}" for i in range(39)]
    syllables = [a + b for a in "BDFGKLMNPRSTVZ" for b in ("A", "E", "I", "O", "U", "AN", "EL", "IS", "OR", "UT")]
    tables = {side: {n: {} for n in ("wav.scp", "text", "text.phn", "utt2spk")} for side in ("clean", "noisy")}
    for i in range(utterances):
        utt, n = f"spk{i % speakers:x}-{i:04d}", int(seconds * draw.uniform(0.8, 1.2) * RATE)
        envelope = np.clip(np.sin(np.arange(n) * 2 * np.pi * 4 / RATE + draw.uniform(0, 6)), 0.01, None)
        clean = np.convolve(draw.normal(0, 0.05, n), draw.normal(0, 1, 8), "same") * envelope
        spoken = {
            "text": " ".join("".join(draw.choice(syllables, 3)) for _ in range(max(1, int(3 * n / RATE)))),
            "text.phn": " ".join(draw.choice(phones, max(1, int(12 * n / RATE)))),
            "utt2spk": utt.partition("-")[0],
        }
        for side, waveform in (("clean", clean), ("noisy", clean + draw.normal(0, 0.02, n))):
            path = folder / f"{utt}-{side}.wav"
            soundfile.write(path, waveform.clip(-1, 1), RATE, "PCM_16")
            for name, value in ({"wav.scp": str(path)} | spoken).items():
                tables[side][name][utt] = value
    for side, named in tables.items():
        write_data_dir(folder / f"train_{side}", named)


def noises_and_rirs(folder: Path) -> None:
    """Folders `noises`, of 10 s each, and `rirs`, which decay in half a second."""
    draw = np.random.default_rng(1)
    decay = np.exp(-np.arange(RATE // 2) / (0.05 * RATE))
    for name in ("noises", "rirs"):
        (folder / name).mkdir()
    for i in range(8):
        soundfile.write(folder / "noises" / f"n{i}-0.wav", draw.normal(0, 0.1, 10 * RATE).clip(-1, 1), RATE, "PCM_16")
        soundfile.write(folder / "rirs" / f"r{i}.wav", draw.normal(0, 0.2, RATE // 2).clip(-1, 1) * decay, RATE)
