"""Noises of test only, none of which sounds like those of train: signatures as in noises_train.py."""

import numpy as np
from noises_train import RATE, band, pink, slow, unit, white


def siren(n: int, rng: np.random.Generator) -> np.ndarray:
    """A siren: a tone with overtones that sweeps up and down, or jumps, between two pitches."""
    low = rng.uniform(450, 800)
    swing = np.sin(2 * np.pi * (rng.uniform(0.2, 3) * np.arange(n) / RATE + rng.random()))
    if rng.random() < 0.4:
        swing = np.tanh(8 * swing)  # two tones
    pitch = low * rng.uniform(1.5, 2.5) ** (0.5 + 0.5 * swing)
    turns = np.cumsum(pitch) / RATE
    tone = sum(np.sin(2 * np.pi * k * turns) / k**1.2 for k in range(1, 5))
    echo = np.concatenate([np.zeros(2400), tone[:-2400]])
    return unit(tone + 0.3 * echo) + 0.03 * pink(n, rng)


def rain(n: int, rng: np.random.Generator) -> np.ndarray:
    """Rain: thousands of drops, each a few milliseconds of one high band, over a hiss that swells slowly."""
    total = np.zeros(n)
    for low in (800, 1600, 3000, 5000):
        drops = np.zeros(n)
        where = rng.integers(0, n, int(rng.uniform(30, 150) * n / RATE))
        drops[where] = rng.standard_normal(len(where)) * np.exp(0.8 * rng.standard_normal(len(where)))
        total += unit(band(drops, low, low * 1.5))
    hiss = unit(band(white(n, rng), 1500, 7000))
    return unit(total) + rng.uniform(0.3, 0.7) * hiss * np.exp(0.4 * slow(n, rng, 0.7))


def wind(n: int, rng: np.random.Generator) -> np.ndarray:
    """Wind: gusts, in which a rumble, a rush and a whistle of wandering pitch grow and die."""
    gust = np.exp(1.1 * slow(n, rng, 1.2))
    rush = sum(unit(band(white(n, rng), f, f * 2.2)) * np.exp(0.6 * slow(n, rng, 1.5)) for f in (120, 300, 700))
    pitch = rng.uniform(500, 1100) * 2 ** (0.4 * slow(n, rng, 1.5))
    whistle = np.sin(2 * np.pi * np.cumsum(pitch) / RATE + 2 * slow(n, rng, 60)) * np.exp(0.8 * slow(n, rng, 2))
    return gust * (unit(rush) + rng.uniform(0.2, 0.6) * whistle)


NOISE_TYPES = {f.__name__: f for f in (siren, rain, wind)}
