"""Download of VoiceBank-DEMAND from a server here that breaks off, lies and forgets."""

import hashlib
import os
import re
import shutil

import pytest
from data_maker import last_line, run, snapshot
from served import Server
from vbdemand_maker import LOCAL, ZIPS, download, listing, same_files

pytestmark = pytest.mark.xdist_group("vbdemand")


def test_download_goes_on_where_it_was_cut_off_and_skips_what_is_there(miniature, server, tmp_path):
    folder, files = tmp_path / "in" / "got", listing(tmp_path, miniature, known=("noisy_testset_wav.zip",))
    big = (miniature / "clean_testset_wav.zip").stat().st_size
    server.faults["clean_testset_wav.zip"] = ["cut", "503", "cut"]
    server.faults["noisy_testset_wav.zip"] = ["cut", "whole"]
    done = download(server, folder, files)
    assert done.returncode == 0, done.stderr
    assert same_files(folder, miniature)
    asked = [wanted for name, wanted in server.requests if name == "clean_testset_wav.zip"]
    assert asked == ["", f"bytes={big // 2}-", f"bytes={big // 2}-", f"bytes={big // 2 + (big - big // 2) // 2}-"]
    assert "the server starts at the beginning" in done.stderr
    record = [line.split("\t") for line in (folder / "checksums.tsv").read_text().splitlines()[1:]]
    for name, size, _, md5 in record:
        raw = (miniature / name).read_bytes()
        assert (int(size), md5) == (len(raw), hashlib.md5(raw).hexdigest())
    assert len(record) == 8
    server.requests.clear()
    again = download(server, folder, files)
    assert again.returncode == 0 and not server.requests and again.stderr.count("is there: skipping") == 8


def test_an_ended_download_goes_on_in_the_next_run(miniature, server, tmp_path):
    folder, files = tmp_path / "got", listing(tmp_path, miniature)
    name = "noisy_trainset_28spk_wav.zip"
    server.faults[name] = ["cut", "500", "500"]
    line = last_line(download(server, folder, files, "--tries", "2"))
    assert name in line and "HTTP 500" in line and not (folder / name).exists()
    half = (folder / f"{name}.part").stat().st_size
    assert half == (miniature / name).stat().st_size // 2
    server.requests.clear()
    assert download(server, folder, files).returncode == 0 and same_files(folder, miniature)
    assert (name, f"bytes={half}-") in server.requests


def test_a_whole_part_is_taken_and_one_that_is_too_long_is_not(miniature, server, tmp_path):
    folder, files = tmp_path / "got", listing(tmp_path, miniature, known=("testset_txt.zip",))
    folder.mkdir()
    shutil.copy(miniature / "logfiles.zip", folder / "logfiles.zip.part")
    for name in ("testset_txt.zip", "trainset_28spk_txt.zip"):
        (folder / f"{name}.part").write_bytes((miniature / name).read_bytes() + b"surplus")
    assert download(server, folder, files).returncode == 0 and same_files(folder, miniature)


def test_damaged_downloads_are_fetched_again(miniature, server, tmp_path):
    folder, files = tmp_path / "got", listing(tmp_path, miniature, known=("clean_testset_wav.zip",))
    for name in ("clean_testset_wav.zip", "noisy_testset_wav.zip", "logfiles.zip"):
        server.faults[name] = ["flip"]
    for name in ("testset_txt.zip", "librispeech-lexicon.txt"):
        server.faults[name] = ["page"]
    done = download(server, folder, files)
    assert done.returncode == 0 and same_files(folder, miniature)
    sum_of = hashlib.md5((miniature / "clean_testset_wav.zip").read_bytes()).hexdigest()
    assert re.search(rf"clean_testset_wav.zip: its md5 is \w+, not {sum_of}", done.stderr)
    assert done.stderr.count("it is damaged (") + done.stderr.count("in it is damaged") == 2
    assert done.stderr.count("it is a web page") == 2
    server.faults["logfiles.zip"] = ["page"] * 9
    (folder / "logfiles.zip").unlink()
    line = last_line(download(server, folder, files))
    assert "logfiles.zip cannot be fetched" in line and "it is a web page" in line
    assert len(server.faults["logfiles.zip"]) == 7  # twice the same is enough
    assert not (folder / "logfiles.zip").exists()


@pytest.mark.parametrize("known", [True, False])
def test_a_file_that_has_changed_since_is_fetched_again(miniature, server, tmp_path, known):
    name = "noisy_testset_wav.zip"
    folder, files = tmp_path / "got", listing(tmp_path, miniature, known=(name,) if known else ())
    shutil.copytree(miniature, folder)
    assert download(server, folder, files).returncode == 0 and not server.requests
    with open(folder / name, "r+b") as f:
        f.seek(1000)
        f.write(b"\x00\x01\x02")
    done = download(server, folder, files)
    assert done.returncode == 0 and same_files(folder, miniature) and "again: its md5 is" in done.stderr
    assert server.requests == [(name, "")]
    os.utime(folder / name)  # copied by hand: another time, the same bytes
    assert download(server, folder, files).returncode == 0 and len(server.requests) == 1


def test_without_a_network_it_says_how_to_bring_a_copy(miniature, tmp_path):
    with Server(miniature) as closed:
        pass
    files = listing(tmp_path, miniature, url=closed.url)
    words = ["--files", files, "--tries", "2", "--pause", "0"]
    line = last_line(run("local/vbdemand/download.sh", *words, tmp_path / "d"))
    assert "clean_trainset_28spk_wav.zip cannot be fetched" in line and "Connection refused" in line
    assert "no network here?" in line and "--vbdemand-dir DIR" in line
    assert not snapshot(tmp_path / "d")
    shutil.copytree(miniature, tmp_path / "d", dirs_exist_ok=True)
    assert run("local/vbdemand/download.sh", "--files", files, tmp_path / "d").returncode == 0


def test_a_missing_file_is_not_asked_for_again_and_unpacked_ones_not_at_all(miniature, server, tmp_path):
    folder, files = tmp_path / "got", listing(tmp_path, miniature)
    (folder / "clean_testset_wav_16k").mkdir(parents=True)
    (folder / "trainset_28spk_txt").mkdir()
    for name in ("log_trainset_28spk.txt", "log_testset.txt"):
        (folder / name).touch()
    server.faults["noisy_testset_wav.zip"] = ["404"]
    line = last_line(download(server, folder, files))
    assert "HTTP 404" in line and [n for n, _ in server.requests].count("noisy_testset_wav.zip") == 1
    done = download(server, folder, files)
    assert done.returncode == 0 and done.stderr.count("unpacked: skipping") == 3
    got = {name for name in os.listdir(folder) if name.endswith(".zip")}
    assert got == set(ZIPS) - {"clean_testset_wav.zip", "trainset_28spk_txt.zip", "logfiles.zip"}


def test_the_published_list_is_well_formed():
    lines = [line.split("\t") for line in (LOCAL / "files.tsv").read_text().splitlines() if line[0] != "#"]
    assert sorted(line[0] for line in lines) == sorted([*ZIPS, "librispeech-lexicon.txt"])
    for _, size, md5, *urls in lines:
        assert re.fullmatch(r"-|\d+", size) and re.fullmatch(r"-|[0-9a-f]{32}", md5)
        assert urls and all(url.startswith("https://") for url in urls)
