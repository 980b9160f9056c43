"""VoiceBank-DEMAND from a miniature in the published layout: preparation, the PESQ check, and stage 1 of the recipe."""

import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_maker import ROOT, last_line, run, snapshot
from served import write_listing
from vbdemand_maker import LOCAL, ZIPS, same_files, zipped

from mimic.corpus.lexicon import read_lexicon
from mimic.corpus.validate import Options, validate_pair
from mimic.io.audio import AudioReader
from mimic.io.tables import read_table

pytestmark = pytest.mark.xdist_group("vbdemand")


def prepare(src: Path, data: Path, *options: str):
    return run("local/vbdemand/prepare.sh", "--nj", "1", *options, src, data)


@pytest.fixture(scope="module")
def prepared(miniature, tmp_path_factory) -> Path:
    data = tmp_path_factory.mktemp("vbdemand_data") / "data"
    done = prepare(miniature, data)
    assert done.returncode == 0, done.stderr
    assert "train: 2 utterances, not the 10802 of" in done.stderr and "test: 3 utterances, not the 824" in done.stderr
    return data


def test_sets_are_split_by_file_name(prepared):
    expected = {
        "train": ["p227-001", "p227-002"],
        "dev": ["p226-001", "p226-002", "p287-001"],
        "test": ["p232-001", "p257-001", "p257-002"],
    }
    for name, utts in expected.items():
        sides = [prepared / f"{name}_clean", prepared / f"{name}_noisy"]
        for side in sides:
            assert read_table(side / "utt2spk") == {utt: utt[:4] for utt in utts}
            assert list(read_table(side / "text.phn")) == utts
        found = validate_pair(*sides, Options())
        assert not [p.line for one in found for p in one.problems if p.error]


def test_audio_is_16_khz_and_both_sides_stay_aligned(prepared, miniature):
    with zipfile.ZipFile(miniature / "noisy_testset_wav.zip") as archive:
        native = {m.filename[-12:-4]: (m.file_size - 44) // 2 for m in archive.infolist()}
    clean, noisy = (AudioReader(prepared / f"test_{side}") for side in ("clean", "noisy"))
    assert len(clean) == 3
    for utt in clean:
        assert clean.info(utt).rate == noisy.info(utt).rate == 16000
        assert len(clean[utt]) == len(noisy[utt]) and abs(len(clean[utt]) * 3 - native[utt.replace("-", "_")]) < 3
        x, y = clean[utt], noisy[utt]
        shifts = [float(x[50:-50] @ np.roll(y, shift)[50:-50]) for shift in range(-20, 21)]
        assert np.argmax(shifts) == 20


def test_noise_and_snr_come_from_the_logs(prepared):
    assert read_table(prepared / "test_noisy" / "utt2snr") == {"p232-001": "2.5", "p257-001": "7.5", "p257-002": "12.5"}
    assert read_table(prepared / "dev_noisy" / "utt2snr") == {"p226-001": "2.5", "p226-002": "7.5", "p287-001": "15"}
    assert read_table(prepared / "train_noisy" / "utt2noise") == {"p227-001": "bus", "p227-002": "cafe"}
    assert not (prepared / "test_clean" / "utt2snr").exists()


def test_words_and_their_pronunciations(prepared):
    text = {**read_table(prepared / "train_clean" / "text"), **read_table(prepared / "dev_clean" / "text")}
    assert text["p226-002"] == "A TWODAY TEST" and text["p227-002"] == "THAT IS WELL MR STELLA"
    assert text["p227-001"] == "SIX SPOONS OF FRESH SNOW PEAS DONT WELL"
    phones = {**read_table(prepared / "train_noisy" / "text.phn"), **read_table(prepared / "dev_noisy" / "text.phn")}
    # The first of two pronunciations, our own for TWODAY and before LibriSpeech's for MR; WELL is not WE'LL.
    assert phones["p226-001"] == "P L IY Z K AO L S T EH L AH"
    assert phones["p226-002"] == "AH T UW D EY T EH S T"
    assert phones["p227-001"].startswith("S IH K S P UW N Z AH V")  # SIX ends as SPOONS begins
    assert phones["p227-001"].endswith("D OW N T W EH L")
    assert phones["p227-002"] == "DH AE T IH Z W EH L M IH S T ER S T EH L AH"
    assert (prepared / "lang" / "lexicon_oov.txt").read_text().split()[0] == "ZORBING"
    lexicon = read_lexicon(prepared / "lang" / "lexicon.txt")
    assert lexicon["DONT"] == ["D", "OW", "N", "T"] and lexicon["MR"] == ["M", "IH", "S", "T", "ER"]


def test_our_own_pronunciations_are_arpabet():
    arpabet = "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH"
    lines = [line for line in (LOCAL / "lexicon_extra.txt").read_text().splitlines() if not line.startswith(";;;")]
    words = [line.split()[0] for line in lines]
    assert len(set(words)) == len(words) > 60 and all(re.fullmatch("[A-Z]+", word) for word in words)
    assert {phone for line in lines for phone in line.split()[1:]} <= set(arpabet.split())


def test_a_second_run_changes_nothing_and_other_speakers_make_it_again(prepared, miniature, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(prepared.parent, tmp_path, dirs_exist_ok=True)
    done = prepare(miniature, data, "--check-counts", "false")  # a copy: paths differ, so it is imported again
    assert done.returncode == 0 and "not the" not in done.stderr, done.stderr
    before = snapshot(data)
    again = prepare(miniature, data)
    assert again.returncode == 0 and again.stdout.count("is done and unchanged: skipping") == 8, again.stdout
    assert snapshot(data) == before
    other = prepare(miniature, data, "--valid-speakers", "p227")
    assert other.returncode == 0 and "train and dev: 5 utterances, not the 11572" in other.stderr
    assert set(read_table(data / "dev_noisy" / "utt2spk").values()) == {"p227"}
    assert set(read_table(data / "train_noisy" / "utt2spk").values()) == {"p226", "p287"}


def test_folders_of_other_recipes_are_used_where_they_are(prepared, miniature, tmp_path):
    src, data = tmp_path / "p287", tmp_path / "data"
    for subset, sets in (("trainset_28spk", ("train", "dev")), ("testset", ("test",))):
        for side in ("clean", "noisy"):
            folder = src / f"{side}_{subset}_wav_16k"
            folder.mkdir(parents=True)
            for name in sets:
                for utt, path in read_table(prepared / f"{name}_{side}" / "wav.scp").items():
                    shutil.copy(path, folder / f"{utt.replace('-', '_')}.wav")
        shutil.copytree(prepared / "vbdemand" / "unpacked" / f"{subset}_txt", src / f"{subset}_txt")
        shutil.copy(prepared / "vbdemand" / "unpacked" / "logfiles" / f"log_{subset}.txt", src)
    words = ["--lexicon", str(miniature / "librispeech-lexicon.txt"), "--oov-policy", "skip", "--max-skip", "0.5"]
    done = prepare(src, data, *words)
    assert done.returncode == 0, done.stderr
    assert list(read_table(data / "dev_clean" / "wav.scp")) == ["p226-001", "p226-002"]  # ZORBING is in no lexicon
    for utt, path in read_table(data / "test_noisy" / "wav.scp").items():
        assert path == f"{src}/noisy_testset_wav_16k/{utt.replace('-', '_')}.wav"
    assert not (data / "vbdemand" / "unpacked").exists() and not (data / "test_noisy" / "wav").exists()
    for table in ("text", "text.phn", "utt2dur", "utt2snr"):
        assert read_table(data / "test_noisy" / table) == read_table(prepared / "test_noisy" / table)


# what is done to a copy of the corpus, options, the error
BAD = {
    "missing": (lambda c: (c / "noisy_testset_wav.zip").unlink(), [], "no noisy_testset_wav.zip, nor noisy_testset_w"),
    "no text": (lambda c: (c / "testset_txt.zip").unlink(), [], "no testset_txt.zip, nor testset_txt/: local/vbd"),
    "no lexicon": (lambda c: (c / "librispeech-lexicon.txt").unlink(), [], "--lexicon names another"),
    "half a zip": (
        lambda c: (c / "logfiles.zip").write_bytes((c / "logfiles.zip").read_bytes()[:300]),
        [],
        "logfiles.zip: damaged (File is not a zip file): remove it and run local/vbdemand/download.sh",
    ),
    "empty zip": (lambda c: zipped(c / "testset_txt.zip", {"a": b""}), [], "testset_txt.zip: holds no .wav or .txt"),
    "names": (lambda c: zipped(c / "testset_txt.zip", {"a.txt": b""}), [], "/a.txt: `a` is not a name like p226_001"),
    "twice": (lambda c: zipped(c / "testset_txt.zip", {"a/a.txt": b"", "b/a.txt": b""}), [], "two files are called a"),
    "latin1": (
        lambda c: zipped(c / "testset_txt.zip", {"p232_001.txt": b"caf\xe9"}),
        [],
        "p232_001.txt:1: not UTF-8: convert",
    ),
    "log": (
        lambda c: zipped(c / "logfiles.zip", {"log_testset.txt": b"", "log_trainset_28spk.txt": b"p226_001 bus\n"}),
        [],
        "log_trainset_28spk.txt:1: expected `name noise snr`",
    ),
    "short log": (
        lambda c: zipped(c / "logfiles.zip", {"log_trainset_28spk.txt": b"p226_001 bus 5\n"}),
        [],
        "log_trainset_28spk.txt: no line for p226-002 (4 such)",
    ),
    "absent": (lambda c: None, ["--valid-speakers", "p226 p300"], "p300 is not among p226 p227 p287"),
    "all": (lambda c: None, ["--valid-speakers", "p226 p227 p287"], "no speaker is left for training"),
    "sets": (
        lambda c: shutil.copy(c / "clean_trainset_28spk_wav.zip", c / "clean_testset_wav.zip"),
        [],
        "p226 is in the training and in the test set",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_reported_in_one_line(miniature, tmp_path, name):
    break_it, options, text = BAD[name]
    shutil.copytree(miniature, tmp_path / "corpus")
    break_it(tmp_path / "corpus")
    line = last_line(prepare(tmp_path / "corpus", tmp_path / "data", *options))
    assert text in line and not (tmp_path / "data" / "train_clean").exists()


def test_an_unknown_word_can_be_an_error(miniature, tmp_path):
    line = last_line(prepare(miniature, tmp_path / "data", "--oov-policy", "fail"))
    assert "ZORBING (p287-001" in line and "--oov-policy g2p" in line


def test_without_logs_there_is_a_warning(miniature, prepared, tmp_path):
    unpacked = prepared / "vbdemand" / "unpacked"
    for name in ZIPS[:-1]:
        (tmp_path / "corpus" / name[:-4]).parent.mkdir(exist_ok=True)
        (tmp_path / "corpus" / name[:-4]).symlink_to(unpacked / name[:-4])
    shutil.copy(miniature / "librispeech-lexicon.txt", tmp_path / "corpus")
    words = [tmp_path / "corpus", tmp_path / "no_zips", tmp_path / "out"]
    done = run("bash", "-c", '. ./path.sh; local/vbdemand/prepare.py "$@"', "-", *words)
    assert done.returncode == 0 and done.stderr.count("will not be broken down by noise and SNR") == 2, done.stderr
    assert set(os.listdir(tmp_path / "out" / "test_noisy")) == {"wav.scp", "text", "utt2spk", "spk2utt"}


def test_the_pesq_check_passes_only_the_published_noise(prepared, tmp_path):
    pytest.importorskip("pesq")
    check = ["local/vbdemand/check_pesq.sh", "--nj", "1"]
    line = last_line(run(*check, prepared, tmp_path / "gate"))
    found = re.search(r"is (\d\.\d+) over 3 utterances \(0 NA\), published 1.97 \+- 0.01: this is not", line)
    assert found and "--skip-pesq-check true" in line
    mean = float(found[1])
    scores = [float(row.split("\t")[1]) for row in (tmp_path / "gate" / "per_utt.tsv").read_text().splitlines()[1:]]
    assert mean == pytest.approx(np.mean(scores), abs=1e-4) and abs(mean - 1.97) > 0.01
    for target, code in ((mean + 0.01, 0), (mean - 0.01, 0), (mean + 0.0102, 1), (mean - 0.0102, 1)):
        assert run(*check, "--target", f"{target:.4f}", prepared, tmp_path / "gate").returncode == code
    skipped = run(*check, "--skip-pesq-check", "true", tmp_path / "gone", tmp_path / "other")
    assert skipped.returncode == 0 and "no PESQ check" in skipped.stdout and not (tmp_path / "other").exists()


def test_the_pesq_check_counts_what_has_no_score(prepared, tmp_path):
    pytest.importorskip("pesq")
    silent = [["p232-001"], ["p232-001", "p257-001", "p257-002"]]
    for number, utts in enumerate(silent):
        for side in ("clean", "noisy"):
            own = shutil.ignore_patterns(".done", ".fingerprint")  # a directory that no step has made may be edited
            shutil.copytree(prepared / f"test_{side}", tmp_path / f"{number}" / f"test_{side}", ignore=own)
            table = dict(read_table(prepared / f"test_{side}" / "wav.scp"))
            for utt in utts if side == "noisy" else ():
                soundfile.write(tmp_path / f"{number}-{utt}.wav", np.zeros(soundfile.info(table[utt]).frames), 16000)
                table[utt] = f"{tmp_path}/{number}-{utt}.wav"
            text = "".join(f"{utt} {path}\n" for utt, path in table.items())
            (tmp_path / f"{number}" / f"test_{side}" / "wav.scp").write_text(text)
    check = ["local/vbdemand/check_pesq.sh", "--nj", "1"]
    assert "over 2 utterances (1 NA)" in last_line(run(*check, tmp_path / "0", tmp_path / "gate0"))
    line = last_line(run(*check, tmp_path / "1", tmp_path / "gate1"))
    assert "no utterance of" in line and "the enhanced audio is silent" in line


@pytest.fixture
def checkout(tmp_path) -> Path:
    """The recipe with nothing made yet, its .venv included."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / ".venv").symlink_to((ROOT / ".venv").resolve())
    for name in ("run.sh", "path.sh", "cmd.sh", *(path.name for path in ROOT.glob("requirements*.txt"))):
        shutil.copy(ROOT / name, folder)
    for name in ("conf", "local", "pyscripts", "steps"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_stage_1_of_the_recipe_downloads_prepares_and_checks_pesq(miniature, server, checkout, tmp_path):
    pytest.importorskip("pesq")
    write_listing(checkout / "local/vbdemand/files.tsv", miniature, [*ZIPS, "librispeech-lexicon.txt"], url=server.url)
    clean = {name: value for name, value in os.environ.items() if name not in ("MIMIC_RUN_PID", "PYTHONPATH")}
    words = [
        "./run.sh",
        "--corpus",
        "vbdemand",
        "--vbdemand-dir",
        str(tmp_path / "vb"),
        "--nj",
        "1",
        "--stop-stage",
        "1",
    ]

    def call(*more: str) -> subprocess.CompletedProcess:
        return subprocess.run([*words, *more], cwd=checkout, env=clean, capture_output=True, text=True, timeout=300)

    stopped = call()
    assert stopped.returncode == 1 and same_files(tmp_path / "vb", miniature), stopped.stderr
    assert "over 3 utterances (0 NA), published 1.97 +- 0.01: this is not the published test set" in stopped.stderr
    assert "--skip-pesq-check true continues" in stopped.stderr.splitlines()[-1]
    for name in ("train_noisy", "dev_clean", "test_noisy", "lang"):
        assert (checkout / "data" / name / ".done").exists()
    server.requests.clear()
    passed = call("--skip-pesq-check", "true")
    assert passed.returncode == 0 and not server.requests, passed.stderr
    assert "no PESQ check: data/test_noisy is used as it is" in passed.stdout
    assert passed.stdout.count("data/test_noisy is done and unchanged: skipping") == 1
