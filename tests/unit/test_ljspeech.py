"""LJSpeech: a miniature in the published layout, fetched from a server here, unpacked and prepared."""

import io
import shutil
import tarfile
from pathlib import Path

import pytest
import soundfile
from data_maker import ROOT, last_line, run, snapshot, tone
from served import write_listing, write_tar

from mimic.corpus.validate import Options, validate
from mimic.io.audio import AudioReader
from mimic.io.tables import read_table

ARCHIVE, LEXICON = "LJSpeech-1.1.tar.bz2", "librispeech-lexicon.txt"
LINES = [
    "LJ001-0001|Printing, in 1450,|Printing, in fourteen fifty,",
    "LJ001-0002|a café — the man's|a café — the man's",
    'LJ002-0001|"in a café"|"in a café"',
    "LJ050-0278|the last|the last",
]
WORDS = ("A AH0", "CAFE K AE2 F EY1", "IN IH0 N", "MAN'S M AE1 N Z", "THE DH AH0", "PRINTING P R IH1 N T IH0 NG",
         "LAST L AE1 S T", "FOURTEEN F AO1 R T IY1 N", "PLENTY P L EH1 N T IY0")  # fmt: skip

pytestmark = pytest.mark.xdist_group("ljspeech")


@pytest.fixture(scope="module")
def miniature(tmp_path_factory) -> Path:
    """The archive, and the lexicon beside it."""
    folder = tmp_path_factory.mktemp("ljspeech")
    members = {"LJSpeech-1.1/metadata.csv": ("\n".join(LINES) + "\n").encode(), "LJSpeech-1.1/README": b"words\n"}
    for i, line in enumerate(LINES):
        wav = io.BytesIO()
        soundfile.write(wav, tone(1 + i / 4, 22050, seed=i), 22050, format="WAV")
        members[f"LJSpeech-1.1/wavs/{line.split('|')[0]}.wav"] = wav.getvalue()
    write_tar(folder / ARCHIVE, members)
    (folder / LEXICON).write_text("\n".join(WORDS) + "\n")
    return folder


@pytest.fixture(scope="module")
def unpacked(miniature, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(miniature / ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    shutil.copy(miniature / LEXICON, folder)
    return folder


def test_download_resumes_checks_and_unpacks_and_skips_what_is_there(miniature, server, unpacked, tmp_path):
    files = write_listing(tmp_path / "files.tsv", miniature, [ARCHIVE, LEXICON], known=[ARCHIVE])
    server.faults[ARCHIVE] = ["cut", "503", "flip"]
    words = ["local/ljspeech/download.sh", "--files", files, "--url", server.url, "--pause", "0.01"]
    done = run(*words, "--remove-archives", "true", tmp_path / "got")
    assert done.returncode == 0, done.stderr
    found = {name: raw for name, raw in snapshot(tmp_path / "got").items() if name != "checksums.tsv"}
    assert found == snapshot(unpacked)
    wanted = [part for name, part in server.requests if name == ARCHIVE]
    assert wanted[:2] == ["", f"bytes={(miniature / ARCHIVE).stat().st_size // 2}-"]
    server.requests.clear()
    again = run(*words, tmp_path / "got")
    assert again.returncode == 0 and not server.requests and "unpacked: skipping" in again.stderr


def test_what_is_fetched_and_wrong_is_one_line(miniature, server, tmp_path):
    files = write_listing(tmp_path / "files.tsv", miniature, [ARCHIVE, LEXICON], known=[ARCHIVE])
    text = files.read_text()
    files.write_text(text.replace(text.split("\t")[2], "0" * 32))
    words = ["local/ljspeech/download.sh", "--files", files, "--url", server.url, "--pause", "0.01"]
    line = last_line(run(*words, tmp_path / "got"))
    assert f"{ARCHIVE} cannot be fetched" in line and "its md5 is" in line
    assert "run local/ljspeech/download.sh DIR where it works and copy DIR here" in line
    write_tar(tmp_path / ARCHIVE, {"other/metadata.csv": b""})
    files = write_listing(tmp_path / "files.tsv", tmp_path, [ARCHIVE], known=[ARCHIVE])
    files.write_text(files.read_text() + f"{LEXICON}\t-\t-\t{server.url}\n")
    shutil.copy(tmp_path / ARCHIVE, tmp_path / "got")
    assert "has no LJSpeech-1.1/metadata.csv: remove it and try again" in last_line(run(*words, tmp_path / "got"))


def test_at_16_khz_it_is_a_corpus_with_phones(unpacked, tmp_path):
    words = ["local/ljspeech/prepare.sh", "--dev-utterances", "1", "--nj", "1", unpacked, tmp_path / "data"]
    done = run(*words)
    assert done.returncode == 0, done.stderr
    train, dev = (tmp_path / "data" / f"{name}_clean" for name in ("train", "dev"))
    assert read_table(train / "text") == {
        "LJ-001-0001": "PRINTING IN FOURTEEN FIFTY",
        "LJ-001-0002": "A CAFE THE MAN'S",
        "LJ-002-0001": "IN A CAFE",
    }
    assert read_table(dev / "text") == {"LJ-050-0278": "THE LAST"} and read_table(dev / "spk2gender") == {"LJ": "f"}
    assert read_table(train / "text.phn")["LJ-001-0002"] == "AH K AE F EY DH AH M AE N Z"
    assert "FIFTY" in (tmp_path / "data/lang/lexicon_oov.txt").read_text()
    reader = AudioReader(train)
    assert reader.info("LJ-001-0001").rate == 16000 and len(reader["LJ-001-0001"]) == 16000
    for folder in (train, dev):
        assert not [problem.line for problem in validate(folder, Options()).problems if problem.error]
    assert run(*words).stdout.count("is done and unchanged: skipping") == 3


def test_at_its_own_rate_the_files_stay_where_they_are(unpacked, tmp_path):
    done = run("local/ljspeech/prepare.sh", "--rate", "own", "--dev-utterances", "2", unpacked, tmp_path / "data")
    assert done.returncode == 0, done.stderr
    reader = AudioReader(tmp_path / "data/train_clean")
    assert reader.utts == ["LJ-001-0001", "LJ-001-0002"] and reader.info("LJ-001-0002").rate == 22050
    assert reader.entry("LJ-001-0002") == str(unpacked / "LJSpeech-1.1/wavs/LJ001-0002.wav")
    assert len(read_table(tmp_path / "data/dev_clean/text")) == 2


def test_what_is_wrong_is_reported_in_one_line(unpacked, tmp_path):
    prepare = ["local/ljspeech/prepare.sh", "--rate", "own"]
    cases = [
        ([tmp_path], "metadata.csv: no such file: local/ljspeech/download.sh"),
        (["--rate", "8000", unpacked], "--rate takes one of 16000, own, got '8000'"),
        (["--dev-utterances", "0", unpacked], "--dev-utterances takes a whole number of at least 1"),
        (["--dev-utterances", "4", unpacked], "the corpus has 4 utterances in all"),
        (["--rate", "16000", "--lexicon", "none", unpacked], "no none: local/ljspeech/download.sh"),
    ]
    for words, line in cases:
        assert line in last_line(run(*prepare, *words, tmp_path / "data"))
    changes = [
        (lambda folder: (folder / "wavs/LJ001-0002.wav").unlink(), "LJ001-0002: no wavs/LJ001-0002.wav: unpack"),
        (lambda folder: (folder / "metadata.csv").write_text("LJ1|a|b\n"), "metadata.csv:1: expected `LJ001-0001|"),
        (lambda folder: (folder / "metadata.csv").write_text("LJ001-0001|a\n"), "metadata.csv:1: expected"),
    ]
    for number, (change, line) in enumerate(changes):
        copy = tmp_path / f"{number}"
        shutil.copytree(unpacked, copy)
        change(copy / "LJSpeech-1.1")
        assert line in last_line(run(*prepare, "--dev-utterances", "1", copy, tmp_path / "data"))


def test_the_published_list_is_well_formed():
    lines = [line.split("\t") for line in (ROOT / "local/ljspeech/files.tsv").read_text().splitlines()]
    lines = [line for line in lines if not line[0].startswith("#")]
    assert [line[0] for line in lines] == [ARCHIVE, LEXICON]
    assert all(len(md5) == 32 and all(url.startswith("https://") for url in urls) for _, _, md5, *urls in lines)
