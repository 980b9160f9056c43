"""Clean magnitudes with noisy phases: what a perfect mask would give."""

import shutil

import numpy as np
import pytest
from data_maker import UTTS, edit, make_dir, run

from mimic.io.audio import AudioReader
from mimic.io.tables import read_table
from mimic.metrics.composite import si_sdr


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phase")
    clean, noisy = make_dir(folder / "test_clean"), make_dir(folder / "test_noisy", noise=0.05)
    (noisy / "utt2snr").write_text("".join(f"{utt} 5\n" for utt in UTTS))
    return clean, noisy


def test_waveforms_lie_between_clean_and_noisy_and_tables_are_kept(sides, tmp_path):
    clean, noisy = sides
    done = run("steps/noisy_phase.sh", "--nj", "2", clean, noisy, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    x, y, z = (AudioReader(data) for data in (clean, noisy, tmp_path / "out"))
    assert z.utts == y.utts
    for utt in UTTS:
        assert len(z[utt]) == len(y[utt])
        assert si_sdr(x[utt], z[utt]) > si_sdr(x[utt], y[utt]) + 3
    for name in ("text", "utt2spk", "spk2utt", "utt2snr"):
        assert read_table(tmp_path / "out" / name) == read_table(noisy / name)


def test_the_own_phase_gives_the_speech_back(sides, tmp_path):
    clean, _ = sides
    assert run("steps/noisy_phase.sh", "--nj", "1", clean, clean, tmp_path / "out").returncode == 0
    for utt in UTTS:
        assert np.abs(AudioReader(tmp_path / "out")[utt] - AudioReader(clean)[utt]).max() <= 1 / 32768


def test_sides_that_do_not_fit_are_one_line(sides, tmp_path):
    clean, noisy = sides
    shutil.copytree(noisy, tmp_path / "fewer")
    edit(tmp_path / "fewer" / "wav.scp", (noisy / "wav.scp").read_text().splitlines(keepends=True)[0], "")
    done = run("steps/noisy_phase.sh", "--nj", "1", clean, tmp_path / "fewer", tmp_path / "out")
    assert done.returncode == 1 and f"{UTTS[0]}: is in only one of" in done.stdout + done.stderr
    (tmp_path / "fewer" / "wav.scp").write_text((noisy / "wav.scp").read_text())
    first, second = (f"{noisy}_audio/{utt}.wav" for utt in UTTS[:2])
    edit(tmp_path / "fewer" / "wav.scp", first, second)
    done = run("steps/noisy_phase.sh", "--nj", "1", clean, tmp_path / "fewer", tmp_path / "out")
    assert done.returncode == 1 and f"{UTTS[0]}: 16000 samples in {clean}, 17600 in" in done.stdout + done.stderr
