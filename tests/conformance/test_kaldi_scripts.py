"""Kaldi's own scripts on our data directories, where KALDI_ROOT is set: nothing of Kaldi has to be compiled."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from test_kaldi_io import matrices

from mimic.corpus.fix import fix
from mimic.corpus.importing import Side, convert, finish, plan
from mimic.io.archives import ArkWriter
from mimic.io.recording import write_wav
from mimic.io.tables import read_table, write_data_dir, write_table

UTTS = [f"{speaker}-{i:02}" for speaker in ("p1", "p10", "p2") for i in range(4)]


@pytest.fixture(scope="module")
def utils() -> Path:
    path = Path(os.environ.get("KALDI_ROOT", "/nonexistent")) / "egs" / "wsj" / "s5" / "utils"
    if not path.is_dir():
        pytest.skip("KALDI_ROOT is not set, or holds no egs/wsj/s5/utils")
    return path


@pytest.fixture
def data(tmp_path, utils) -> Path:
    """What an import leaves, with features beside it as stage 2 writes them; Kaldi's utils/ stand beside it."""
    source = tmp_path / "source"
    (tmp_path / "audio").mkdir()
    for i, utt in enumerate(UTTS):
        write_wav(tmp_path / "audio" / f"{utt}.wav", np.random.default_rng(i).uniform(-0.5, 0.5, 16000))
    tables = {
        "wav.scp": {utt: str(tmp_path / "audio" / f"{utt}.wav") for utt in UTTS},
        "text": dict.fromkeys(UTTS, "one two"),
        "utt2spk": {utt: utt.split("-")[0] for utt in UTTS},
        "spk2gender": dict.fromkeys(("p1", "p10", "p2"), "f"),
        "utt2snr": dict.fromkeys(UTTS, "7.5"),
    }
    write_data_dir(source, tables)
    side = [Side(source, tmp_path / "data")]
    plan(side, {"ONE": ["W", "AH", "N"], "TWO": ["T", "UW"]}, "upper")
    list(convert(side, 1, 1))
    finish(side, 1, 0.0)
    (tmp_path / "utils").symlink_to(utils)
    return tmp_path / "data"


def kaldi(root: Path, script: str, *words: str | Path, code: int = 0) -> str:
    """Run a script of Kaldi's utils/ where `utils` stands and is in PATH, as Kaldi's path.sh makes it."""
    environment = {**os.environ, "LC_ALL": "C", "PATH": f"{root}/utils:{os.environ['PATH']}"}
    command = ["bash", f"utils/{script}", *map(str, words)]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def assert_valid(root: Path, data: Path, *options: str) -> None:
    # A wrong utt2spk ends Kaldi's script with code 0: only the last line says that all is well.
    out = kaldi(root, "validate_data_dir.sh", *options, data)
    assert out.splitlines()[-1] == f"utils/validate_data_dir.sh: Successfully validated data-directory {data}", out


def with_features(data: Path) -> Path:
    matrix = matrices()["s-100"]
    with ArkWriter(data / "feats.ark", data / "feats.scp", "int16") as writer:
        for utt in UTTS:
            writer.write(utt, matrix)
    write_table(data / "utt2num_frames", dict.fromkeys(UTTS, "100"))
    (data / "frame_shift").write_text("0.01\n")
    with ArkWriter(data / "cmvn.ark", data / "cmvn.scp") as writer:
        for speaker in read_table(data / "spk2utt"):
            writer.write(speaker, matrix[:2])
    return data


def files(data: Path) -> dict[str, bytes]:
    return {f.name: f.read_bytes() for f in data.iterdir() if f.is_file()}


def test_our_directories_are_valid(data, tmp_path):
    assert_valid(tmp_path, data, "--no-feats")
    assert_valid(tmp_path, with_features(data))


def test_fixing_changes_nothing_kaldis_and_mimics(data, tmp_path):
    before = files(with_features(data))
    kaldi(tmp_path, "fix_data_dir.sh", "--utt-extra-files", "utt2snr text.phn", data)
    assert files(data) == before
    assert fix(data).files == [] and files(data) == before


def test_what_we_mend_is_valid_for_kaldi(data, tmp_path):
    lines = (data / "text").read_text().splitlines()
    (data / "text").write_text("\r\n".join([*reversed(lines), lines[3]]))
    (data / "spk2utt").write_text("p1 p1-00\n")
    assert "Successfully" not in kaldi(tmp_path, "validate_data_dir.sh", "--no-feats", data, code=1)
    fix(data)
    assert_valid(tmp_path, data, "--no-feats")


def test_splitting_per_utterance_and_per_speaker(data, tmp_path):
    with_features(data)
    kaldi(tmp_path, "split_data.sh", "--per-utt", data, "5")
    kaldi(tmp_path, "split_data.sh", data, "3")
    for folder, jobs in (("split5utt", 5), ("split3", 3)):
        parts = [data / folder / str(job) for job in range(1, jobs + 1)]
        for part in parts:
            assert_valid(tmp_path, part)
        # Speakers are split in another order than utterances.
        assert sorted(utt for part in parts for utt in read_table(part / "text")) == UTTS


def test_copies_and_subsets_stay_valid(data, tmp_path):
    kaldi(tmp_path, "copy_data_dir.sh", "--utt-prefix", "enh-", "--spk-prefix", "enh-", data, tmp_path / "copy")
    assert_valid(tmp_path, tmp_path / "copy", "--no-feats")
    kaldi(tmp_path, "combine_data.sh", tmp_path / "both", data, tmp_path / "copy")
    assert_valid(tmp_path, tmp_path / "both", "--no-feats")
    assert len(read_table(tmp_path / "both" / "text")) == 24
    kaldi(tmp_path, "subset_data_dir.sh", data, "5", tmp_path / "subset")
    assert_valid(tmp_path, tmp_path / "subset", "--no-feats")
