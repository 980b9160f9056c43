"""Copies of training speech at other speeds and with more noise: ids, audio, tables, and how they are put together."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_maker import UTTS, make_dir, run, snapshot
from model_maker import program

from mimic.corpus import windows
from mimic.corpus.validate import Options, validate
from mimic.io.audio import AudioReader
from mimic.io.tables import read_table


def good(done) -> None:
    assert done.returncode == 0, done.stdout + done.stderr


def error(done) -> str:
    """The one line that says what is wrong, wherever it was printed."""
    assert done.returncode != 0
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "error: " in line or ".sh: " in line]
    assert "Traceback" not in done.stdout + done.stderr
    return lines[0] if lines else ""


def valid(data: Path) -> None:
    problems = [problem.line for problem in validate(data, Options()).problems if problem.error]
    assert not problems


def loudest_hz(x: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(x * np.hanning(len(x)))).argmax() * 16000 / len(x))


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Tones of 200 Hz and more, with what stage 1 leaves beside the audio."""
    folder = make_dir(tmp_path_factory.mktemp("copies") / "train_noisy")
    (folder / "text.phn").write_text("".join(f"{utt} W AH N T UW\n" for utt in UTTS))
    (folder / "utt2snr").write_text("".join(f"{utt} 5\n" for utt in UTTS))
    (folder / "utt2dur").write_text("".join(f"{utt} 1.0\n" for utt in UTTS))
    return folder


@pytest.fixture(scope="module")
def faster(data: Path) -> Path:
    out = data.parent / "train_sp"
    good(run("steps/perturb_speed.sh", "--speeds", "0.9 1.0 1.25", "--nj", "3", data, out))
    return out


def test_ids_and_tables_of_copies_are_those_that_kaldis_users_expect(data, faster):
    speakers = read_table(faster / "utt2spk")
    assert list(speakers) == sorted([*UTTS, *(f"sp{s}-{utt}" for s in ("0.9", "1.25") for utt in UTTS)])
    assert speakers["sp0.9-p10-001"] == "sp0.9-p10" and speakers["p10-001"] == "p10"
    assert read_table(faster / "spk2gender") == {
        f"{p}{s}": "f" for s in ("p1", "p10") for p in ("", "sp0.9-", "sp1.25-")
    }
    uniq = read_table(faster / "utt2uniq")
    for name in ("text", "text.phn", "utt2snr"):
        before, after = read_table(data / name), read_table(faster / name)
        assert {utt: before[uniq[utt]] for utt in uniq} == after
    valid(faster)
    again = snapshot(faster)
    done = run("steps/perturb_speed.sh", "--speeds", "0.9 1.0 1.25", "--nj", "2", data, faster)
    assert "is done and unchanged" in done.stdout and snapshot(faster) == again


def test_copies_last_as_long_and_sound_as_high_as_their_speed_says(data, faster):
    original, copies = AudioReader(data), AudioReader(faster)
    for utt in UTTS:
        x = original[utt]
        assert (copies[utt] == x).all() and copies.entry(utt) == original.entry(utt)
        for speed in (0.9, 1.25):
            y = copies[f"sp{speed}-{utt}"]
            assert abs(len(y) - len(x) / speed) <= 1
            assert loudest_hz(y) == pytest.approx(speed * loudest_hz(x), abs=2)
            assert np.std(y) == pytest.approx(np.std(x), rel=0.02)  # as loud
            assert float(read_table(faster / "utt2dur")[f"sp{speed}-{utt}"]) == pytest.approx(len(y) / 16000, abs=2e-4)


def test_a_copy_is_the_same_however_many_jobs_make_it(data, faster, tmp_path):
    good(run("steps/perturb_speed.sh", "--speeds", "1.25 0.9", "--nj", "1", data, tmp_path / "out"))
    one, three = AudioReader(tmp_path / "out"), AudioReader(faster)
    assert one.utts == three.utts and all((one[utt] == three[utt]).all() for utt in one.utts)


def test_copies_with_more_noise_stand_beside_the_others(data, tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "noises").mkdir()
    for kind in ("hiss-1", "wind-1"):
        soundfile.write(tmp_path / "noises" / f"{kind}.wav", 0.1 * rng.standard_normal(40000), 16000)
    out = tmp_path / "train_augmented"
    options = ["--nj", "2", "--snrs", "5", "--noise-dir", tmp_path / "noises"]
    good(run("local/augment_data.sh", *options, "--speeds", "0.9", data, out))
    valid(out)
    reader = AudioReader(out)
    assert reader.utts == sorted(p + utt for p in ("", "more-", "sp0.9-") for utt in UTTS)
    uniq, noises = read_table(out / "utt2uniq"), read_table(Path(f"{out}_more") / "utt2noise")
    assert uniq["more-p1-002"] == uniq["sp0.9-p1-002"] == uniq["p1-002"] == "p1-002"
    assert set(noises.values()) <= {"hiss", "wind"}
    for utt in UTTS:
        x, y = reader[utt].astype(float), reader[f"more-{utt}"].astype(float)
        gain = (x @ y) / (x @ x)  # a mixture that would clip is scaled down
        snr = 10 * np.log10(gain**2 * (x @ x) / ((y - gain * x) @ (y - gain * x)))
        assert len(x) == len(y) and snr == pytest.approx(5, abs=0.5)
    output = run("local/augment_data.sh", *options, "--speeds", "0.9", data, out).stdout
    assert output.count("is done and unchanged: skipping") == 4
    good(run("local/augment_data.sh", *options, data, out))
    assert AudioReader(out).utts == sorted(p + utt for p in ("", "more-") for utt in UTTS)


@pytest.mark.parametrize("speeds", ["fast", "0.9 0.90", "0.1", "1.0", ""])
def test_bad_speeds_are_one_line(data, tmp_path, speeds):
    line = error(run("steps/perturb_speed.sh", "--speeds", speeds, data, tmp_path / "out"))
    assert (
        "--speeds takes numbers" in line or f"--speeds '{speeds}': expected different factors from 0.5 to 2.0" in line
    )
    assert not (tmp_path / "out" / ".done").exists() and not (tmp_path / "out" / "utt2spk").exists()


def test_what_cannot_be_copied_is_one_line(data, tmp_path):
    assert "wav.scp is missing: run local/*/prepare.sh" in error(
        run("steps/perturb_speed.sh", tmp_path / "none", tmp_path / "out")
    )
    assert "nothing to do: give --speeds or --noise-dir" in error(run("local/augment_data.sh", data, tmp_path / "out"))
    make_dir(tmp_path / "cut")
    (tmp_path / "cut" / "segments").write_text("".join(f"{utt} {utt} 0.1 0.9\n" for utt in UTTS))
    for step in (["steps/perturb_speed.sh", tmp_path / "cut", tmp_path / "out"],
                 ["steps/combine_data.sh", tmp_path / "both", tmp_path / "cut"]):  # fmt: skip
        assert "has segments: cut them out first" in error(run(*step))
    bad = make_dir(tmp_path / "bad")
    (tmp_path / "bad_audio" / "p1-002.wav").write_bytes(b"noise")
    assert "p1-002" in error(run("steps/perturb_speed.sh", "--nj", "1", bad, tmp_path / "out2"))


def test_combining_keeps_what_all_have_and_refuses_what_is_there_twice(data, faster, tmp_path):
    other = make_dir(tmp_path / "other", utts=["q1-001", "q1-002"])
    (other / "utt2noise").write_text("q1-001 bus\nq1-002 bus\n")
    good(run("steps/combine_data.sh", tmp_path / "both", faster, other))
    both = tmp_path / "both"
    assert set(read_table(both / "text")) == set(read_table(faster / "text")) | {"q1-001", "q1-002"}
    assert read_table(both / "utt2uniq")["q1-001"] == "q1-001" and not (both / "utt2noise").exists()
    assert not (both / "text.phn").exists() and read_table(both / "spk2utt")["q1"] == "q1-001 q1-002"
    line = error(run("steps/combine_data.sh", tmp_path / "twice", data, faster))
    assert f"p1-001 is in {data} too" in line and "prefix" in line
    (other / "utt2spk").write_text("q1-001 p1\nq1-002 p1\n")
    (other / "spk2gender").write_text("p1 m\n")
    assert "spk2gender: p1 is 'm' here and 'f' elsewhere" in error(
        run("steps/combine_data.sh", tmp_path / "mixed", data, other)
    )


def test_windows_have_every_sample_and_zeros_after_the_last(data, tmp_path, caplog):
    out, options = tmp_path / "cut", ("--window", "0.5", "--stride", "0.25", "--nj", "2")
    for job in ("1", "2"):
        assert program("cut_windows.py", "cut", *options, "--job", job, data, out) == 0
    assert program("cut_windows.py", "collect", *options, data, out) == 0
    cut, whole, origin = AudioReader(out), AudioReader(data), read_table(out / "utt2uniq")
    assert sorted(set(origin.values())) == UTTS and list(origin) == cut.utts
    for utt in UTTS:
        names, samples = [name for name in cut.utts if origin[name] == utt], len(whole[utt])
        joined = np.concatenate([cut[names[0]], *(cut[name][4000:] for name in names[1:])])
        np.testing.assert_array_equal(joined[:samples], whole[utt])
        assert (
            not joined[samples:].any() and len(joined) - samples < 4000 and {len(cut[name]) for name in names} == {8000}
        )
    assert not (out / "text").exists() and not (out / "text.phn").exists()
    assert set(read_table(out / "utt2snr").values()) == {"5"} and read_table(out / "utt2spk")["p10-001-00001"] == "p10"
    assert set(read_table(out / "utt2dur").values()) == {"0.500000"}
    assert [list(windows.starts(n, 8, 4)) for n in (1, 8, 9, 12, 13)] == [[0], [0], [0, 4], [0, 4], [0, 4, 8]]
    assert program("cut_windows.py", "cut", "--window", "1", "--stride", "2", data, tmp_path / "x") == 1
    assert "--stride 2 has to be a sample or more, and at most --window 1" in caplog.messages[-1]
