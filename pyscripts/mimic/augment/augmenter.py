"""Noisy speech made while a network is trained: another mixture of each utterance in every epoch.

What an utterance gets depends on the seed, the epoch and its id alone: not on the order of utterances, on how many
threads make them, or on what was made before.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

import numpy as np
import soxr

from mimic.augment import mixing
from mimic.augment.effects import CODECS, band_limit, coded, drop_pieces, is_narrow, narrow, stretched
from mimic.augment.recordings import WHITE, Corruption, Draw
from mimic.errors import UserError
from mimic.settings import Count, CountOrZero, NotNegative, Range, Share

BAND_LOW, BAND_HIGH = (50.0, 400.0), (3000.0, 7000.0)  # Hz
CLIP = (0.3, 0.9)  # of the loudest sample
PROBABILITIES: tuple[str, ...] = ("rir_prob", "white_prob", "stretch_prob", "pitch_prob", "noise_prob", "hiss_prob")
PROBABILITIES += ("band_prob", "clip_prob", "clean_rir_prob", "narrow_prob", "codec_prob", "polarity_prob", "drop_prob")
Factor = Annotated[float, Range(0.5, 2)]  # of speed or pitch


@dataclass
class Augmentation:
    """What speech goes through; the target is the speech without RIR, noise, hiss, clipping, codec and missing pieces.

    Attributes:
        speeds: factors of speed and pitch, drawn evenly; none: as recorded.
        stretch_prob: share of utterances that get longer or shorter at the same pitch.
        stretch: slowest and fastest of these, drawn evenly.
        pitch_prob: share of utterances whose pitch is shifted at the same length.
        pitch: semitones up or down, at most.
        noise_prob: share of utterances that noise is mixed into.
        white_prob: share of these whose noise is white.
        rir_prob: share of these that are reverberant, by one of the RIRs, at their level.
        align_rirs: the direct path of an RIR is moved to time 0 and made positive, so that reverberant speech and its
            target stay aligned; false: RIRs as they are, with their delay, as in RobustDistiller.
        clean_rir_prob: share of the others, without noise, that do.
        snr: lowest and highest signal-to-noise ratio in dB, drawn evenly; of speech its active part counts.
        snr_step: dB; ratios are multiples of it; 0: any ratio.
        curriculum_epochs: epochs over which the lowest SNR falls from the highest one; 0: no curriculum.
        babble: other speakers of the training set are one more noise type.
        hiss_prob: share of utterances that get white noise, also those that got noise.
        hiss: its smallest and largest standard deviation, drawn evenly; full scale is 1.
        band_prob: share of mixtures that are limited to a band, from 50-400 Hz to 3-7 kHz, their targets too.
        gain_db: largest change of level of mixture and target, up or down.
        clip_prob: share of mixtures that are clipped, at 0.3 to 0.9 of their loudest sample.
        narrow_prob: share of mixtures without what lies above 4 kHz, as from a telephone, their targets too.
        codec_prob: share of mixtures that went through a lossy codec (mu-law, GSM, ADPCM, MP3, Opus, Vorbis); the
            targets of the telephone's have no more than 4 kHz either.
        polarity_prob: share of mixtures whose samples change their sign, their targets too.
        drop_prob: share of mixtures with dropped segments, as by packet loss; targets keep them.
        drop_count: most segments that are dropped; at least 1.
        drop_ms: shortest and longest of these; the defaults are those of SpeechBrain at 16 kHz.
        early_ms: part of an RIR after the direct path that the target keeps; 0: anechoic speech.
        concat_original: each batch has its utterances a second time as they were: a recogniser's features as stored,
            an enhancer's targets as input; batches are twice as large as batch_size and max_frames say.
    """

    speeds: list[Factor] = field(default_factory=list)
    stretch_prob: Share = 0.0
    stretch: list[Factor] = field(default_factory=lambda: [0.8, 1.25])
    pitch_prob: Share = 0.0
    pitch: Annotated[float, Range(0, 12)] = 4.0
    noise_prob: Share = 0.0
    white_prob: Share = 0.0
    rir_prob: Share = 0.5
    align_rirs: bool = True
    clean_rir_prob: Share = 0.0
    snr: list[Annotated[float, Range(-100, 100)]] = field(default_factory=lambda: [0.0, 15.0])
    snr_step: NotNegative = 0.0
    curriculum_epochs: CountOrZero = 0
    babble: bool = True
    hiss_prob: Share = 0.0
    hiss: list[Share] = field(default_factory=lambda: [0.001, 0.015])
    band_prob: Share = 0.0
    gain_db: Annotated[float, Range(0, 100)] = 0.0
    clip_prob: Share = 0.0
    narrow_prob: Share = 0.0
    codec_prob: Share = 0.0
    polarity_prob: Share = 0.0
    drop_prob: Share = 0.0
    drop_count: Count = 10
    drop_ms: list[NotNegative] = field(default_factory=lambda: [6.25, 62.5])
    early_ms: NotNegative = 0.0
    concat_original: bool = False

    @property
    def active(self) -> bool:
        """Whether anything is done at all."""
        return bool(self.speeds or self.gain_db or any(getattr(self, name) for name in PROBABILITIES[2:]))

    def check(self) -> str:
        """What does not fit, see `mimic.settings.build`."""
        examples = {"snr": "[0, 15]", "stretch": "[0.8, 1.25]", "hiss": "[0.001, 0.015]", "drop_ms": "[6, 60]"}
        for name, example in examples.items():
            pair = getattr(self, name)
            if len(pair) != 2 or pair[0] > pair[1]:
                return f"{name} {pair}: expected the lowest and the highest, e.g. {example}"
        return (
            "concat_original: nothing is augmented, so leave it out" if self.concat_original and not self.active else ""
        )


@dataclass
class AugmentConfig(Augmentation):
    """What an enhancer learns from: all of the speech is noisy.

    Attributes:
        crop_s: longest piece of an utterance that is taken, in seconds, from a random place; 0: all of it.
    """

    crop_s: NotNegative = 0.0
    noise_prob: Share = 1.0


@dataclass(frozen=True)
class Plan:
    """What was drawn for an utterance in an epoch.

    Factor of speed and pitch, noise or None, a band in Hz or None, a gain in dB, 1 for an unclipped mixture; factors of
    speed alone and of pitch alone, the standard deviation of hiss; a codec or none, 4 kHz only; -1 for the other
    polarity, the pieces that are missing (see `drop_pieces`).
    """

    speed: float
    draw: Draw | None
    band: tuple[float, float] | None
    gain: float
    clip: float
    stretch: float = 1.0
    pitch: float = 1.0
    hiss: float = 0.0
    codec: str = ""
    narrow: bool = False
    sign: float = 1.0
    drops: tuple[tuple[float, float], ...] = ()


class Augmenter:
    """Makes mixtures of the utterances of `speech` ({utterance: samples} at `rate` Hz, which may read files).

    noises, rirs: recordings by name, or None. speaker_of: utterance id to speaker.
    Raises UserError where noise is to be mixed in and there is none.
    """

    def __init__(
        self,
        speech: Mapping[str, np.ndarray],
        speaker_of: Mapping[str, str],
        noises: Mapping[str, np.ndarray] | None,
        config: Augmentation,
        seed: int,
        rirs: Mapping[str, np.ndarray] | None = None,
        rate: int = mixing.RATE,
    ) -> None:
        self.speech, self.config, self.seed, self.rate = speech, config, seed, rate
        self.crop = getattr(config, "crop_s", 0.0) * rate
        self.mixer = None
        if config.noise_prob > 0 or config.clean_rir_prob > 0:
            voices = speech if config.babble else None
            prob = config.rir_prob
            early, align = config.early_ms / 1000, config.align_rirs
            self.mixer = Corruption(
                speech, speaker_of, noises or {}, (), seed, rirs, prob, voices, True, rate, early, align
            )

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
        snr = float(rng.uniform(self.lowest_snr(epoch), c.snr[1] + c.snr_step))
        if c.snr_step:
            snr = min(c.snr[1], math.floor(snr / c.snr_step) * c.snr_step)
        draw = self.mixer.choose(utt, snr, rng) if self.mixer else None
        if c.white_prob and draw and rng.random() < c.white_prob:
            draw = replace(draw, noise_type=WHITE, noises=())
        if c.noise_prob < 1 and rng.random() >= c.noise_prob:
            draw = None
            if self.mixer and self.mixer.rirs and rng.random() < c.clean_rir_prob:
                draw = self.mixer.choose_rir(rng)
        stretch, pitch, hiss = 1.0, 1.0, 0.0
        if c.stretch_prob and rng.random() < c.stretch_prob:
            stretch = float(rng.uniform(c.stretch[0], c.stretch[1]))
        if c.pitch_prob and rng.random() < c.pitch_prob:
            pitch = float(2 ** (rng.uniform(-c.pitch, c.pitch) / 12))
        if c.hiss_prob and rng.random() < c.hiss_prob:
            hiss = float(rng.uniform(c.hiss[0], c.hiss[1]))
        codec, narrow = "", False
        if c.codec_prob and rng.random() < c.codec_prob:
            codec = sorted(CODECS)[rng.integers(len(CODECS))]
            narrow = is_narrow(codec)
        if c.narrow_prob and rng.random() < c.narrow_prob:
            narrow = True
        sign = -1.0 if c.polarity_prob and rng.random() < c.polarity_prob else 1.0
        drops: list[tuple[float, float]] = []
        if c.drop_prob and rng.random() < c.drop_prob:
            for _ in range(rng.integers(1, c.drop_count + 1)):
                drops.append((float(rng.random()), float(rng.uniform(c.drop_ms[0], c.drop_ms[1])) / 1000))
        return Plan(speed, draw, band, gain, clip, stretch, pitch, hiss, codec, narrow, sign, tuple(drops))

    def batch(self, utterances: Sequence[str], epoch: int) -> list[mixing.Mixture]:
        """Mixtures of these utterances, with `concat_original` their targets after them as both sides of a mixture."""
        mixtures = [self(utt, epoch) for utt in utterances]
        if self.config.concat_original:
            mixtures += [replace(mixture, noisy=mixture.target) for mixture in mixtures]
        return mixtures

    def __call__(self, utt: str, epoch: int) -> mixing.Mixture:
        """Noisy and target, equally long, with the gain that both got.

        Raises UserError naming the utterance where a signal is missing, broken or silent.
        """
        rng = mixing.utterance_rng(f"{self.seed} epoch {epoch}", utt)
        plan = self._plan(utt, epoch, rng)
        speech = self.speech[utt]
        size = round(self.crop * plan.speed * plan.stretch)
        try:
            if 0 < size < len(speech):
                speech = mixing.fit_length(speech, size, rng, self.rate)
        except ValueError:
            raise UserError(f"{utt}: is silent: remove it from the training set") from None
        if plan.stretch != plan.pitch:
            speech = stretched(speech, plan.stretch / plan.pitch)
        if plan.speed * plan.pitch != 1:
            speech = soxr.resample(speech, plan.speed * plan.pitch * self.rate, self.rate, quality="MQ")
        mixture = mixing.Mixture(speech, speech, 1.0)
        if self.mixer and plan.draw:
            mixture = self.mixer.mix(utt, speech, plan.draw, rng)
        sides = np.stack([mixture.noisy, mixture.target])  # (2, samples)
        if plan.hiss:
            sides[0] += np.float32(plan.hiss) * rng.standard_normal(sides.shape[1], dtype=np.float32)
        if plan.band is not None:
            sides = band_limit(sides, *plan.band, self.rate)
        peaks = [mixing.loudest(side) for side in sides]
        gain = min(10 ** (plan.gain / 20), mixing.PEAK / max(*peaks, 1e-9))
        sides *= np.float32(gain)
        if plan.clip < 1:
            limit = np.float32(plan.clip) * (np.float32(peaks[0]) * np.float32(gain))
            np.clip(sides[0], -limit, limit, out=sides[0])
        if plan.narrow:
            sides = np.stack([narrow(side, self.rate) for side in sides])
        if plan.codec:
            sides[0] = coded(sides[0], plan.codec, self.rate)
        if plan.sign < 0:
            sides = -sides
        if plan.drops:
            sides[0] = drop_pieces(sides[0], plan.drops, self.rate)
        return mixing.Mixture(sides[0], sides[1], mixture.gain * gain)
