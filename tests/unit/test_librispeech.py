"""LibriSpeech: a miniature in the published layout, fetched from a server here, unpacked and prepared."""

import io
import shutil
import tarfile
from pathlib import Path

import pytest
import soundfile
from data_maker import ROOT, last_line, run, snapshot, tone
from served import Server, write_listing, write_tar

from mimic.corpus.validate import Options, validate
from mimic.io.audio import AudioReader
from mimic.io.tables import read_table

PARTS = {
    "train-clean-100": {"103-1240": ["HE WAS HERE", "SHE SAW A WUG"], "1034-7": ["HE SAW HER"]},
    "dev-clean": {"84-121123": ["SHE WAS HERE"]},
    "test-clean": {"61-70968": ["HE SAW HIM", "HE WAS"]},
}
SPEAKERS = """; some words
;ID  |SEX| SUBSET           |MINUTES| NAME
103  | F | train-clean-100  | 25.03 | Karen Savage
1034 | M | train-clean-100  | 25.08 | Kevin O'Coin
84   | F | dev-clean        |  8.02 | Christie Nowak
61   | M | test-clean       |  8.08 | Paul-Gabriel Wiener
"""
WORDS = (
    "A AH0",
    "HE HH IY1",
    "HER HH ER1",
    "HERE HH IY1 R",
    "HIM HH IH1 M",
    "SAW S AO1",
    "SHE SH IY1",
    "WAS W AA1 Z",
    "GUM G AH1 M",
)
LEXICON = "librispeech-lexicon.txt"
ARCHIVES = [f"{part}.tar.gz" for part in PARTS]

pytestmark = pytest.mark.xdist_group("librispeech")


def make_archive(path: Path, part: str) -> None:
    """LibriSpeech/<part>/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NNNN.flac and .trans.txt, and what every archive has."""
    members = {"LibriSpeech/SPEAKERS.TXT": SPEAKERS.encode(), "LibriSpeech/README.TXT": b"words\n"}
    for chapter, texts in PARTS[part].items():
        folder = f"LibriSpeech/{part}/{chapter.replace('-', '/')}"
        lines = []
        for i, text in enumerate(texts):
            flac = io.BytesIO()
            soundfile.write(flac, tone(1 + i / 4, seed=i), 16000, format="FLAC")
            members[f"{folder}/{chapter}-{i:04d}.flac"] = flac.getvalue()
            lines.append(f"{chapter}-{i:04d} {text}\n")
        members[f"{folder}/{chapter}.trans.txt"] = "".join(lines).encode()
    write_tar(path, members)


@pytest.fixture(scope="module")
def miniature(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("librispeech")
    for part in PARTS:
        make_archive(folder / f"{part}.tar.gz", part)
    (folder / LEXICON).write_text("\n".join(WORDS) + "\n")
    return folder


def download(server: Server, files: Path, folder: Path, *options: str, parts: str = " ".join(PARTS)):
    words = ["--files", files, "--url", f"{server.url}/", "--pause", "0.01", "--parts", parts]
    return run("local/librispeech/download.sh", *words, *options, folder)


@pytest.fixture(scope="module")
def unpacked(miniature, tmp_path_factory) -> Path:
    """The miniature as tar leaves it, with the lexicon beside."""
    folder = tmp_path_factory.mktemp("unpacked")
    for name in ARCHIVES:
        with tarfile.open(miniature / name) as archive:
            archive.extractall(folder, filter="data")
    shutil.copy(miniature / LEXICON, folder)
    return folder


def test_download_resumes_checks_and_unpacks_and_skips_what_is_there(miniature, server, unpacked, tmp_path):
    files = write_listing(tmp_path / "files.tsv", miniature, [*ARCHIVES, LEXICON], known=ARCHIVES[:1])
    server.faults[ARCHIVES[0]] = ["cut", "503"]
    server.faults[ARCHIVES[1]] = ["flip"]
    folder = tmp_path / "got"
    done = download(server, files, folder, "--remove-archives", "true")
    assert done.returncode == 0, done.stderr
    found = {name: raw for name, raw in snapshot(folder).items() if name != "checksums.tsv"}
    assert found == snapshot(unpacked)
    size = (miniature / ARCHIVES[0]).stat().st_size
    assert [wanted for name, wanted in server.requests if name == ARCHIVES[0]][-1] == f"bytes={size // 2}-"
    assert f"{ARCHIVES[1]}: it is damaged" in done.stderr
    server.requests.clear()
    again = download(server, files, folder)
    assert again.returncode == 0 and not server.requests and again.stderr.count("unpacked: skipping") == 3


def test_a_wrong_sum_or_content_is_one_line(miniature, server, tmp_path):
    files = write_listing(tmp_path / "files.tsv", miniature, [*ARCHIVES, LEXICON], known=ARCHIVES)
    text = files.read_text()
    files.write_text(text.replace(text.split("\t")[2], "0" * 32))  # of the first archive
    line = last_line(download(server, files, tmp_path / "got"))
    assert f"{ARCHIVES[0]} cannot be fetched" in line and "its md5 is" in line and "no network here?" in line
    assert not (tmp_path / "got" / "LibriSpeech" / "train-clean-100").exists()
    other = download(server, files, tmp_path / "got", parts="train-clean-5")
    assert "has no train-clean-5.tar.gz: it has" in last_line(other)
    shutil.copy(miniature / "dev-clean.tar.gz", tmp_path / "test-clean.tar.gz")
    shutil.copy(tmp_path / "test-clean.tar.gz", tmp_path / "got")
    files = write_listing(tmp_path / "files.tsv", tmp_path, ["test-clean.tar.gz"])
    files.write_text(files.read_text() + f"{LEXICON}\t-\t-\t{server.url}\n")
    wrong = run("local/librispeech/download.sh", "--files", files, "--url", server.url, "--parts", "test-clean",
                tmp_path / "got")  # fmt: skip
    assert "test-clean.tar.gz has no LibriSpeech/test-clean: remove it" in last_line(wrong)


def prepare(src: Path, data: Path, *options: str):
    words = ["--nj", "1", "--train-parts", "train-clean-100", *options]
    return run("local/librispeech/prepare.sh", *words, src, data)


def test_data_directories_are_those_that_kaldi_would_have(unpacked, tmp_path):
    done = prepare(unpacked, tmp_path / "data")
    assert done.returncode == 0, done.stderr
    train = tmp_path / "data" / "train_clean"
    assert read_table(train / "text") == {
        "103-1240-0000": "HE WAS HERE",
        "103-1240-0001": "SHE SAW A WUG",
        "1034-7-0000": "HE SAW HER",
    }
    assert read_table(train / "utt2spk")["103-1240-0001"] == "103"
    assert read_table(train / "spk2gender") == {"103": "f", "1034": "m"}
    assert read_table(train / "text.phn")["103-1240-0000"] == "HH IY W AA Z HH IY R"
    for name, utts in (("train", 3), ("dev", 1), ("test", 2)):
        folder = tmp_path / "data" / f"{name}_clean"
        assert not [problem.line for problem in validate(folder, Options()).problems if problem.error]
        reader = AudioReader(folder)
        assert len(reader.utts) == utts and all(reader.entry(utt).endswith(".flac") for utt in reader.utts)
    assert AudioReader(train)["103-1240-0001"].shape == (20000,)  # where tar has put it
    output = prepare(unpacked, tmp_path / "data").stdout
    assert output.count("is done and unchanged: skipping") == 4


def test_what_is_wrong_is_reported_in_one_line(unpacked, tmp_path):
    line = last_line(prepare(tmp_path, tmp_path / "data"))
    assert "LibriSpeech: no such directory: local/librispeech/download.sh" in line
    assert "no transcripts: local/librispeech/download.sh --parts dev-other" in last_line(
        prepare(unpacked, tmp_path / "data", "--dev-parts", "dev-other")
    )
    chapter = Path("LibriSpeech/train-clean-100/103/1240")
    for number, (change, text) in enumerate(
        [
            (lambda c: (c / chapter / "103-1240-0001.flac").unlink(), "103-1240-0001: no 103-1240-0001.flac beside it"),
            (lambda c: (c / "LibriSpeech/SPEAKERS.TXT").write_text("; none\n"), "no line for speaker 103"),
            (lambda c: (c / "LibriSpeech/SPEAKERS.TXT").unlink(), "SPEAKERS.TXT: no such file"),
            (
                lambda c: (c / chapter).rename(c / chapter.with_name("9")),
                "is not an utterance of this speaker and chapter",
            ),
        ]
    ):
        shutil.copytree(unpacked, tmp_path / f"{number}")
        change(tmp_path / f"{number}")
        assert text in last_line(prepare(tmp_path / f"{number}", tmp_path / "data"))


def test_the_published_list_is_well_formed():
    lines = [line.split("\t") for line in (ROOT / "local/librispeech/files.tsv").read_text().splitlines()]
    lines = [line for line in lines if not line[0].startswith("#")]
    sets = [f"{a}-{b}.tar.gz" for a in ("dev", "test") for b in ("clean", "other")]
    sets += [f"train-{name}.tar.gz" for name in ("clean-100", "clean-360", "other-500")]
    assert {line[0] for line in lines} == {*sets, LEXICON, "librispeech-lm-norm.txt.gz"}
    assert all(len(md5) == 32 and all(url.startswith("https://") for url in urls) for _, _, md5, *urls in lines)
