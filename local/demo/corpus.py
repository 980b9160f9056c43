"""The demo corpus on disk: audio of the script, noises, mixtures, data directories. Same bytes for the same seed.

Below the audio directory: speech/SET/UTT.wav (as spoken), noise/SET/KIND-NN.wav, and SET/clean, SET/noisy with the
pair of each utterance. Each file is complete or absent, and none is made twice.
"""

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile
import soxr
from espeak import Espeak
from noises_test import NOISE_TYPES as TEST_TYPES
from noises_train import NOISE_TYPES as TRAIN_TYPES
from noises_train import elsewhere
from sentences import Utterance

from mimic.augment.mixing import RATE, active_power, power, utterance_rng
from mimic.augment.recordings import Corruption, Recordings, split_recordings
from mimic.corpus.lexicon import read_lexicon, to_phones
from mimic.io.atomic import replace
from mimic.io.entries import stored
from mimic.io.recording import write_wav
from mimic.io.tables import write_data_dir, write_table

SNRS = {"train": (0, 5, 10, 15), "dev": (0, 5, 10, 15), "test": (2.5, 7.5, 12.5, 17.5)}
NOISES = {"train": (TRAIN_TYPES, 24), "dev": (TRAIN_TYPES, 3), "test": (TEST_TYPES, 6)}  # files of each type
AS_MADE = 8  # files of each type; further ones sound as elsewhere, so that an enhancer cannot memorise eight
NOISE_S = 5
NOISE_POWER = 10 ** (-26 / 10)
LEXICON = Path(__file__).with_name("lexicon.txt")
log = logging.getLogger(__name__)

SPEECH_DB, SPREAD_DB = -25, 2  # active speech level of a recording, full scale 0
FLOOR = 10 ** (-75 / 20)  # background hiss: without it pauses are digital zeros, whose logarithm has no bottom
PAUSE_S = 0.12  # before and after the speech


def speak(utterance: Utterance, seed: int, espeak: Espeak) -> np.ndarray:
    """Give the recording of an utterance, float64 (samples,) at 16 kHz; pitch, rate and level vary a little."""
    rng = utterance_rng(seed, f"{utterance.utt} speech")
    pitch = utterance.voice.pitch + int(rng.integers(-4, 5))
    rate = utterance.voice.rate + int(rng.integers(-10, 11))
    question = utterance.text.startswith("WHERE IS ")
    text = utterance.text.lower() + ("?" if question else ".")
    samples = espeak.speak(text, utterance.voice, pitch, rate, seed=int(rng.integers(1, 2**31)))
    x = soxr.resample(samples / 32768.0, espeak.rate, RATE, quality="VHQ")
    x = trim(x)
    x *= 10 ** ((SPEECH_DB + rng.uniform(-SPREAD_DB, SPREAD_DB)) / 20) / np.sqrt(active_power(x))
    return x + FLOOR * rng.standard_normal(len(x))


def trim(x: np.ndarray) -> np.ndarray:
    """Leave 120 ms of pause before the first and after the last 10 ms that is within 40 dB of the loudest."""
    size = RATE // 100
    frames = np.mean(x[: len(x) // size * size].reshape(-1, size) ** 2, axis=1)
    loud = np.flatnonzero(frames > frames.max() * 1e-4)
    pause = round(PAUSE_S * RATE)
    padded = np.pad(x, pause)
    return padded[loud[0] * size : (loud[-1] + 1) * size + 2 * pause]


def noise_files(audio: Path) -> dict[Path, tuple[str, str]]:
    """Give {file: (set, noise_type)} of all noises that are made by rule."""
    return {
        audio / "noise" / set_ / f"{noise_type}-{number:02d}.wav": (set_, noise_type)
        for set_, (types, count) in NOISES.items()
        for noise_type in types
        for number in range(1, count + 1)
    }


def make_noise(path: Path, set_: str, noise_type: str, seed: int) -> np.ndarray:
    """Give the samples of one of `noise_files`."""
    rng = utterance_rng(seed, f"{set_} {path.stem}")
    x = NOISES[set_][0][noise_type](NOISE_S * RATE, rng)
    if int(path.stem.rpartition("-")[2]) > AS_MADE:
        x = elsewhere(x, rng)
    # Knocks have high peaks: rather a lower level than clipped ones, the mixer sets the level anyway.
    return x * min(np.sqrt(NOISE_POWER / power(x)), 0.99 / np.abs(x).max())


def corruptions(
    audio: Path, script: list[Utterance], seed: int, noise_dir: Path | None, rir_dir: Path | None, rir_prob: float
) -> dict[str, Corruption]:
    """Give the mixer of each set. With synthesised noises, voices of train babble in train and dev."""
    noises = split_recordings(noise_dir or audio / "noise", by_type=True)
    rirs = split_recordings(rir_dir, by_type=False) if rir_dir else {}
    speaker_of = {utterance.utt: utterance.voice.speaker for utterance in script}
    voices = Recordings({u.utt: str(audio / "speech" / "train" / f"{u.utt}.wav") for u in script if u.set == "train"})
    return {
        set_: Corruption(
            Recordings({u.utt: str(audio / "speech" / set_ / f"{u.utt}.wav") for u in script if u.set == set_}),
            speaker_of,
            Recordings(noises[set_]),
            SNRS[set_],
            seed,
            rirs=Recordings(rirs[set_]) if rirs else None,
            rir_prob=rir_prob,
            voices=voices if set_ != "test" and noise_dir is None else None,
        )
        for set_ in SNRS
    }


def pair(audio: Path, utterance: Utterance) -> dict[str, Path]:
    """Where the clean and the noisy wav of an utterance are."""
    return {side: audio / utterance.set / side / f"{utterance.utt}.wav" for side in ("clean", "noisy")}


def write_sets(data: Path, audio: Path, script: list[Utterance], mixers: Mapping[str, Corruption]) -> None:
    """Write data/SET_{clean,noisy}, data/lang and audio/manifest, and log the sizes.

    The manifest has a line `SET_SIDE UTT SHA256-OF-16-BIT-SAMPLES TEXT` for each wav, sorted.
    """
    lexicon = read_lexicon(LEXICON)
    manifest: list[str] = []
    for set_, mixer in mixers.items():
        utterances = [utterance for utterance in script if utterance.set == set_]
        draws = {u.utt: mixer.draw(u.utt) for u in utterances}
        common = {
            "text": {u.utt: u.text for u in utterances},
            "text.phn": {u.utt: " ".join(to_phones(u.text.split(), lexicon)) for u in utterances},
            "utt2spk": {u.utt: u.voice.speaker for u in utterances},
            "spk2gender": {u.voice.speaker: u.voice.gender for u in utterances},
        }
        extra = {
            "utt2snr": {utt: f"{draw.snr:g}" for utt, draw in draws.items()},
            "utt2noise": {utt: draw.noise_type for utt, draw in draws.items()},
        }
        if mixer.rirs:
            extra["utt2room"] = {utt: draw.rir or "none" for utt, draw in draws.items()}
        seconds = 0.0
        for side in ("clean", "noisy"):
            wavs = {u.utt: pair(audio, u)[side] for u in utterances}
            durations = {}
            for u in utterances:
                samples, rate = soundfile.read(wavs[u.utt], dtype="int16")
                durations[u.utt] = f"{len(samples) / rate:.4f}"
                seconds += len(samples) / rate / 2  # both sides are as long
                manifest.append(f"{set_}_{side} {u.utt} {hashlib.sha256(samples.tobytes()).hexdigest()} {u.text}\n")
            tables = common | {"wav.scp": {utt: stored(path) for utt, path in wavs.items()}, "utt2dur": durations}
            write_data_dir(data / f"{set_}_{side}", tables | (extra if side == "noisy" else {}))
        voices = len(common["spk2gender"])
        log.info("%s: %d utterances, %d voices, %.1f minutes", set_, len(utterances), voices, seconds / 60)
    write_table(data / "lang" / "lexicon.txt", {word: " ".join(phones) for word, phones in lexicon.items()})
    write_table(data / "lang" / "phones.txt", {phone: "" for phones in lexicon.values() for phone in phones})
    with replace(audio / "manifest") as f:
        f.writelines(sorted(manifest))


def write_audio(path: Path, x: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_wav(path, x)
