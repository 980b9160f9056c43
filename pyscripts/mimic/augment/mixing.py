"""The one mixer of the project: speech, a room impulse response (RIR), noise at an SNR, and the target that fits.

Signals are float32 (samples,), full scale 1; sums are made in float64, so that the result is the same on every
machine. Nothing here reads files: recordings.py does.
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
BLOCK = 4096  # samples that a convolution takes at a time
TAIL = 1e-6  # of the energy of an impulse response: 60 dB, where reverberation counts as over


def utterance_rng(seed: int | str, utt: str) -> np.random.Generator:
    """Random numbers that depend on the seed and the utterance only: not on order, number of jobs or machine."""
    digest = hashlib.sha256(f"{seed} {utt}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def power(x: np.ndarray) -> float:
    """Mean square of all samples, pauses included."""
    x = x.astype(np.float64)
    # Not x @ x: for that BLAS starts threads, whose number changes the last digits and which wait for each other.
    return float(np.einsum("i,i->", x, x)) / len(x) if len(x) else 0.0


def loudest(*signals: np.ndarray) -> float:
    """The largest magnitude of a sample in any of them."""
    return max(float(max(x.max(), -x.min())) for x in signals)


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
    # (frames,): as np.vecdot, which numpy 1.26 lacks, the one that packages in benchmarks/.venv ask for
    frame_power = (frames[:, None] @ frames[:, :, None])[:, 0, 0] / size
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


def fit_length(
    noise: np.ndarray, length: int, rng: np.random.Generator, rate: int = RATE, total: float | None = None
) -> np.ndarray:
    """Give `length` samples of a noise, from a random place; a shorter noise goes round in a loop.

    The ends of the loop are crossfaded over 50 ms at constant power (less for very short noises). Of a longer noise a
    piece is drawn again when it falls into a pause; after 20 draws the loudest piece is taken. `total`: the power of
    the noise, where it is known. Raises ValueError for a silent noise.
    """
    total = power(noise) if total is None else total
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


class Rir:
    """A room impulse response (samples,), with the spectrum that convolution with it takes.

    What lies more than 60 dB below the whole at its ends is left out. Raises ValueError for one without energy.
    early: samples after the direct path that a target has too; 0: the target is the speech without reverberation.
    align: the direct path, the largest |h|, is moved to time 0 and made positive; False: the response as it is.
    """

    def __init__(self, rir: np.ndarray, early: int = 0, align: bool = True) -> None:
        energy = np.cumsum(np.square(rir, dtype=np.float64))
        if not energy[-1] > 0:
            raise ValueError("the room impulse response is silent")
        first, last = np.searchsorted(energy, energy[-1] * np.array([TAIL, 1 - TAIL]))
        rir = rir[first if align else 0 : last + 1]
        direct = int(np.argmax(np.abs(rir)))
        if align:
            rir = rir * np.sign(rir[direct])
        self.start = direct if align else 0  # the sample that becomes time 0
        self.spectra = _spectra(rir)  # (pieces, bins)
        self.early = Rir(rir[: direct + early + 1], align=align) if early else None

    def convolve(self, x: np.ndarray, samples: int) -> np.ndarray:
        """The first `samples` samples of the convolution, by overlap-add of short transforms, which stay in the cache.

        Both signals are in pieces; a piece of one with a piece of the other falls on the place of both together.
        """
        blocks, places = _spectra(x), -(-samples // BLOCK)
        total, product = np.empty((places, BLOCK + 1), np.complex64), np.empty_like(blocks)
        first = min(len(blocks), places)
        np.multiply(blocks[:first], self.spectra[0], out=total[:first])
        total[first:] = 0
        for piece, spectrum in enumerate(self.spectra[1:places], 1):
            fitting = min(len(blocks), places - piece)
            np.multiply(blocks[:fitting], spectrum, out=product[:fitting])
            total[piece : piece + fitting] += product[:fitting]
        from scipy.fft import irfft  # here, because it takes half a second to load

        parts = irfft(total, 2 * BLOCK)  # (places, 2 * BLOCK)
        out = parts[:, :BLOCK].copy()
        out[1:] += parts[:-1, BLOCK:]
        return out.reshape(-1)[:samples]


def _spectra(x: np.ndarray) -> np.ndarray:
    """Of the pieces of a signal, each with as much silence after it: (pieces, bins)."""
    from scipy.fft import rfft

    whole = len(x) // BLOCK
    pieces = np.zeros((-(-len(x) // BLOCK), 2 * BLOCK), np.float32)  # padded here: in rfft it takes as long again
    pieces[:whole, :BLOCK] = x[: whole * BLOCK].reshape(whole, BLOCK)
    if whole < len(pieces):
        pieces[whole, : len(x) - whole * BLOCK] = x[whole * BLOCK :]
    return rfft(pieces)


def reverberate(speech: np.ndarray, rir: Rir) -> tuple[np.ndarray, np.ndarray]:
    """Reverberant speech and its target: the speech without reverberation, or with the early reflections only.

    Same length, same energy; not delayed by an aligned RIR (its direct path, the largest |h|, is moved to time 0 and
    made positive), so that the speech without it stays the aligned target.
    """
    wet = rir.convolve(speech, rir.start + len(speech))[rir.start :]
    before, after = power(speech), power(wet)
    if before > 0 and not after > 0:
        raise ValueError("the speech ends before the delay of the room impulse response does")
    gain = np.float32(np.sqrt(before / max(after, np.finfo(np.float64).tiny)))
    if rir.early is None:
        return wet * gain, speech
    early = rir.early
    return wet * gain, early.convolve(speech, early.start + len(speech))[early.start :] * gain


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
    rir: Rir | None = None,
    rate: int = RATE,
    active: bool = True,
) -> Mixture:
    """Add noise of the same length to speech at `snr` dB; with `rir`, to the reverberant speech.

    The target is the speech without reverberation, or with the early reflections, as `rir` has it. Where the sum would
    pass 0.99 of full scale, speech, noise and target are all scaled by the same gain below 1, so that the SNR
    holds and a model need not learn a gain.
    Raises ValueError where lengths differ or a signal is silent.
    """
    if len(speech) != len(noise):
        raise ValueError(f"speech has {len(speech)} samples, noise {len(noise)}")
    reverberant, speech = (speech, speech) if rir is None else reverberate(speech, rir)
    noisy = reverberant.astype(np.float64)
    noisy += scale_to_snr(reverberant, noise, snr, rate, active)
    gain = min(1.0, PEAK / loudest(noisy, speech))
    if gain < 1:
        noisy *= gain
        speech = speech * gain
    return Mixture(noisy.astype(np.float32), speech, gain)


def reverberant_mixture(speech: np.ndarray, rir: Rir) -> Mixture:
    """Reverberant speech without noise; target and level as of `mix`."""
    reverberant, speech = reverberate(speech, rir)
    gain = np.float32(min(1.0, PEAK / max(loudest(reverberant, speech), 1e-9)))
    return Mixture(reverberant * gain, speech * gain, float(gain))
