"""The one mixer of the project: speech, a room, noise at a signal-to-noise ratio, and the clean target that fits.

Signals are float32 (samples,), full scale 1; sums are made in float64, so that the result is the same on every
machine. Nothing here reads files: see corruption.py for that.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RATE = 16000
FRAME_S = 0.02
ACTIVE_RANGE_DB = 25.0
CROSSFADE_S = 0.05
PEAK = 0.99  # of full scale: what the loudest sample of a mixture may reach
# A crop of a noise this far (power) below its whole is one of its pauses and would be blown up to the wanted SNR.
PAUSE = 0.01
DRAWS = 20


def utterance_rng(seed: int, utt: str) -> np.random.Generator:
    """Random numbers that depend on the seed and the utterance only: not on order, number of jobs or machine."""
    digest = hashlib.sha256(f"{seed} {utt}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def power(x: np.ndarray) -> float:
    """Mean square of all samples, pauses included."""
    return float(np.mean(np.square(x, dtype=np.float64))) if len(x) else 0.0


def active_power(x: np.ndarray, rate: int = RATE) -> float:
    """Mean power of the active frames: those at most 25 dB below this very mean.

    Frames are 20 ms without overlap, a last shorter one is left out. The mean is found by starting with all frames and
    dropping quiet ones until none is left to drop. On read speech this is within 0.4 dB (standard deviation 0.35)
    of the active speech level of ITU-T P.56. Pauses at the ends or inside do not change it. Silence gives 0.
    """
    size = round(FRAME_S * rate)
    if len(x) < size:
        return power(x)
    frames = x[: len(x) // size * size].reshape(-1, size).astype(np.float64)  # (frames, size)
    frame_power = np.mean(frames**2, axis=1)  # (frames,)
    level = -1.0
    while True:
        mean = float(frame_power.mean())
        if mean == level:
            return mean
        level = mean
        frame_power = frame_power[frame_power >= level * 10 ** (-ACTIVE_RANGE_DB / 10)]


def scale_to_snr(
    speech: np.ndarray, noise: np.ndarray, snr: float, rate: int = RATE, active: bool = True
) -> np.ndarray:
    """Scale `noise` (samples,) so that speech over noise is `snr` dB.

    The power of the speech is that of its active frames (`active_power`), or with `active=False` that of all its
    samples; the power of the noise is always that of all samples. Raises ValueError where one of them is silent.
    """
    wanted = active_power(speech, rate) if active else power(speech)
    have = power(noise)
    if not wanted > 0:
        raise ValueError("the speech is silent")
    if not have > 0:
        raise ValueError("the noise is silent")
    return (noise * np.sqrt(wanted / (have * 10 ** (snr / 10)))).astype(np.float32)


def fit_length(noise: np.ndarray, length: int, rng: np.random.Generator, rate: int = RATE) -> np.ndarray:
    """Give `length` samples of a noise, from a random place; a shorter noise goes round in a loop.

    The ends of the loop are crossfaded over 50 ms at constant power (less for very short noises). Of a longer noise a
    piece is drawn again when it falls into a pause; after 20 draws the loudest piece is taken.
    Raises ValueError for a silent noise.
    """
    total = power(noise)
    if not total > 0:
        raise ValueError("the noise is silent")
    if len(noise) < length:
        fade = min(round(CROSSFADE_S * rate), len(noise) // 4)
        angle = (np.arange(fade) + 0.5) / max(fade, 1) * np.pi / 2
        loop = noise[: len(noise) - fade].astype(np.float64)
        loop[:fade] = loop[:fade] * np.sin(angle) + noise[len(noise) - fade :] * np.cos(angle)
        start = int(rng.integers(len(loop)))
        return loop[(start + np.arange(length)) % len(loop)].astype(np.float32)
    last = len(noise) - length
    for _ in range(DRAWS):
        start = int(rng.integers(last + 1))
        piece = noise[start : start + length]
        if power(piece) >= PAUSE * total:
            return piece
    energy = np.concatenate([[0.0], np.cumsum(np.square(noise, dtype=np.float64))])
    start = int(np.argmax(energy[length:] - energy[: last + 1]))
    return noise[start : start + length]


def babble(voices: Sequence[np.ndarray], length: int, rng: np.random.Generator, rate: int = RATE) -> np.ndarray:
    """Sum speech of several people, equally loud (active power), each from a random place: `length` samples."""
    total = np.zeros(length)
    for voice in voices:
        total += fit_length(voice, length, rng, rate) / np.sqrt(active_power(voice, rate))
    return (total / max(len(voices), 1)).astype(np.float32)


def reverberate(speech: np.ndarray, rir: np.ndarray) -> np.ndarray:
    """Put speech into a room: same length, same energy, not delayed.

    The direct path, the largest |h|, is moved to time 0 and made positive, so that the dry speech stays the aligned
    target. Raises ValueError for an impulse response without energy.
    """
    from scipy.signal import fftconvolve  # here, because it takes a second to load

    direct = int(np.argmax(np.abs(rir)))
    if not abs(rir[direct]) > 0:
        raise ValueError("the room impulse response is silent")
    wet = fftconvolve(speech.astype(np.float64), rir.astype(np.float64))[direct : direct + len(speech)]
    gain = np.sqrt(power(speech) / max(power(wet), np.finfo(np.float64).tiny))
    return (wet * gain * np.sign(rir[direct])).astype(np.float32)


@dataclass(frozen=True)
class Mixture:
    """Noisy speech, its clean target (both (samples,) float32) and the gain that the clip guard gave to both."""

    noisy: np.ndarray
    target: np.ndarray
    gain: float


def mix(
    speech: np.ndarray,
    noise: np.ndarray,
    snr: float,
    rir: np.ndarray | None = None,
    rate: int = RATE,
    active: bool = True,
) -> Mixture:
    """Add noise of the same length to speech at `snr` dB; with `rir`, to the speech as it sounds in that room.

    The target is the dry speech. Where the sum would pass 0.99 of full scale, speech, noise and target are all
    scaled by the same gain below 1, so that the SNR holds and a model need not learn a gain.
    Raises ValueError where lengths differ or a signal is silent.
    """
    if len(speech) != len(noise):
        raise ValueError(f"speech has {len(speech)} samples, noise {len(noise)}")
    heard = speech if rir is None else reverberate(speech, rir)
    noisy = heard.astype(np.float64) + scale_to_snr(heard, noise, snr, rate, active)
    loudest = max(np.abs(noisy).max(), np.abs(speech).max())
    gain = min(1.0, PEAK / loudest)
    return Mixture((noisy * gain).astype(np.float32), (speech * gain).astype(np.float32), float(gain))
