"""Noises of train and dev, made by rule: functions of (number of samples at 16 kHz, rng) to float64 (samples,).

The level means nothing; the one who writes or mixes them sets it.
"""

import numpy as np

RATE = 16000


def unit(x: np.ndarray) -> np.ndarray:
    """Scale to a power of 1."""
    return x / np.sqrt(np.mean(x**2))


def coloured(n: int, rng: np.random.Generator, exponent: float) -> np.ndarray:
    """Gaussian noise of power 1 that falls as 1 / f**exponent above 40 Hz."""
    f = np.fft.rfftfreq(n, 1 / RATE)
    spectrum = rng.standard_normal(len(f)) + 1j * rng.standard_normal(len(f))
    return unit(np.fft.irfft(spectrum * (f > 20) / np.maximum(f, 40.0) ** (exponent / 2), n))


def slow(n: int, rng: np.random.Generator, hz: float) -> np.ndarray:
    """A random curve around 0 that moves about `hz` times a second."""
    knots = rng.standard_normal(int(n * hz / RATE) + 2)
    return np.interp(np.arange(n) * hz / RATE, np.arange(len(knots)), knots)


def band(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Second-order band-pass between two frequencies in Hz."""
    from scipy.signal import butter, lfilter  # here, because it takes a second to load, and speaking needs none

    return lfilter(*butter(2, [low, high], "bandpass", fs=RATE), x)


def white(n: int, rng: np.random.Generator) -> np.ndarray:
    return coloured(n, rng, 0)


def pink(n: int, rng: np.random.Generator) -> np.ndarray:
    return coloured(n, rng, 1)


def brown(n: int, rng: np.random.Generator) -> np.ndarray:
    return coloured(n, rng, 2)


def hum(n: int, rng: np.random.Generator) -> np.ndarray:
    """Mains hum: 30 harmonics of about 50 or 60 Hz that swell a little, and hiss 25 dB below."""
    base = rng.choice([50.0, 60.0]) * rng.uniform(0.99, 1.01)
    order = np.arange(1, 31)[:, None]
    phase = 2 * np.pi * (order * base * np.arange(n) / RATE + rng.random((30, 1)))  # (harmonics, samples)
    weights = rng.uniform(0.3, 1, (30, 1)) / order**0.6
    return unit((weights * np.sin(phase)).sum(0)) * (1 + 0.1 * slow(n, rng, 2)) + 0.056 * pink(n, rng)


def machinery(n: int, rng: np.random.Generator) -> np.ndarray:
    """A motor: a whine with harmonics, and a band of noise that beats 6 to 25 times a second."""
    turns = np.cumsum(rng.uniform(90, 250) * (1 + 0.01 * slow(n, rng, 3))) / RATE
    whine = sum(rng.uniform(0.2, 1) / k * np.sin(2 * np.pi * k * turns) for k in range(1, 16))
    low = rng.uniform(200, 1500)
    beat = 0.5 + 0.5 * np.cos(2 * np.pi * rng.uniform(6, 25) * np.arange(n) / RATE)
    return unit(whine) * rng.uniform(0.3, 0.8) + unit(band(white(n, rng), low, low * 3)) * beat ** rng.uniform(1, 4)


def impulses(n: int, rng: np.random.Generator) -> np.ndarray:
    """Knocks and clacks, 3 to 10 a second: damped tones and damped bursts over a faint bed."""
    total = 0.02 * pink(n, rng)
    for _ in range(rng.poisson(rng.uniform(3, 10) * n / RATE)):
        start, decay = rng.integers(n), rng.uniform(0.004, 0.04) * RATE
        t = np.arange(min(n - start, int(8 * decay)))
        tone = np.sin(2 * np.pi * rng.uniform(300, 4000) * t / RATE)
        burst = rng.standard_normal(len(t))
        mix = rng.random()
        total[start : start + len(t)] += np.exp(rng.normal(0, 0.5) - t / decay) * (mix * tone + (1 - mix) * burst)
    return total


def music(n: int, rng: np.random.Generator) -> np.ndarray:
    """Plucked chords and a melody in a five-note scale, with a brush on each beat."""
    total = np.zeros(n)
    beat = int(RATE * 60 / rng.uniform(80, 150))
    scale = rng.uniform(110, 220) * 2 ** (np.array([0, 2, 4, 7, 9, 12, 14, 16, 19, 21, 24]) / 12)
    for start in range(0, n, beat // 2):
        t = np.arange(min(n - start, 2 * beat))
        on_beat = start // (beat // 2) % 2 == 0
        for note in rng.choice(scale, 3 if on_beat else 1, replace=False):
            decay = np.exp(-t / (rng.uniform(0.15, 0.6) * RATE))
            pluck = sum(np.sin(2 * np.pi * k * note * t / RATE) / k**1.5 for k in range(1, 9) if k * note < RATE / 2)
            total[start : start + len(t)] += decay * pluck
        if on_beat:
            brush = np.exp(-t / (0.03 * RATE)) * rng.standard_normal(len(t))
            total[start : start + len(t)] += 0.5 * np.diff(brush, prepend=0)
    return total


def elsewhere(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same noise through another microphone in another place: a smooth tone curve, and a level that comes and goes.

    The curve is drawn at octaves from 62 Hz to 8 kHz with a standard deviation of 8 dB, the level twice a second or
    less with up to 6 dB.
    """
    octaves = rng.normal(0, 8, 8)
    f = np.fft.rfftfreq(len(x), 1 / RATE)
    curve = np.interp(np.log2(np.maximum(f, 1.0)), np.log2(62.5) + np.arange(8), octaves)
    level = rng.uniform(0, 6) * slow(len(x), rng, rng.uniform(0.3, 2))
    return np.fft.irfft(np.fft.rfft(x) * 10 ** (curve / 20), len(x)) * 10 ** (level / 20)


NOISE_TYPES = {f.__name__: f for f in (white, pink, brown, hum, machinery, impulses, music)}
