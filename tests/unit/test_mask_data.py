"""Data for enhancers from clean speech: Mini LibriSpeech and OpenRIR from a server here, RIRs, shares and subsets."""

import io
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_maker import ROOT, last_line, run, tone
from model_maker import program
from served import Server, write_listing, write_tar

from mimic.augment.mixing import Rir, reverberate
from mimic.augment.recordings import Recordings, list_recordings
from mimic.augment.rirs import reverberation_time
from mimic.corpus.validate import Options, validate
from mimic.io.tables import read_table, write_data_dir

PARTS = {"train-clean-5": "1088-134315", "dev-clean-2": "1272-135031", "test-clean": "61-70968"}
NAMES = [*(f"{part}.tar.gz" for part in PARTS), "librispeech-lexicon.txt", "rirs_noises.zip"]

pytestmark = pytest.mark.xdist_group("mask_data")


def sound(samples: int, seed: int, channels: int = 1, kind: str = "WAV") -> bytes:
    made = io.BytesIO()
    x = 0.1 * np.random.default_rng(seed).standard_normal((samples, channels))
    x[50] = 0.9
    soundfile.write(made, x, 16000, format=kind)
    return made.getvalue()


def speech_archive(path: Path, part: str) -> None:
    chapter, folder = PARTS[part], f"LibriSpeech/{part}/{PARTS[part].replace('-', '/')}"
    members = {"LibriSpeech/SPEAKERS.TXT": "".join(
        f"{c.partition('-')[0]} | F | {p} | 1.0 | Somebody\n" for p, c in PARTS.items()).encode()}  # fmt: skip
    for i in range(2):
        flac = io.BytesIO()
        soundfile.write(flac, tone(1.0, seed=i), 16000, format="FLAC")
        members[f"{folder}/{chapter}-{i:04d}.flac"] = flac.getvalue()
    members[f"{folder}/{chapter}.trans.txt"] = "".join(f"{chapter}-{i:04d} HE WAS\n" for i in range(2)).encode()
    write_tar(path, members)


def rir_archive(path: Path) -> None:
    """The folders, lists and names of OpenSLR 28: RIRs with the room, noises of two sorts, and simulated rooms."""
    real, lists = "RIRS_NOISES/real_rirs_isotropic_noises", {"noise": "", "iso": "", "rir": ""}
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(8):
            noise = f"RIRS_NOISES/pointsource_noises/noise-free-sound-{i:04d}.wav"
            archive.writestr(noise, sound(4000, i))
            lists["noise"] += f"--noise-id {i:05d} --noise-type point-source --bg-fg-type foreground {noise}\n"
        for i in range(4):
            name = f"{real}/RVB2014_type1_noise_room{i}_1.wav"
            archive.writestr(name, sound(4000, i, channels=8))
            lists["iso"] += f"--noise-id {i:05d} --noise-type isotropic --room-linkage room{i} {name}\n"
        for i in range(12):
            name = f"{real}/RVB2014_type1_rir_room{i % 6}_{i}.wav"
            archive.writestr(name, sound(900, i, channels=2))
            lists["rir"] += f"--rir-id {i:05d} --room-id RVB2014_room{i % 6} {name}\n"
        archive.writestr("RIRS_NOISES/pointsource_noises/noise_list", lists["noise"])
        archive.writestr(f"{real}/noise_list", lists["iso"])
        archive.writestr(f"{real}/rir_list", lists["rir"])
        archive.writestr("RIRS_NOISES/simulated_rirs/smallroom/Room001/Room001-00001.wav", sound(900, 1))


@pytest.fixture(scope="module")
def miniature(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("miniature")
    for part in PARTS:
        speech_archive(folder / f"{part}.tar.gz", part)
    (folder / NAMES[3]).write_text("HE HH IY1\nWAS W AA1 Z\n")
    rir_archive(folder / NAMES[4])
    return folder


def test_download_goes_on_checks_unpacks_and_prepares(miniature, tmp_path):
    files = write_listing(tmp_path / "files.tsv", miniature, NAMES, known=NAMES)
    got, data = tmp_path / "got", tmp_path / "data"
    with Server(miniature) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        words = ["--files", files, "--url", server.url, "--pause", "0.01"]
        server.faults["rirs_noises.zip"] = ["cut", "503", "flip"]
        done = run("local/mini_librispeech/download.sh", *words, got)
        assert done.returncode == 0, done.stderr
        size = (miniature / "rirs_noises.zip").stat().st_size
        assert ("rirs_noises.zip", f"bytes={size // 2}-") in server.requests
        assert "rirs_noises.zip: its md5 is" in done.stderr  # flipped: fetched once more
        assert not (got / "RIRS_NOISES" / "simulated_rirs").exists()
        server.requests.clear()
        again = run("local/mini_librispeech/download.sh", *words, "--remove-archives", "true", got)
        assert again.returncode == 0 and not server.requests
        assert not list(got.glob("*.zip")) and not list(got.glob("*.tar.gz"))
        server.shutdown()

    done = run("local/mini_librispeech/prepare.sh", got, data)
    assert done.returncode == 0, done.stderr
    for name, (part, chapter) in zip(("train", "dev", "test"), PARTS.items(), strict=True):
        folder = data / "corpus" / f"{name}_clean"
        assert list(read_table(folder / "text")) == [f"{chapter}-0000", f"{chapter}-0001"]
        assert f"/{part}/" in read_table(folder / "wav.scp")[f"{chapter}-0000"]
        assert not [p.line for p in validate(folder, Options()).problems if p.error]
    found = {kind: {part: Recordings(data / "openrir" / kind / part) for part in ("train", "test")}
             for kind in ("noises", "rooms")}  # fmt: skip
    assert len(found["noises"]["train"]) == 9 and len(found["noises"]["test"]) == 3
    assert {name.partition("-")[0] for name in found["noises"]["train"]} == {"pointsource", "isotropic"}
    sources = {part: {name.partition("-")[0] for name in found["rooms"][part]} for part in found["rooms"]}
    assert sources["test"] == {"RVB2014_room3"} and len(sources["train"]) == 5  # all of a room are on one side
    assert all(len(x) == 900 for x in found["rooms"]["train"].values())

    Path(found["noises"]["train"].wavs["pointsource-noise-free-sound-0000"]).unlink()
    line = last_line(run("local/mini_librispeech/prepare.sh", got, data))
    assert "noise_list:1: RIRS_NOISES/pointsource_noises/noise-free-sound-0000.wav is not there: remove" in line
    line = last_line(run("local/mini_librispeech/prepare.sh", tmp_path, data))
    assert "LibriSpeech: no such directory: local/mini_librispeech/download.sh" in line


def test_the_published_list_is_well_formed():
    lines = [line.split("\t") for line in (ROOT / "local/mini_librispeech/files.tsv").read_text().splitlines()]
    lines = [line for line in lines if not line[0].startswith("#")]
    assert [line[0] for line in lines] == NAMES
    assert all(len(md5) == 32 and all(url.startswith("https://") for url in urls) for _, _, md5, *urls in lines)


def test_recordings_are_split_as_they_are_or_by_type(tmp_path):
    for part, kinds in (("train", "ab"), ("test", "c")):
        for kind in kinds:
            for i in range(5):
                (tmp_path / "own" / part).mkdir(parents=True, exist_ok=True)
                (tmp_path / "own" / part / f"{kind}-{i}.wav").touch()
    for out, source, options, kinds in (
        ("x", tmp_path / "own", (), "c"),
        ("y", tmp_path / "own" / "train", (), "b"),
        ("z", tmp_path / "own" / "train", ("--by-type", "false"), "ab"),
    ):
        assert run("local/split_recordings.sh", *options, source, tmp_path / out).returncode == 0
        shares = {part: list_recordings(tmp_path / out / part) for part in ("train", "dev", "test")}
        assert {name[0] for name in shares["test"]} == set(kinds)
        assert not set(shares["test"]) & (set(shares["train"]) | set(shares["dev"]))
        assert not set(shares["train"]) & set(shares["dev"])
    assert "unchanged: skipping" in run("local/split_recordings.sh", tmp_path / "own", tmp_path / "x").stdout
    assert "no such folder" in last_line(run("local/split_recordings.sh", tmp_path / "none", tmp_path / "w"))


def test_simulated_rirs_are_the_same_for_any_number_of_jobs(tmp_path):
    pytest.importorskip("pyroomacoustics")
    for nj in ("1", "2"):
        words = ("--rirs", "3", "--longest", "0.25", "--nj", nj, tmp_path / nj)
        done = run("local/simulate_rirs.sh", *words)
        assert done.returncode == 0, done.stderr
    one, two = (Recordings(tmp_path / nj) for nj in ("1", "2"))
    assert len(one) == 3 and all(np.array_equal(one[name], two[name]) for name in one)
    facts = {name: line.split() for name, line in read_table(tmp_path / "1" / "rirs.tsv").items()}
    for name, (rt60, volume, distance) in facts.items():
        assert float(rt60) == pytest.approx(reverberation_time(one[name]), abs=2e-3)  # of what is written, in 16 bit
        assert 0.1 <= float(rt60) <= 0.35 and 20 < float(volume) < 170 and 0.5 <= float(distance) <= 3
        energy = np.cumsum(np.square(one[name], dtype=float)[::-1])[::-1]
        later = round(float(rt60) * 16000) + int(np.argmax(np.abs(one[name])))
        if later < len(energy):  # 60 dB down by then, within what the formula of Sabine is good for
            assert 10 * np.log10(energy[later] / energy[0]) < -30
        assert len(reverberate(tone(0.5), Rir(one[name]))[0]) == 8000
    words = "--longest", "long", tmp_path / "x"
    assert "--longest takes a number above 0" in last_line(run("local/simulate_rirs.sh", *words))


@pytest.mark.parametrize("rt60", [0.15, 0.5, 1.2])
def test_reverberation_time_is_measured(rt60):
    time = np.arange(round((rt60 + 0.1) * 16000)) / 16000
    rir = np.random.default_rng(1).standard_normal(len(time)) * 10 ** (-3 * time / rt60)
    # The decay of a few independent samples per interval of the line: sqrt(1 / 16000 / 0.15 s) is 2 %.
    assert reverberation_time(np.concatenate([np.zeros(80), rir]).astype(np.float32)) == pytest.approx(rt60, rel=0.05)
    assert np.isnan(reverberation_time(np.ones(100, np.float32)))


def test_subset_keeps_tables_and_segments(tmp_path):
    utts = [f"s{i // 3}-{i:02d}" for i in range(9)]
    tables = {"utt2spk": {utt: utt[:2] for utt in utts}, "text": dict.fromkeys(utts, "A")}
    tables["spk2gender"] = {f"s{i}": "f" for i in range(3)}
    write_data_dir(tmp_path / "plain", tables | {"wav.scp": {utt: f"/{utt}.wav" for utt in utts}})
    write_data_dir(tmp_path / "cut", tables | {"wav.scp": {"r": "/r.wav"}, "segments": dict.fromkeys(utts, "r 0 1")})
    for name, recordings in (("plain", ["s0-00", "s1-04"]), ("cut", ["r"])):
        out = tmp_path / f"{name}2"
        done = run("steps/subset_data.sh", tmp_path / name, "2", out)
        assert done.returncode == 0, done.stderr
        assert list(read_table(out / "text")) == list(read_table(out / "utt2spk")) == ["s0-00", "s1-04"]
        assert list(read_table(out / "wav.scp")) == recordings
        assert read_table(out / "spk2gender") == {"s0": "f", "s1": "f"}
    assert list(read_table(tmp_path / "cut2" / "segments")) == ["s0-00", "s1-04"]
    zero = run("steps/subset_data.sh", tmp_path / "plain", "0", tmp_path / "x")
    assert "is a whole number above 0" in last_line(zero)


def test_subset_by_duration(tmp_path, caplog):
    utts = [f"s-{i}" for i in range(4)]
    tables = {"utt2spk": dict.fromkeys(utts, "s"), "wav.scp": {utt: f"{tmp_path}/{utt}.wav" for utt in utts}}
    write_data_dir(tmp_path / "a", tables | {"utt2dur": {utt: f"{i + 1}.0" for i, utt in enumerate(utts)}})
    write_data_dir(tmp_path / "b", tables)  # without utt2dur: the files say it
    for i, utt in enumerate(utts):
        soundfile.write(tmp_path / f"{utt}.wav", np.zeros(100 * (i + 1)), 100)
    for name in "ab":
        words = ("--min-dur", "2", "--max-dur", "3", tmp_path / name, "all", tmp_path / f"{name}2")
        assert program("subset_data.py", *words) == 0
        assert list(read_table(tmp_path / f"{name}2/utt2spk")) == ["s-1", "s-2"]
        assert (tmp_path / f"{name}2/skipped.tsv").read_text() == (
            "s-0\t1.000 s, shorter than --min-dur 2\ns-3\t4.000 s, longer than --max-dur 3\n"
        )
        words = ("--utt-list", tmp_path / f"{name}2/utt2spk", tmp_path / name, "all", tmp_path / f"{name}3")
        assert program("subset_data.py", *words) == 0
        assert list(read_table(tmp_path / f"{name}3/wav.scp")) == ["s-1", "s-2"]
    (tmp_path / "other").write_text("x-1 x\n")
    assert program("subset_data.py", "--utt-list", tmp_path / "other", tmp_path / "a", "all", tmp_path / "x") == 1
    assert "a: has no utterance of" in caplog.messages[-1]
    assert program("subset_data.py", "--min-dur", "9", tmp_path / "a", "all", tmp_path / "x") == 1
    assert "no utterance of at least 9 s" in caplog.messages[-1]
    assert program("subset_data.py", "--less-speakers", "s", tmp_path / "a", "all", tmp_path / "x") == 1
    assert "no utterance is left without the speakers s" in caplog.messages[-1]
    assert program("subset_data.py", "--speakers", "s t", tmp_path / "a", "all", tmp_path / "x") == 1
    assert "no speaker t in utt2spk, which has s" in caplog.messages[-1]
    write_data_dir(tmp_path / "none", {"utt2spk": {}, "wav.scp": {}})
    assert program("subset_data.py", tmp_path / "none", "all", tmp_path / "x") == 1
    assert "utt2spk: empty: no utterances" in caplog.messages[-1]
