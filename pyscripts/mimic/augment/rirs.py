"""Simulated room impulse responses (RIRs), by the image source method (pyroomacoustics)."""

from dataclasses import dataclass

import numpy as np

from mimic.augment.mixing import RATE, utterance_rng

SMALLEST, LARGEST = (3.0, 3.0, 2.3), (8.0, 6.0, 3.5)  # m
WALL = 0.5  # m, that talker and microphone are off every wall
NEAR, FAR = 0.5, 3.0  # m from one to the other


@dataclass(frozen=True)
class SimulatedRir:
    """An impulse response (samples,) at 16 kHz; its measured reverberation time in s, volume in m3, distance to the
    talker in m.
    """

    rir: np.ndarray
    rt60: float
    volume: float
    distance: float


def simulate(name: str, seed: int, shortest: float, longest: float) -> SimulatedRir:
    """The RIR of this name: of a box of random size, its reverberation time by Sabine's formula between `shortest` and
    `longest` s. What the image source method makes of it rings up to a quarter longer or shorter: that is measured.
    """
    import pyroomacoustics  # here, because only this needs it

    rng = utterance_rng(seed, name)
    size = rng.uniform(SMALLEST, LARGEST)
    rt60 = float(rng.uniform(shortest, longest))
    while True:
        talker, microphone = rng.uniform(WALL, size - WALL, (2, 3))
        distance = float(np.linalg.norm(talker - microphone))
        if NEAR <= distance <= FAR:
            break
    absorption, order = pyroomacoustics.inverse_sabine(rt60, size)
    material = pyroomacoustics.Material(absorption)
    box = pyroomacoustics.ShoeBox(size, RATE, materials=material, max_order=order)
    box.add_source(talker)
    box.add_microphone(microphone)
    box.compute_rir()
    rir = box.rir[0][0][: round((rt60 + 0.1) * RATE)]
    rir = (rir / np.abs(rir).max() / 2).astype(np.float32)
    return SimulatedRir(rir, reverberation_time(rir), float(size.prod()), distance)


def reverberation_time(rir: np.ndarray, rate: int = RATE) -> float:
    """RT60 in s of an impulse response (samples,): T30 of ISO 3382-1, a line through Schroeder's decay curve from -5 to
    -35 dB. The curve must fall that far, or it is NaN.
    """
    energy = np.cumsum(np.square(rir[::-1], dtype=np.float64))[::-1]
    decay = 10 * np.log10(energy[energy > 0] / energy[0])
    if not len(decay) or decay[-1] > -35:
        return float("nan")
    first, last = np.argmax(decay <= -5), np.argmax(decay <= -35)
    times = np.arange(first, last + 1) / rate
    return float(-60 / np.polyfit(times, decay[first : last + 1], 1)[0])
