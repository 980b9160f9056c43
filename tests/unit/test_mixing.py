"""The mixer: SNR, alignment, lengths, the clean target; and local/mix_noise.sh around it."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mimic.augment import mixing
from mimic.augment.recordings import Corruption, Recordings
from mimic.errors import UserError
from mimic.io.recording import write_wav
from mimic.io.tables import read_table, write_data_dir

ROOT = Path(__file__).resolve().parents[2]
RATE = mixing.RATE


def tone(seconds: float, hz: float = 200.0, level: float = 0.1, rate: int = RATE) -> np.ndarray:
    """A voice-like sound: harmonics of a gliding pitch, in syllables."""
    t = np.arange(int(seconds * rate)) / rate
    syllables = np.clip(np.sin(2 * np.pi * 3 * t), 0, None)
    turns = hz * (t + 0.3 * t**2)
    return (level * syllables * sum(np.sin(2 * np.pi * k * turns) / k for k in range(1, 8))).astype(np.float32)


def noise_of(seconds: float, seed: int = 0) -> np.ndarray:
    return (0.05 * np.random.default_rng(seed).standard_normal(int(seconds * RATE))).astype(np.float32)


def snr_of(mixture: mixing.Mixture, reverberant: np.ndarray, active: bool = True) -> float:
    """Measure the SNR from what comes out: the noise is what the mixture has beyond the speech."""
    speech = reverberant * mixture.gain
    measure = mixing.active_power if active else mixing.power
    return 10 * np.log10(measure(speech) / mixing.power(mixture.noisy - speech))


@pytest.mark.parametrize("active", [True, False])
@pytest.mark.parametrize("snr", [-5.0, 0.0, 2.5, 17.5])
def test_snr_holds_with_and_without_rir(snr, active):
    speech, decay = tone(2.0), np.exp(-np.arange(4000) / 800) * np.random.default_rng(1).standard_normal(4000)
    decay[37] = 4.0
    for rir in (None, decay.astype(np.float32)):
        rir = None if rir is None else mixing.Rir(rir)
        mixture = mixing.mix(speech, noise_of(2.0), snr, rir, active=active)
        reverberant = speech if rir is None else mixing.reverberate(speech, rir)[0]
        assert mixture.noisy.dtype == mixture.target.dtype == np.float32
        assert len(mixture.noisy) == len(mixture.target) == len(speech)
        assert snr_of(mixture, reverberant, active) == pytest.approx(snr, abs=0.05)


def test_active_power_ignores_pauses_and_follows_level():
    speech = tone(2.0)
    padded = np.concatenate([np.zeros(RATE, np.float32), speech, np.zeros(3 * RATE, np.float32)])
    assert mixing.active_power(padded) == pytest.approx(mixing.active_power(speech), rel=1e-6)
    assert mixing.power(padded) < mixing.power(speech) / 2.9
    assert mixing.active_power(10 * speech) == pytest.approx(100 * mixing.active_power(speech), rel=1e-5)
    steady = noise_of(1.0)
    assert mixing.active_power(steady) == pytest.approx(mixing.power(steady), rel=1e-3)
    assert mixing.active_power(np.zeros(RATE, np.float32)) == 0
    assert mixing.active_power(np.full(100, 0.5, np.float32)) == pytest.approx(0.25)  # shorter than a frame


def test_clip_guard_scales_both_sides_alike():
    speech = tone(1.0, level=0.6)
    mixture = mixing.mix(speech, noise_of(1.0), 0.0)
    assert mixture.gain < 1 and np.abs(mixture.noisy).max() <= mixing.PEAK + 1e-6
    np.testing.assert_allclose(mixture.target, speech * np.float32(mixture.gain), atol=1e-7)
    assert snr_of(mixture, speech) == pytest.approx(0.0, abs=0.05)
    quiet = mixing.mix(tone(1.0, level=0.01), noise_of(1.0), 10.0)
    assert quiet.gain == 1.0
    np.testing.assert_array_equal(quiet.target, tone(1.0, level=0.01))


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("delay", [0, 1, 333])
def test_reverberation_is_aligned_and_keeps_energy(delay, sign):
    speech = tone(1.0)
    plain = np.zeros(delay + 1, np.float32)
    plain[delay] = sign * 0.3
    np.testing.assert_allclose(mixing.reverberate(speech, mixing.Rir(plain))[0], speech, atol=1e-6)
    rir = np.concatenate([plain, 0.1 * np.exp(-np.arange(3000) / 500)]).astype(np.float32)
    wet = mixing.reverberate(speech, mixing.Rir(rir))[0]
    assert len(wet) == len(speech)
    assert mixing.power(wet) == pytest.approx(mixing.power(speech), rel=1e-4)
    click = np.zeros(4000, np.float32)
    click[1000] = 1
    assert np.argmax(mixing.reverberate(click, mixing.Rir(rir))[0]) == 1000


@pytest.mark.parametrize("samples", [1, 700, 40000])
@pytest.mark.parametrize("taps", [1, 900, 9000])
def test_convolution_by_overlap_add_is_the_convolution(samples, taps):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(samples).astype(np.float32)
    rir = np.concatenate([[4.0], 0.1 * rng.standard_normal(taps - 1), [1.0]]).astype(np.float32)
    full = np.convolve(x.astype(float), rir)
    for wanted in (1, samples, len(full)):
        np.testing.assert_allclose(mixing.Rir(rir).convolve(x, wanted), full[:wanted], atol=2e-4)


def test_short_noise_goes_round_without_a_seam():
    t = np.arange(5000) / RATE
    hum = np.sin(2 * np.pi * 160 * t).astype(np.float32)  # 160 Hz: the loop's period is not a multiple of its own
    looped = mixing.fit_length(hum, 3 * RATE, np.random.default_rng(3))
    assert len(looped) == 3 * RATE
    assert np.abs(np.diff(looped)).max() < 1.5 * np.abs(np.diff(hum)).max()
    noise = noise_of(0.5)
    filled = mixing.fit_length(noise, 4 * RATE, np.random.default_rng(3))
    levels = [mixing.power(filled[i : i + 1600]) for i in range(0, len(filled), 1600)]
    assert min(levels) > 0.7 * mixing.power(noise) and max(levels) < 1.4 * mixing.power(noise)
    assert len(mixing.fit_length(noise[:1], 10, np.random.default_rng(0))) == 10


def test_long_noise_is_cropped_where_there_is_sound():
    noise = np.zeros(20 * RATE, np.float32)
    noise[7 * RATE : 7 * RATE + 4000] = noise_of(0.25)
    for seed in range(30):
        piece = mixing.fit_length(noise, RATE, np.random.default_rng(seed))
        assert len(piece) == RATE and mixing.power(piece) > 0
    starts = {mixing.fit_length(np.arange(1, 99, dtype=np.float32), 5, np.random.default_rng(s))[0] for s in range(50)}
    assert len(starts) > 20


@pytest.mark.parametrize("broken", ["speech", "noise", "rir", "length"])
def test_silence_and_wrong_lengths_are_refused(broken):
    speech, noise, rir = tone(1.0), noise_of(1.0), np.ones(1, np.float32)
    arguments = {"speech": (0 * speech, noise, 0, rir), "noise": (speech, 0 * noise, 0, rir)}
    arguments |= {"rir": (speech, noise, 0, 0 * rir), "length": (speech, noise[1:], 0, rir)}
    with pytest.raises(ValueError, match="silent|samples"):
        *signals, rir = arguments[broken]
        mixing.mix(*signals, mixing.Rir(rir))


def corruption(**options) -> Corruption:
    speech = {f"s{i % 6}-{i:02d}": tone(1.0 + i / 20, 100 + 20 * i) for i in range(24)}
    noises = {f"{kind}-{i}": noise_of(0.7 + i, i) for kind in ("fan", "rain") for i in range(3)}
    speaker_of = {utt: utt.partition("-")[0] for utt in speech}
    return Corruption(speech, speaker_of, noises, [0, 5, 10, 15], **options)


def test_drawn_mixtures_have_their_snr_and_depend_on_seed_and_id_only():
    mixer, again = corruption(seed=3), corruption(seed=3)
    utts = sorted(mixer.speech)
    mixed = {utt: mixer(utt) for utt in utts}
    for utt in reversed(utts):
        assert snr_of(mixed[utt], mixer.speech[utt]) == pytest.approx(mixer.draw(utt).snr, abs=0.05)
        np.testing.assert_array_equal(mixed[utt].noisy, again(utt).noisy)
    assert {mixer.draw(utt).snr for utt in utts} == {0, 5, 10, 15}
    assert {mixer.draw(utt).noise_type for utt in utts} == {"fan", "rain"}
    other = corruption(seed=4)
    assert any(mixer.draw(utt) != other.draw(utt) for utt in utts)
    assert not np.array_equal(mixed[utts[0]].noisy, other(utts[0]).noisy)


def test_babble_is_never_spoken_by_the_speaker_himself():
    mixer = corruption(voices=corruption().speech)
    draws = {utt: mixer.draw(utt) for utt in mixer.speech}
    babbles = {utt: draw for utt, draw in draws.items() if draw.noise_type == "babble"}
    assert babbles
    for utt, draw in babbles.items():
        speakers = [name.partition("-")[0] for name in draw.noises]
        assert len(speakers) == len(set(speakers)) >= 4 and utt.partition("-")[0] not in speakers
        assert snr_of(mixer(utt), mixer.speech[utt]) == pytest.approx(draw.snr, abs=0.05)


@pytest.mark.parametrize("kind", ["white", "quiet"])
def test_a_recording_may_have_the_name_of_what_can_be_made(kind):
    noises = {f"{kind}-1": np.sin(np.arange(3 * RATE)).astype(np.float32)}  # of one frequency
    mixer = Corruption({"s0-00": tone(1.0)}, {"s0-00": "s0"}, noises, [0])
    assert mixer.draw("s0-00").noises == (f"{kind}-1",)
    mixed = mixer("s0-00")
    spectrum = np.abs(np.fft.rfft(mixed.noisy - mixed.target)) ** 2
    assert np.sort(spectrum)[-9:].sum() > 0.9 * spectrum.sum()


def test_silent_recording_is_named():
    mixer = corruption()
    mixer.noises = {name: 0 * noise for name, noise in mixer.noises.items()}
    with pytest.raises(UserError, match=r"s0-00 with (fan|rain)-\d: the noise is silent: "):
        mixer("s0-00")


@pytest.fixture
def corpus(tmp_path):
    """A clean data directory, noises in several formats and a stereo RIR."""
    clean, noise, rirs = (tmp_path / name for name in ("clean", "noise", "rirs"))
    for folder in (clean / "wav", noise / "more", rirs):
        folder.mkdir(parents=True)
    utts = [f"a{i % 3}-{i}" for i in range(9)]
    for i, utt in enumerate(utts):
        write_wav(clean / "wav" / f"{utt}.wav", tone(0.8 + 0.1 * i, level=0.5 if i == 4 else 0.1))
    tables = {"wav.scp": {utt: str(clean / "wav" / f"{utt}.wav") for utt in utts}}
    tables["text"] = dict.fromkeys(utts, "HELLO")
    tables["utt2spk"] = {utt: utt[:2] for utt in utts}
    write_data_dir(clean, tables)
    soundfile.write(noise / "fan-1.flac", noise_of(0.6), 16000)
    soundfile.write(noise / "more" / "rain-x-2.wav", np.repeat(noise_of(5.0)[:, None], 2, 1), 44100, "FLOAT")
    rir = np.zeros((3000, 2))
    rir[200] = 0.9
    rir[200:, 0] += 0.02 * np.exp(-np.arange(2800) / 400) * np.random.default_rng(2).standard_normal(2800)
    soundfile.write(rirs / "hall.wav", rir, 48000)
    return tmp_path


def mix_noise(corpus: Path, out: str, *options: str) -> subprocess.CompletedProcess:
    command = ["local/mix_noise.sh", *options, corpus / "clean", corpus / "noise", corpus / out]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_mix_noise_writes_a_pair_for_any_number_of_jobs(corpus):
    options = ("--snrs", "0 7.5", "--rir-dir", str(corpus / "rirs"), "--rir-prob", "0.5", "--babble-dir")
    done = mix_noise(corpus, "x_noisy", *options, "", "--nj", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert mix_noise(corpus, "y_noisy", *options, "", "--nj", "2").returncode == 0
    clean, noisy = Recordings(corpus / "x_clean"), Recordings(corpus / "x_noisy")
    again = Recordings(corpus / "y_noisy")
    source = Recordings(corpus / "clean")
    assert list(clean) == list(noisy) == list(source)
    snrs, kinds, rirs = (read_table(corpus / "x_noisy" / name) for name in ("utt2snr", "utt2noise", "utt2room"))
    assert set(kinds.values()) == {"fan", "rain"} and set(rirs.values()) == {"hall", "none"}
    for utt in noisy:
        np.testing.assert_array_equal(noisy[utt], again[utt])
        assert len(noisy[utt]) == len(clean[utt]) == len(source[utt])
        gain = float(np.dot(clean[utt], source[utt]) / np.dot(source[utt], source[utt]))
        np.testing.assert_allclose(clean[utt], gain * source[utt], atol=2e-5)
        if rirs[utt] == "none":
            snr = 10 * np.log10(mixing.active_power(clean[utt]) / mixing.power(noisy[utt] - clean[utt]))
            assert snr == pytest.approx(float(snrs[utt]), abs=0.05)
        else:  # the RIR must not have moved the speech
            lags = np.correlate(noisy[utt], clean[utt][400:-400], "valid")
            assert abs(int(np.argmax(lags)) - 400) <= 1
    for side in ("x_clean", "x_noisy"):
        for name in ("text", "utt2spk", "spk2utt"):
            assert (corpus / side / name).read_bytes() == (corpus / "clean" / name).read_bytes()
    durations = read_table(corpus / "x_noisy" / "utt2dur")
    assert float(durations["a0-0"]) == pytest.approx(0.8, abs=1e-4)
    assert "skipping" in mix_noise(corpus, "x_noisy", *options, "", "--nj", "2").stdout


def test_mix_noise_says_what_is_wrong(corpus):
    (corpus / "clean").rename(corpus / "t_clean")
    (corpus / "clean").symlink_to(corpus / "t_clean")
    for out, options, message in [
        ("t_noisy", (), "would take the place of"),
        ("u_noisy", ("--snrs", "loud"), "--snrs takes numbers from -100 to 100"),
        ("u_noisy", ("--rir-dir", str(corpus / "nothing")), "no such folder"),
    ]:
        done = mix_noise(corpus, out, *options)
        assert done.returncode == 1 and message in done.stdout + done.stderr
    assert not (corpus / "u_noisy" / "wav.scp").exists()
