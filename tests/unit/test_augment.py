"""Noisy speech made while training: SNR, levels, alignment, and that nothing depends on order or threads."""

import random
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from mimic.augment import mixing
from mimic.augment.augmenter import Augmentation, AugmentConfig, Augmenter
from mimic.augment.effects import band_limit
from mimic.augment.recordings import Recordings
from mimic.errors import UserError
from mimic.io.batching import prefetch
from mimic.io.recording import write_wav
from mimic.settings import build

RATE = mixing.RATE


def speech_of(i: int) -> np.ndarray:
    rng = np.random.default_rng(i)
    t = np.arange(int(RATE * (0.35 + 0.02 * (i % 7)))) / RATE
    voice = sum(np.sin(2 * np.pi * (110 + 9 * i) * k * t) / k for k in range(1, 6))
    return (0.08 * voice * np.clip(np.sin(2 * np.pi * 5 * t), 0.01, None) + 1e-4 * rng.standard_normal(len(t))).astype(
        np.float32
    )


SPEECH = {f"s{i % 8}-{i:02d}": speech_of(i) for i in range(40)}
SPEAKERS = {utt: utt[:2] for utt in SPEECH}
NOISES = {f"{kind}-{i}": np.random.default_rng(i).normal(0, 0.05, 9000).astype(np.float32)
          for kind in ("fan", "rain") for i in range(3)}  # fmt: skip


@cache
def rirs() -> dict[str, np.ndarray]:
    found = {}
    for i in range(3):
        rir = 0.03 * np.random.default_rng(i).standard_normal(2500) * np.exp(-np.arange(2500) / 500)
        rir[40 * i] = 1.0 + i
        found[f"r{i}"] = rir.astype(np.float32)
    return found


def augmenter(seed: int = 1, **options) -> Augmenter:
    return Augmenter(SPEECH, SPEAKERS, NOISES, AugmentConfig(**options), seed, rirs())


def test_a_thousand_mixtures_have_the_snr_that_was_drawn():
    augment, snrs = augmenter(rir_prob=0.5, gain_db=6.0), []
    for epoch in range(1, 26):
        for utt in SPEECH:
            mixture, draw = augment(utt, epoch), augment.plan(utt, epoch).draw
            reverberant = mixture.target
            if draw.rir:
                reverberant = mixing.reverberate(reverberant, augment.mixer._rir(draw.rir))[0]
            noise = mixture.noisy - reverberant
            snrs.append((draw.snr, 10 * np.log10(mixing.active_power(reverberant) / mixing.power(noise))))
            gain = np.dot(mixture.target, SPEECH[utt]) / np.dot(SPEECH[utt], SPEECH[utt])
            np.testing.assert_allclose(mixture.target, gain * SPEECH[utt], atol=1e-6)  # scaled as the speech was
            assert np.abs(mixture.noisy).max() < 1
    asked, found = np.transpose(snrs)
    assert len(asked) == 1000 and np.abs(asked - found).max() < 0.1
    assert asked.min() < 1 and asked.max() > 14 and np.abs(np.mean(asked) - 7.5) < 0.5


def test_a_mixture_depends_on_seed_epoch_and_utterance_only():
    options = dict(speeds=[0.9, 1.0, 1.1], band_prob=0.5, gain_db=6.0, clip_prob=0.5, crop_s=0.3)
    expected = {(utt, e): augmenter(**options)(utt, e) for utt in list(SPEECH)[:12] for e in (1, 2)}
    again, order = augmenter(**options), list(expected)
    random.Random(3).shuffle(order)
    for key, mixture in zip(order, prefetch(lambda key: again(*key), order, workers=3), strict=True):
        np.testing.assert_array_equal(mixture.noisy, expected[key].noisy)
        np.testing.assert_array_equal(mixture.target, expected[key].target)
    one, two = augmenter(**options), augmenter(2, **options)
    utts = list(SPEECH)[:10]
    assert all(one.plan(utt, 1) != one.plan(utt, 2) and one.plan(utt, 1) != two.plan(utt, 1) for utt in utts)


def test_a_rir_keeps_level_and_time():
    draw = np.random.default_rng(8)
    speech = {utt: (0.05 * draw.standard_normal(6000)).astype(np.float32) for utt in list(SPEECH)[:10]}
    config = AugmentConfig(rir_prob=1.0, snr=[60.0, 60.0], babble=False)
    augment = Augmenter(speech, SPEAKERS, NOISES, config, 1, rirs())
    for utt in speech:
        mixture = augment(utt, 1)
        assert len(mixture.noisy) == 6000
        assert mixing.power(mixture.noisy) == pytest.approx(mixing.power(mixture.target), rel=0.05)
        lags = np.correlate(mixture.noisy, mixture.target[400:-400], "valid")
        assert int(np.argmax(lags)) == 400


def test_babble_is_of_other_speakers():
    augment = augmenter()
    draws = {utt: augment.plan(utt, 1).draw for utt in SPEECH}
    babbles = {utt: draw for utt, draw in draws.items() if draw.noise_type == "babble"}
    assert len(babbles) > 5
    assert all(utt[:2] not in {name[:2] for name in draw.noises} for utt, draw in babbles.items())
    with pytest.raises(UserError, match="babble needs more than 4 speakers"):
        Augmenter(SPEECH, dict.fromkeys(SPEECH, "one"), NOISES, AugmentConfig(), 1)
    with pytest.raises(UserError, match="no noises"):
        Augmenter(SPEECH, SPEAKERS, None, AugmentConfig(babble=False), 1)


def test_curriculum_widens_from_the_easiest():
    augment = augmenter(snr=[-5.0, 20.0], curriculum_epochs=5)
    assert [augment.lowest_snr(epoch) for epoch in (1, 3, 5, 9)] == [15.0, 5.0, -5.0, -5.0]
    for epoch, lowest in ((1, 15), (5, -5)):
        snrs = [augment.plan(utt, epoch).draw.snr for utt in SPEECH]
        assert lowest <= min(snrs) < lowest + 4 and max(snrs) <= 20


def test_a_quarter_each_is_clean_noisy_reverberant_and_both():
    """The draws of RobustDistiller: whole SNRs, files or white noise, and RIRs without noise."""
    options = {"noise_prob": 0.5, "white_prob": 0.3, "clean_rir_prob": 0.5, "snr": [0.0, 20.0], "snr_step": 1.0}
    augment = augmenter(**options, babble=False)
    draws = {(utt, epoch): augment.plan(utt, epoch).draw for utt in SPEECH for epoch in range(1, 51)}
    noisy = [draw for draw in draws.values() if draw and draw.noise_type != "quiet"]
    for part in (
        [draw for draw in draws.values() if draw is None],
        [draw for draw in draws.values() if draw and draw.noise_type == "quiet"],
        [draw for draw in noisy if draw.rir],
    ):
        assert len(part) / len(draws) == pytest.approx(0.25, abs=0.03)
    assert np.mean([draw.noise_type == "white" for draw in noisy]) == pytest.approx(0.3, abs=0.05)
    snrs, counts = np.unique([draw.snr for draw in noisy], return_counts=True)
    assert snrs.tolist() == list(range(21)) and counts.min() > 0.5 * counts.mean()
    kinds = {"white": 0, "quiet": 0, None: 0}
    for (utt, epoch), draw in list(draws.items())[:60]:
        kind = draw.noise_type if draw else None
        if kind not in kinds or (kind == "white" and draw.rir):
            continue
        kinds[kind] += 1
        mixture = augment(utt, epoch)
        noise = mixture.noisy - mixture.target
        if kind == "white":
            measured = 10 * np.log10(mixing.active_power(mixture.target) / mixing.power(noise))
            assert measured == pytest.approx(draw.snr, abs=0.1)
        elif kind == "quiet":
            reverberant = mixing.reverberate(mixture.target, augment.mixer._rir(draw.rir))[0]
            np.testing.assert_allclose(mixture.noisy, reverberant, atol=1e-4)
        else:
            assert not noise.any()
    assert min(kinds.values()) > 0


def test_speed_changes_length_and_pitch_and_crops_bound_it():
    for speed in (0.8, 1.25):
        mixture = augmenter(speeds=[speed], snr=[40.0, 40.0], rir_prob=0.0)("s0-00", 1)
        assert len(mixture.target) == pytest.approx(len(SPEECH["s0-00"]) / speed, abs=1)
        pitch = np.argmax(np.abs(np.fft.rfft(mixture.target, RATE)))
        assert pitch == pytest.approx(110 * speed, abs=6)
    lengths = {len(augmenter(speeds=[0.9, 1.1], crop_s=0.2)(utt, 1).noisy) for utt in SPEECH}
    assert max(lengths) - min(lengths) <= 2 and max(lengths) == pytest.approx(0.2 * RATE, abs=2)


def of_waveforms(rate: int = RATE, **options) -> Augmenter:
    return Augmenter(SPEECH, SPEAKERS, NOISES, Augmentation(**options), 1, rirs(), rate)


def pitch_of(x: np.ndarray) -> int:
    return int(np.argmax(np.abs(np.fft.rfft(x[1000:-1000], RATE))))


def test_stretching_keeps_the_pitch_and_pitch_shifting_the_length():
    utt = "s0-00"  # 110 Hz
    size = len(SPEECH[utt])
    for speed in (0.8, 1.25):
        x = of_waveforms(stretch_prob=1.0, stretch=[speed, speed])(utt, 1).noisy
        assert len(x) == round(size / speed) and pitch_of(x) == pytest.approx(110, abs=4)
    for epoch in range(1, 5):
        augment = of_waveforms(pitch_prob=1.0, pitch=12.0)
        x, factor = augment(utt, epoch).noisy, augment.plan(utt, epoch).pitch
        assert abs(len(x) - size) <= 2 and pitch_of(x) == pytest.approx(110 * factor, abs=6 * factor)
    both = of_waveforms(stretch_prob=1.0, stretch=[1.25, 1.25], speeds=[0.8])(utt, 1).noisy
    assert abs(len(both) - size) <= 2 and pitch_of(both) == pytest.approx(110 * 0.8, abs=4)


def test_each_share_of_the_utterances_is_what_was_asked_for():
    options = dict(stretch_prob=0.25, pitch_prob=0.5, noise_prob=0.75, hiss_prob=0.5, hiss=[0.01, 0.02])
    plans = [of_waveforms(**options).plan(utt, epoch) for utt in SPEECH for epoch in range(1, 11)]
    shares = [np.mean(x) for x in zip(*((p.stretch != 1, p.pitch != 1, p.draw is not None, p.hiss > 0) for p in plans),
                                      strict=True)]  # fmt: skip
    np.testing.assert_allclose(shares, [0.25, 0.5, 0.75, 0.5], atol=0.08)
    assert all(0.8 <= p.stretch <= 1.25 and 0.79 < p.pitch < 1.26 and p.hiss in (0, np.clip(p.hiss, 0.01, 0.02))
               for p in plans)  # fmt: skip
    hissing = of_waveforms(hiss_prob=1.0, hiss=[0.01, 0.01])("s0-00", 1)
    assert np.std(hissing.noisy - SPEECH["s0-00"]) == pytest.approx(0.01, rel=0.05)
    np.testing.assert_array_equal(hissing.target, SPEECH["s0-00"])
    assert not Augmentation().active and Augmentation(**options).active and Augmentation(speeds=[0.9]).active


def test_seconds_and_hertz_are_those_of_the_rate():
    for rate in (8000, 22050):
        t = np.arange(rate) / rate
        for hz, kept in ((30, 0), (1000, 1)):
            out = band_limit(np.sin(2 * np.pi * hz * t).astype(np.float32), 200, 3000, rate)
            assert mixing.power(out[2000:]) / 0.5 == pytest.approx(kept, abs=0.1)
        config = AugmentConfig(crop_s=0.1, noise_prob=0.0)
        assert len(Augmenter(SPEECH, SPEAKERS, None, config, 1, rate=rate)("s0-00", 1).noisy) == 0.1 * rate
        assert of_waveforms(rate, noise_prob=1.0).mixer.rate == rate


def test_band_limit_gain_and_clipping():
    t = np.arange(RATE) / RATE
    for hz, kept in ((30, 0), (1000, 1), (7500, 0)):
        out = band_limit(np.sin(2 * np.pi * hz * t).astype(np.float32), 200, 4000)
        assert mixing.power(out[2000:]) / 0.5 == pytest.approx(kept, abs=0.1)
    plain, louder = augmenter(), augmenter(gain_db=6.0)
    changes = [np.abs(louder(u, 1).target).max() / np.abs(plain(u, 1).target).max() for u in list(SPEECH)[:12]]
    assert min(changes) < 0.9 and max(changes) > 1.1
    clipped = augmenter(clip_prob=1.0)
    for augment, least, most in ((clipped, 60, 1e9), (augmenter(), 12, 12)):
        sides = [augment(utt, 1).noisy for utt in list(SPEECH)[:12]]
        assert least <= sum(np.sum(np.abs(x) == np.abs(x).max()) for x in sides) <= most


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (dict(snr=[5.0]), ": snr .5.0.: expected the lowest and the highest"),
        (dict(snr=[9.0, 3.0]), ": snr .9.0, 3.0.: expected the lowest and the highest"),
        (dict(speeds=[3.0]), ".speeds.0.: 3.0 is out of its range"),
        (dict(rir_prob=1.5), ".rir_prob: 1.5 is out of its range"),
        (dict(clip_prob=-0.1), ".clip_prob: -0.1 is out of its range"),
        (dict(gain_db=-1.0), ".gain_db: -1.0 is out of its range"),
        (dict(stretch=[1.2, 0.8]), ": stretch .1.2, 0.8.: expected the lowest and the highest"),
        (dict(stretch=[0.1, 0.8]), ".stretch.0.: 0.1 is out of its range"),
        (dict(pitch=13.0), ".pitch: 13.0 is out of its range"),
        (dict(hiss=[-0.1, 0.8]), ".hiss.0.: -0.1 is out of its range"),
        (dict(drop_ms=[9.0, 3.0]), ": drop_ms .9.0, 3.0.: expected the lowest and the highest"),
        (dict(drop_count=0), ".drop_count: 0 is out of its range"),
        (dict(noise_prob=0.0, concat_original=True), ": concat_original: nothing is augmented, so leave it out"),
    ],
)
def test_settings_that_make_no_sense_are_one_line(options, line):
    with pytest.raises(UserError, match=f"^enhance.yaml: augment{line}") as error:
        build(AugmentConfig, options, "enhance.yaml: augment")
    assert "\n" not in str(error.value)


def test_silence_is_named():
    speech = SPEECH | {"s0-00": np.zeros(8000, np.float32)}
    for options in (dict(), dict(crop_s=0.1)):
        augment = Augmenter(speech, SPEAKERS, NOISES, AugmentConfig(**options), 1)
        with pytest.raises(UserError, match="s0-00.* silent"):
            augment("s0-00", 1)


def test_kept_recordings_are_bounded_and_threads_share_them(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("mimic.augment.recordings.CACHED_SAMPLES", 25000)
    for i in range(6):
        write_wav(tmp_path / f"n-{i}.wav", np.full(8000, 0.1 * (i + 1), np.float32))
    recordings = Recordings(tmp_path)
    names = [f"n-{random.Random(i).randrange(6)}" for i in range(200)]
    for name, x in zip(names, prefetch(recordings.__getitem__, names, workers=4), strict=True):
        assert len(x) == 8000 and x[0] == pytest.approx(0.1 * (int(name[-1]) + 1), abs=1e-4)
        assert sum(map(len, recordings._cached.values())) <= 25000 + 4 * 8000
