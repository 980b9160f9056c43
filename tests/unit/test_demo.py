"""The demo corpus: its script, its noises, and small corpora made by local/demo/prepare.sh."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mimic.augment import mixing
from mimic.augment.recordings import Recordings, split_recordings
from mimic.corpus.lexicon import read_lexicon, to_phones
from mimic.errors import UserError
from mimic.io.tables import read_table

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "local" / "demo"
sys.path.insert(0, str(DEMO))

import corpus as demo  # noqa: E402
import sentences  # noqa: E402
from espeak import Espeak  # noqa: E402
from voices import VOICES  # noqa: E402

SETS = ("train", "dev", "test")
TABLES = {"wav.scp", "text", "text.phn", "utt2spk", "spk2utt", "utt2dur", "spk2gender"}
TINY = ("--hours", "0.008")  # 13 utterances in each set

pytestmark = pytest.mark.xdist_group("demo_corpus")


def prepare(data: Path, *options: str) -> subprocess.Popen:
    command = ["local/demo/prepare.sh", *TINY, *options, str(data)]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def finish(process: subprocess.Popen) -> str:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def contents(data: Path) -> dict[str, str]:
    """Everything in a corpus but logs and marks, with the directory's own name taken out."""
    files = [p for p in sorted(data.rglob("*")) if p.is_file() and "log" not in p.parts and p.name[0] != "."]
    return {
        str(path.relative_to(data)): hashlib.sha256(path.read_bytes().replace(bytes(data), b"DATA")).hexdigest()
        for path in files
    }


def manifest_hash(output: str) -> str:
    return re.search(r"manifest sha256 ([0-9a-f]{64})", output)[1]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, str]:
    data = tmp_path_factory.mktemp("demo") / "data"
    return data, manifest_hash(finish(prepare(data, "--nj", "2")))


@pytest.fixture(scope="module")
def script() -> list[sentences.Utterance]:
    return sentences.plan(seed=0, hours=0.5)


def test_voices_are_many_and_disjoint():
    assert len(VOICES) >= 30 and len({voice.speaker for voice in VOICES}) == len(VOICES)
    assert len({(voice.accent, voice.variant) for voice in VOICES}) == len(VOICES)
    for name in SETS:
        genders = Counter(voice.gender for voice in VOICES if voice.set == name)
        assert genders["f"] == genders["m"] >= {"train": 10, "dev": 3, "test": 4}[name]
    train, dev, test = ({voice.variant for voice in VOICES if voice.set == name} for name in SETS)
    assert not train & (dev | test) and not dev & test


def test_script_is_disjoint_and_every_word_is_trained(script):
    texts = {name: [u.text for u in script if u.set == name] for name in SETS}
    assert len(texts["dev"]) == 120 and len(texts["test"]) == 160 and len(texts["train"]) > 700
    everything = [text for part in texts.values() for text in part]
    assert len(set(everything)) == len(everything)
    assert all(5 <= len(text.split()) <= 8 for text in everything)
    counts = Counter(word for text in texts["train"] for word in text.split())
    lexicon = read_lexicon(DEMO / "lexicon.txt")
    assert set(counts) == set(lexicon) and len(counts) >= 140
    assert min(counts.values()) >= 15
    assert {word for name in ("dev", "test") for text in texts[name] for word in text.split()} <= set(counts)
    assert len({phone for phones in lexicon.values() for phone in phones}) == 39
    assert not {"TO", "FOR", "BY"} & set(counts)  # each sounds like another word of some sentence


def test_neighbours_do_not_give_a_word_away(script):
    """Guessing each test word as what most often followed its left neighbour in training is right one time in ten."""
    follows: dict[str, Counter] = {}
    for text in (u.text for u in script if u.set == "train"):
        for left, word in pairwise(["", *text.split()]):
            follows.setdefault(left, Counter())[word] += 1
    guesses = {left: counts.most_common(1)[0][0] for left, counts in follows.items()}
    pairs = [pair for u in script if u.set == "test" for pair in pairwise(["", *u.text.split()])]
    assert sum(guesses[left] == word for left, word in pairs) < 0.15 * len(pairs)


def test_script_depends_on_seed_and_grows_with_hours(script):
    small = sentences.plan(seed=0, hours=0.2)
    assert {u.utt: u.text for u in small}.items() <= {u.utt: u.text for u in script}.items()
    others = sentences.plan(seed=1, hours=0.2)
    assert {u.text for u in script if u.set == "test"} != {u.text for u in others if u.set == "test"}
    for hours in (0, -1, 1000, float("nan")):
        with pytest.raises(UserError, match="--hours"):
            sentences.plan(seed=0, hours=hours)


def test_noises_of_test_are_other_ones():
    train, test = (set(types) for types in (demo.TRAIN_TYPES, demo.TEST_TYPES))
    assert len(train) >= 6 and len(test) == 3 and not train & test and "babble" not in test
    spectra = {}
    for name, types in (("train", demo.TRAIN_TYPES), ("test", demo.TEST_TYPES)):
        for kind in types:
            x = demo.make_noise(Path(f"{kind}-01.wav"), name, kind, 0)
            again = demo.make_noise(Path(f"{kind}-01.wav"), name, kind, 0)
            other = demo.make_noise(Path(f"{kind}-02.wav"), name, kind, 0)
            np.testing.assert_array_equal(x, again)
            assert not np.array_equal(x, other)
            assert np.isfinite(x).all() and np.abs(x).max() < 1 and mixing.power(x) > 1e-5
            spectra[kind] = x


def test_same_voice_says_the_same_twice_and_voices_differ(script):
    espeak = Espeak()
    line = {u.voice.speaker: u for u in script}
    first = demo.speak(line["d01"], 0, espeak)
    demo.speak(line["d02"], 0, espeak)
    time.sleep(1.1)  # espeak-ng seeds itself from the clock
    np.testing.assert_array_equal(demo.speak(line["d01"], 0, Espeak()), first)
    same_words = [espeak.speak("seven green bottles", voice, 50, 165, 1) for voice in VOICES]
    assert len({samples.tobytes() for samples in same_words}) == len(VOICES)
    pitches = [pitch_of(samples / 32768, espeak.rate) for samples in same_words]
    men = [pitch for pitch, voice in zip(pitches, VOICES, strict=True) if voice.gender == "m"]
    women = [pitch for pitch, voice in zip(pitches, VOICES, strict=True) if voice.gender == "f"]
    assert max(men) < min(women)


def pitch_of(x: np.ndarray, rate: int) -> float:
    """Median over frames of the lag with the highest autocorrelation, 60 to 350 Hz."""
    size, pitches = rate // 16, []
    for start in range(0, len(x) - size, size // 2):
        frame = x[start : start + size]
        lags = np.correlate(frame, frame, "full")[size - 1 :]
        best = rate // 350 + int(np.argmax(lags[rate // 350 : rate // 60]))
        if lags[best] > 0.6 * lags[0] > 0.01:
            pitches.append(rate / best)
    return float(np.median(pitches))


def test_unknown_voice_is_named(script):
    import dataclasses

    voice = dataclasses.replace(script[0].voice, accent="xx-nowhere")
    with pytest.raises(UserError, match=r"cannot speak as xx-nowhere\+"):
        Espeak().speak("hello", voice, 50, 165, 1)


def test_data_directories(made):
    data, _ = made
    lexicon = read_lexicon(data / "lang" / "lexicon.txt")
    phones = (data / "lang" / "phones.txt").read_text().split()
    assert phones == sorted(phones) and len(phones) == 39
    for name in SETS:
        clean, noisy = (
            {t.name: t.read_bytes() for t in (data / f"{name}_{side}").iterdir()} for side in ("clean", "noisy")
        )
        assert set(clean) >= TABLES and TABLES | {"utt2snr", "utt2noise"} <= set(noisy)
        assert all(clean[table] == noisy[table] for table in TABLES - {"wav.scp"})
        folder = data / f"{name}_noisy"
        for utt, text in read_table(folder / "text").items():
            assert re.fullmatch(r"d\d\d-\d{4}", utt) and text == text.upper()
            assert read_table(folder / "text.phn")[utt] == " ".join(to_phones(text.split(), lexicon))
        speakers = set(read_table(folder / "utt2spk").values())
        assert speakers <= {voice.speaker for voice in VOICES if voice.set == name}


def test_audio_is_a_pair_at_the_snr_it_claims(made):
    data, _ = made
    for name in SETS:
        clean, noisy = (Recordings(data / f"{name}_{side}") for side in ("clean", "noisy"))
        snrs, durations = (read_table(data / f"{name}_noisy" / table) for table in ("utt2snr", "utt2dur"))
        kinds = read_table(data / f"{name}_noisy" / "utt2noise")
        assert set(map(float, snrs.values())) <= set(demo.SNRS[name])
        assert set(kinds.values()) <= set(demo.NOISES[name][0]) | ({"babble"} if name != "test" else set())
        for utt in clean:
            header = soundfile.info(clean.entry(utt))
            assert (header.samplerate, header.channels, header.subtype) == (16000, 1, "PCM_16")
            speech, mixture = clean[utt], noisy[utt]
            assert len(speech) == len(mixture) == round(float(durations[utt]) * 16000)
            assert 0.9 < len(speech) / 16000 < 6 and np.abs(mixture).max() < 1
            snr = 10 * np.log10(mixing.active_power(speech) / mixing.power(mixture - speech))
            assert snr == pytest.approx(float(snrs[utt]), abs=0.05)
            for edge in (speech, speech[::-1]):  # 0.12 s of pause at both ends, and at most a soft fricative of 0.2 s
                assert 0.09 < np.argmax(np.abs(edge) > 0.02) / 16000 < 0.35


def test_draws_reach_every_noise_and_snr(made, script):
    data, _ = made
    for name, mixer in demo.corruptions(data / "demo_audio", script, 0, None, None, 0.5).items():
        draws = [mixer.draw(u.utt) for u in script if u.set == name]
        assert {draw.snr for draw in draws} == set(demo.SNRS[name])
        kinds = Counter(draw.noise_type for draw in draws)
        assert set(kinds) == set(demo.NOISES[name][0]) | ({"babble"} if name != "test" else set())
        assert min(kinds.values()) > 0.4 * max(kinds.values())


def test_one_job_makes_the_same_bytes(made, tmp_path):
    data, sha256 = made
    assert manifest_hash(finish(prepare(tmp_path / "data", "--nj", "1"))) == sha256
    assert contents(tmp_path / "data") == contents(data)
    again = finish(prepare(tmp_path / "data", "--nj", "2"))
    assert again.count("skipping") == 8 and manifest_hash(again) == sha256


def test_killed_run_continues_to_the_same_bytes(made, tmp_path):
    data, sha256 = made
    killed = tmp_path / "data"
    for act, share in (("speech/*", 20), ("train/noisy", 3)):
        process = prepare(killed)
        deadline = time.monotonic() + 120
        while len(list(killed.glob(f"demo_audio/{act}/*.wav"))) < share and time.monotonic() < deadline:
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not (killed / "demo_audio" / ".done").exists()
    assert manifest_hash(finish(prepare(killed))) == sha256
    assert contents(killed) == contents(data)


def test_own_noises_and_rirs(tmp_path):
    rng = np.random.default_rng(0)
    for name, rate in (("fan-1", 44100), ("fan-2", 16000), ("crowd-1", 8000), ("bell-1", 48000), ("saw-1", 16000)):
        path = tmp_path / "noise" / f"{name}.flac"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, 0.1 * rng.standard_normal((rate, 2)), rate)
    for split in ("train", "test"):
        (tmp_path / "rirs" / split).mkdir(parents=True)
        soundfile.write(tmp_path / "rirs" / split / f"{split}rir.wav", np.exp(-np.arange(2000) / 300), 16000)
    data = tmp_path / "data"
    options = ("--noise-dir", str(tmp_path / "noise"), "--rir-dir", str(tmp_path / "rirs"), "--rir-prob", "1")
    finish(prepare(data, *options))
    kinds = {name: set(read_table(data / f"{name}_noisy" / "utt2noise").values()) for name in SETS}
    assert kinds["test"] == {"saw"} and kinds["train"] == {"fan", "crowd", "bell"} and "saw" not in kinds["dev"]
    rirs = {name: set(read_table(data / f"{name}_noisy" / "utt2room").values()) for name in SETS}
    assert rirs == {"train": {"trainrir"}, "dev": {"trainrir"}, "test": {"testrir"}}
    assert not (data / "demo_audio" / "noise").exists()


def test_recordings_are_split_without_overlap(tmp_path):
    for kind in ("a", "b", "c", "d", "e"):
        for number in range(10):
            path = tmp_path / kind / f"{kind}-{number}.wav"
            path.parent.mkdir(exist_ok=True)
            path.touch()
    sets = split_recordings(tmp_path, by_type=True)
    assert {name[0] for name in sets["test"]} == {"d"} and len(sets["test"]) == 10
    assert {name[0] for name in sets["dev"]} == {name[0] for name in sets["train"]} == set("abce")
    assert not set(sets["dev"]) & set(sets["train"]) and len(sets["train"]) == 32
    mixed = split_recordings(tmp_path, by_type=False)
    assert not set(mixed["train"]) & set(mixed["test"]) and len(mixed["test"]) == 12
