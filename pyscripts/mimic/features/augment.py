"""Noisy speech made while a network is trained: another mixture of each utterance in every epoch.

What an utterance gets depends on the seed, the epoch and its id alone: not on the order of utterances, on how many
threads make them, or on what was made before.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import soxr

from mimic.errors import UserError
from mimic.features import mixing
from mimic.features.corruption import Corruption, Draw

BAND_LOW, BAND_HIGH = (50.0, 400.0), (3000.0, 7000.0)  # Hz
CLIP = (0.3, 0.9)  # of the loudest sample


@dataclass
class AugmentConfig:
    """What clean speech goes through, in this order; the target is the speech without room, noise and clipping.

    Attributes:
        crop_s: longest piece of an utterance that is taken, in seconds, from a random place; 0: all of it.
        speeds: factors of speed and pitch, drawn evenly; none: as recorded.
        room_prob: share of utterances that sound as in one of the rooms, at their level, the direct path aligned.
        snr: lowest and highest signal-to-noise ratio in dB, drawn evenly; of speech its active part counts.
        curriculum_epochs: over so many epochs the lowest SNR comes down from the highest one; 0: from the beginning.
        babble: other speakers of the training set are one more kind of noise.
        band_prob: share of mixtures that are limited to a band, from 50-400 Hz to 3-7 kHz, their targets too.
        gain_db: mixture and target get louder or softer by up to so much.
        clip_prob: share of mixtures that are clipped, at 0.3 to 0.9 of their loudest sample.
    """

    crop_s: float = 0.0
    speeds: list[float] = field(default_factory=list)
    room_prob: float = 0.5
    snr: list[float] = field(default_factory=lambda: [0.0, 15.0])
    curriculum_epochs: int = 0
    babble: bool = True
    band_prob: float = 0.0
    gain_db: float = 0.0
    clip_prob: float = 0.0


@dataclass(frozen=True)
class Plan:
    """What was drawn for an utterance in an epoch; a band in Hz or None, a gain in dB, 1 for an unclipped mixture."""

    speed: float
    draw: Draw
    band: tuple[float, float] | None
    gain: float
    clip: float


class Augmenter:
    """Makes mixtures of the utterances of `speech` ({utterance: samples} at 16 kHz, which may read files).

    noises, rooms: recordings by name, or None. speaker_of: utterance id to speaker.
    Raises UserError for settings that make no sense.
    """

    def __init__(
        self,
        speech: Mapping[str, np.ndarray],
        speaker_of: Mapping[str, str],
        noises: Mapping[str, np.ndarray] | None,
        config: AugmentConfig,
        seed: int,
        rooms: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        check(config)
        self.speech, self.config, self.seed = speech, config, seed
        voices = speech if config.babble else None
        self.mixer = Corruption(speech, speaker_of, noises or {}, (), seed, rooms, config.room_prob, voices)

    def lowest_snr(self, epoch: int) -> float:
        """dB, in an epoch (from 1)."""
        low, high = self.config.snr
        return high - (high - low) * min(1.0, epoch / max(1, self.config.curriculum_epochs))

    def plan(self, utt: str, epoch: int) -> Plan:
        """Decide what the utterance gets; no audio is read."""
        return self._plan(utt, epoch, mixing.utterance_rng(f"{self.seed} epoch {epoch}", utt))

    def _plan(self, utt: str, epoch: int, rng: np.random.Generator) -> Plan:
        c = self.config
        speed = c.speeds[rng.integers(len(c.speeds))] if c.speeds else 1.0
        band = None
        if rng.random() < c.band_prob:
            band = (float(rng.uniform(*BAND_LOW)), float(rng.uniform(*BAND_HIGH)))
        gain = float(rng.uniform(-c.gain_db, c.gain_db))
        clip = float(rng.uniform(*CLIP)) if rng.random() < c.clip_prob else 1.0
        snr = float(rng.uniform(self.lowest_snr(epoch), c.snr[1]))
        return Plan(speed, self.mixer.choose(utt, snr, rng), band, gain, clip)

    def __call__(self, utt: str, epoch: int) -> mixing.Mixture:
        """Noisy and target, equally long, with the gain that both got.

        Raises UserError naming the utterance where a signal is missing, broken or silent.
        """
        rng = mixing.utterance_rng(f"{self.seed} epoch {epoch}", utt)
        plan = self._plan(utt, epoch, rng)
        speech = self.speech[utt]
        size = round(self.config.crop_s * plan.speed * mixing.RATE)
        try:
            if 0 < size < len(speech):
                speech = mixing.fit_length(speech, size, rng)
        except ValueError:
            raise UserError(f"{utt}: is silent: remove it from the training set") from None
        if plan.speed != 1:
            speech = soxr.resample(speech, plan.speed * mixing.RATE, mixing.RATE, quality="MQ")
        mixture = self.mixer.mix(utt, speech, plan.draw, rng)
        sides = np.stack([mixture.noisy, mixture.target])  # (2, samples)
        if plan.band is not None:
            sides = band_limit(sides, *plan.band)
        loudest = float(max(sides.max(), -sides.min(), 1e-9))
        gain = min(10 ** (plan.gain / 20), mixing.PEAK / loudest)
        sides *= np.float32(gain)
        if plan.clip < 1:
            limit = np.float32(plan.clip) * max(sides[0].max(), -sides[0].min())
            np.clip(sides[0], -limit, limit, out=sides[0])
        return mixing.Mixture(sides[0], sides[1], mixture.gain * gain)


def check(config: AugmentConfig) -> None:
    """Raises UserError for settings that make no sense."""
    if len(config.snr) != 2 or config.snr[0] > config.snr[1]:
        raise UserError(f"augment.snr {config.snr}: expected the lowest and the highest, e.g. [0, 15]")
    if not all(0.5 <= speed <= 2 for speed in config.speeds):
        raise UserError(f"augment.speeds {config.speeds}: expected factors from 0.5 to 2, e.g. [0.9, 1.0, 1.1]")
    for name in ("room_prob", "band_prob", "clip_prob"):
        if not 0 <= getattr(config, name) <= 1:
            raise UserError(f"augment.{name} {getattr(config, name)}: expected a share from 0 to 1")
    for name in ("crop_s", "gain_db", "curriculum_epochs"):
        if getattr(config, name) < 0:
            raise UserError(f"augment.{name} {getattr(config, name)}: expected 0 or more")


def band_limit(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Keep the band from `low` to `high` Hz of float32 signals (..., samples) at 16 kHz: 12 dB per octave outside.

    Butterworth filters of second order, one after the other, by the bilinear transform.
    """
    from scipy.signal import sosfilt  # here, because it takes a second to load

    sections = []
    for hz, sign in ((low, -1), (high, 1)):
        w = 2 * np.pi * hz / mixing.RATE
        alpha, edge = np.sin(w) / np.sqrt(2), (1 - sign * np.cos(w)) / 2
        numerator = np.array([edge, 2 * sign * edge, edge])
        sections.append([*(numerator / (1 + alpha)), 1, -2 * np.cos(w) / (1 + alpha), (1 - alpha) / (1 + alpha)])
    return sosfilt(np.array(sections, np.float32), x)
