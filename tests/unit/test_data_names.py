"""Ids that cannot be file names, and audio with several channels, in every program that writes a wav per utterance."""

import subprocess

import numpy as np
import pytest
import soundfile
from data_maker import ROOT
from model_maker import make_enhancer, program

from mimic.frontend.voice_activity import mono
from mimic.io.audio import AudioReader
from mimic.io.tables import read_table, write_data_dir

UTT = "s-a/0001"


@pytest.fixture
def data(tmp_path):
    x = np.random.default_rng(0).standard_normal((4000, 2)) / 10
    soundfile.write(tmp_path / "x.wav", x, 16000, subtype="FLOAT")
    write_data_dir(
        tmp_path / "data", {"wav.scp": {UTT: f"{tmp_path}/x.wav"}, "utt2spk": {UTT: "s"}, "text": {UTT: "A"}}
    )
    (tmp_path / "noises").mkdir()
    soundfile.write(tmp_path / "noises/n-1.wav", x[:, 0], 16000)
    return tmp_path / "data"


def words_of(tmp_path, data):
    yield "perturb_speed.py", ["--speeds", "0.9", data, tmp_path / "p"], [("perturb", "collect")], tmp_path / "p"
    yield (
        "mix_noise.py",
        [data, tmp_path / "noises", tmp_path / "m", tmp_path / "c"],
        [("mix", "collect")],
        tmp_path / "m",
    )
    stft = tmp_path / "stft.conf"
    stft.write_text("--n-fft=512\n")
    yield (
        "noisy_phase.py",
        ["--stft-config", stft, data, data, tmp_path / "n"],
        [("exchange", "collect")],
        tmp_path / "n",
    )


def test_slashes_and_channels(tmp_path, data, caplog):
    for name, words, ((first, second),), out in words_of(tmp_path, data):
        caplog.clear()
        assert program(name, first, *words) == 1 and "has 2 channels: pick one with --channel N" in caplog.text
        assert program(name, first, "--channel", "-1", *words) == 1
        assert "--channel takes a whole number of at least 0" in caplog.text
        assert program(name, first, "--channel", "1", *words) == 0
        assert program(name, second, "--channel", "1", *words) == 0
        reader = AudioReader(out, channel=1)
        assert UTT in [utt[-len(UTT) :] for utt in reader] and all(len(reader[utt]) for utt in reader)
        assert any(entry.endswith("s-a%2F0001.wav") for entry in reader.wavs.values())


def test_an_enhancer_and_scores_of_one_channel(tmp_path, data, capsys):
    model, out = make_enhancer(tmp_path / "model", "causal"), tmp_path / "enhanced"
    assert program("enhance.py", "--channel", "1", model, data, out) == 0
    assert read_table(out / "wav.1.scp") == {UTT: f"{out}/wav/s-a%2F0001.wav"}
    (out / "wav.1.scp").rename(out / "wav.scp")
    assert program("score_enhancement.py", "--measures", "si-sdr", "--channel", "0", data, data) == 0
    assert "si-sdr" in capsys.readouterr().out


@pytest.mark.parametrize(("option", "value"), [("--snrs", "inf"), ("--snrs", "nan"), ("--rir-prob", "5")])
def test_mixtures_that_cannot_be(tmp_path, data, caplog, option, value):
    words = ("--channel", "0", data, tmp_path / "noises", tmp_path / "m", tmp_path / "c")
    assert program("mix_noise.py", "mix", option, value, *words) == 1
    assert option in caplog.text and ("expected" in caplog.text or "out of its range" in caplog.text)


def test_programs_find_their_python_and_library_from_anywhere(tmp_path):
    first = {path.read_text(encoding="utf-8").partition("\n")[0] for path in (ROOT / "pyscripts").glob("*.py")}
    assert len(first) == 1, "one first line for all programs"
    words = [ROOT / "pyscripts/combine_data.py", tmp_path / "a b", tmp_path / "$none"]
    done = subprocess.run(
        words, cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and done.stderr.endswith("$none: No such file or directory\n"), done.stderr


def test_channels_that_cancel_each_other():
    x = np.random.default_rng(0).standard_normal((1000, 1))
    assert np.array_equal(mono(np.hstack([x, -x])), x[:, 0]) or np.array_equal(mono(np.hstack([x, -x])), -x[:, 0])
    assert np.array_equal(mono(np.hstack([x, -1.1 * x])), -1.1 * x[:, 0])  # the louder one
    two = np.random.default_rng(1).standard_normal((1000, 2))
    for other in (two, np.hstack([x, 0 * x]), np.zeros((5, 2))):
        assert np.array_equal(mono(other), other.mean(1))
