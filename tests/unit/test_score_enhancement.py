"""Scoring directories and folders: jobs, NA rows, the tables, errors that name the utterance."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import score_enhancement
import soundfile
import soxr
from data_maker import ROOT, edit
from score_maker import RATE, needs_pesq, noisy, speechlike, write_pair

from mimic.errors import UserError
from mimic.io.tables import write_table
from mimic.metrics.enhancement import STANDARD
from mimic.metrics.figures import Row, breakdown, summary
from mimic.metrics.kaldi_dir import read_tsv
from mimic.metrics.pairs import Pairs
from mimic.metrics.scores import read_lines, read_rows, read_scores, utterance_lines

FAST = "stoi,estoi,segsnr,si-sdr"
TABLES = ("per_utt.tsv", "summary.tsv", "breakdown.tsv")


def step(*arguments: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["steps/score_enhancement.sh", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True
    )


@pytest.fixture
def program(monkeypatch):
    """The program, in this process."""

    def run(*arguments: str | int | Path) -> None:
        monkeypatch.setattr(sys, "argv", ["score_enhancement.py", *map(str, arguments)])
        score_enhancement.main()

    return run


def tables(path: Path) -> dict[str, bytes]:
    return {name: (path / name).read_bytes() for name in TABLES}


def replace_audio(data: Path, utt: str, x: np.ndarray, rate: int = RATE) -> None:
    """Give an utterance other samples in a file of its own."""
    wav = data / f"{utt}-other.wav"
    soundfile.write(wav, x, rate, subtype="FLOAT")
    entries = dict(line.split(" ", 1) for line in (data / "wav.scp").read_text().splitlines())
    write_table(data / "wav.scp", entries | {utt: str(wav)})


def test_any_number_of_jobs_and_a_second_run_give_the_same_bytes(tmp_path, program):
    clean, noisy_dir = write_pair(tmp_path)
    done = step("--nj", "1", "--measures", FAST, clean, noisy_dir, tmp_path / "one")
    assert done.returncode == 0, done.stderr
    assert "5 utterances" in done.stdout and "estoi" in done.stdout
    assert step("--nj", "2", "--measures", FAST, clean, noisy_dir, tmp_path / "two").returncode == 0
    first = tables(tmp_path / "one")
    assert tables(tmp_path / "two") == first and not (tmp_path / "two/jobs").exists()
    assert "skipping" in step("--nj", "1", "--measures", FAST, clean, noisy_dir, tmp_path / "one").stdout
    program("--measures", FAST, tmp_path / "clean_wav", tmp_path / "noisy_wav", tmp_path / "folders")
    assert (tmp_path / "folders/per_utt.tsv").read_bytes() == first["per_utt.tsv"]

    rows, measures = read_tsv(tmp_path / "one/per_utt.tsv")
    assert measures == tuple(FAST.split(",")) and [row.utt for row in rows] == sorted(row.utt for row in rows)
    assert all(row.reason == "-" and 0.2 < row.scores["estoi"] < row.scores["stoi"] < 1 for row in rows)
    assert read_rows(tmp_path / "one") == {row.utt: row for row in rows}  # the JSON and the tables say the same
    scores = read_scores(tmp_path / "one")
    assert scores.utterances == scores.data.utterances == 5 and tuple(scores.figures) == measures
    texts = [line.split("\t") for line in first["summary.tsv"].decode().splitlines()[2:]]
    assert texts == summary(scores.figures)
    texts = [line.split("\t") for line in first["breakdown.tsv"].decode().splitlines()[2:]]
    assert texts == breakdown(scores.conditions)
    line = next(line for line in first["summary.tsv"].decode().splitlines() if line.startswith("estoi\t")).split("\t")
    assert float(line[1]) == pytest.approx(np.mean([row.scores["estoi"] for row in rows]), abs=1e-4)
    assert float(line[2]) < float(line[1]) < float(line[3]) and line[4:] == ["5", "0"]
    by_snr = [line.split("\t") for line in first["breakdown.tsv"].decode().splitlines() if line.startswith("snr\t")]
    assert [row[1:3] + row[6:] for row in by_snr if row[2] == "stoi"] == [
        ["2.5", "stoi", "2", "0"],
        ["7.5", "stoi", "3", "0"],
    ]


def test_what_a_job_has_scored_is_not_scored_again(tmp_path, program):
    clean, noisy_dir = write_pair(tmp_path)
    scoring = tmp_path / "scoring"
    program("--job", 1, "--nj", 2, "--measures", "si-sdr", clean, noisy_dir, scoring)
    (job_file,) = (scoring / "jobs").iterdir()
    rows = read_lines(job_file)
    job_file.write_text("".join(utterance_lines(Row(row.utt, {"si-sdr": 77.0}) for row in rows)))
    # The next run has other jobs; what one of them would score lies partly in the file of this one.
    for job in (1, 2, 3):
        program("--job", job, "--nj", 3, "--measures", "si-sdr", clean, noisy_dir, scoring)
    program("--measures", "si-sdr", clean, noisy_dir, scoring)
    found = {row.utt: row.scores["si-sdr"] for row in read_tsv(scoring / "per_utt.tsv")[0]}
    assert [utt for utt, value in found.items() if value == 77.0] == [row.utt for row in rows] and len(found) == 5
    program("--job", 1, "--nj", 1, "--measures", "si-sdr", clean, noisy_dir, scoring)
    program("--measures", "stoi", clean, noisy_dir, scoring)  # scores of other measures are of no use
    assert read_tsv(scoring / "per_utt.tsv")[1] == ("stoi",)


@needs_pesq
def test_bad_utterances_are_na_with_a_reason(tmp_path):
    clean, noisy_dir = write_pair(tmp_path)
    utts = [line.split()[0] for line in (clean / "wav.scp").read_text().splitlines()]
    x = soundfile.read(tmp_path / f"clean_wav/{utts[0]}.wav", dtype="float32")[0]
    replace_audio(noisy_dir, utts[0], 0 * x)
    x = soundfile.read(tmp_path / f"clean_wav/{utts[1]}.wav", dtype="float32")[0]
    replace_audio(noisy_dir, utts[1], np.where(np.arange(len(x)) == 99, np.nan, x))
    replace_audio(clean, utts[2], speechlike(0.1))
    replace_audio(noisy_dir, utts[2], noisy(speechlike(0.1), 0.01))
    edit(noisy_dir / "wav.scp", (noisy_dir / "wav.scp").read_text().splitlines(True)[3], "")
    done = step("--nj", "2", clean, noisy_dir, tmp_path / "scoring")
    assert done.returncode == 0, done.stderr
    assert "4 of 5 have an NA" in done.stderr
    rows = {row.utt: row for row in read_tsv(tmp_path / "scoring/per_utt.tsv")[0]}
    assert rows[utts[0]].reason == "the enhanced audio is silent"
    assert rows[utts[1]].reason == "NaN or infinite samples in the enhanced audio"
    assert rows[utts[3]].reason == "no enhanced audio"
    assert all(value is None for k in (0, 1, 3) for value in rows[utts[k]].scores.values())
    assert "wb-pesq,nb-pesq,csig,cbak,covl: shorter than 0.25 s" in rows[utts[2]].reason
    assert "stoi,estoi: less than 0.4 s of speech" in rows[utts[2]].reason
    assert rows[utts[2]].scores["si-sdr"] > 0 and rows[utts[4]].reason == "-"
    lines = dict(line.split("\t", 1) for line in (tmp_path / "scoring/summary.tsv").read_text().splitlines()[3:])
    assert lines["wb-pesq"].endswith("\t1\t4") and lines["si-sdr"].endswith("\t2\t3")
    assert lines.keys() == set(STANDARD)


@needs_pesq
def test_odd_utterances_in_plain_folders_and_the_same_bytes_again(tmp_path, program, capsys):
    x = speechlike(1.5)
    pairs = {
        "as-it-is": (x, x),
        "clipped": (x, np.clip(20 * x, -1, 1)),
        "shifted": (x, np.roll(x, 1600)),
        "short": (x[:1600], noisy(x[:1600], 0.01)),
        "silent": (x, 0 * x),
    }
    for k, side in enumerate(("clean", "enhanced")):
        (tmp_path / side).mkdir()
        for name, pair in pairs.items():
            soundfile.write(tmp_path / side / f"{name}.wav", pair[k], RATE, subtype="PCM_16")
    written = []
    for name in ("one", "two"):
        program(tmp_path / "clean", tmp_path / "enhanced", tmp_path / name)
        written.append(tables(tmp_path / name) | {"printed": capsys.readouterr().out.encode()})
    assert written[0] == written[1]
    rows = {row.utt: row for row in read_tsv(tmp_path / "one/per_utt.tsv")[0]}
    assert rows["as-it-is"].scores["wb-pesq"] == pytest.approx(4.644, abs=5e-4)
    assert rows["as-it-is"].reason == "si-sdr: infinite: the signals are equal up to a gain"
    assert rows["clipped"].reason == rows["shifted"].reason == "-"
    assert None not in (rows["clipped"].scores | rows["shifted"].scores).values()
    assert "shorter than 0.25 s" in rows["short"].reason and rows["short"].scores["wb-pesq"] is None
    assert set(rows["silent"].scores.values()) == {None} and "silent" in rows["silent"].reason


def change_length(clean: Path, noisy_dir: Path, utt: str) -> None:
    replace_audio(noisy_dir, utt, speechlike(1.0))


def change_rate(clean: Path, noisy_dir: Path, utt: str) -> None:
    replace_audio(noisy_dir, utt, speechlike(1.2), 48000)


def add_utterance(clean: Path, noisy_dir: Path, utt: str) -> None:
    with open(noisy_dir / "wav.scp", "a") as f:
        f.write("zz-new nowhere.wav\n")


def remove_file(clean: Path, noisy_dir: Path, utt: str) -> None:
    edit(noisy_dir / "wav.scp", f"{utt}.wav", f"{utt}-gone.wav")


def add_pipe(clean: Path, noisy_dir: Path, utt: str) -> None:
    edit(noisy_dir / "wav.scp", f"{utt}.wav", f"{utt}.wav |")


def low_rate(clean: Path, noisy_dir: Path, utt: str) -> None:
    for data in (clean, noisy_dir):
        replace_audio(data, utt, speechlike(1.2), 4000)


def bad_rate(clean: Path, noisy_dir: Path, utt: str) -> None:
    write_table(clean / "utt2fs", {utt: "16k"})


def other_rate_than_declared(clean: Path, noisy_dir: Path, utt: str) -> None:
    write_table(clean / "utt2fs", {utt: "16000"})
    replace_audio(clean, utt, speechlike(3.0), 48000)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (other_rate_than_declared, "p0-00: the clean audio has 16000 samples, the enhanced 19200"),
        (bad_rate, "p0-00: .*utt2fs: expected Hz, a whole number above 0, got '16k'"),
        (change_length, "p0-00: the clean audio has 19200 samples, the enhanced 16000"),
        (change_rate, "p0-00: the clean audio is at 16000 Hz, the enhanced at 48000 Hz"),
        (low_rate, "p0-00: audio at 4000 Hz"),
        (add_utterance, "zz-new: in "),
        (remove_file, "p0-00: .*cannot be opened"),
        (add_pipe, "p0-00: .*--allow-pipes true"),
    ],
)
def test_errors_name_the_utterance(tmp_path, change, problem):
    clean, noisy_dir = write_pair(tmp_path)
    change(clean, noisy_dir, "p0-00")
    with pytest.raises(UserError, match=problem):
        Pairs(clean, noisy_dir).load("p0-00")


def test_a_bad_pair_is_an_error_and_the_others_are_scored(tmp_path):
    clean, noisy_dir = write_pair(tmp_path)
    change_length(clean, noisy_dir, "p1-03")
    command = ["--measures", "si-sdr", clean, noisy_dir, tmp_path / "scoring"]
    done = step(*command)
    message = "1 of 5 pairs are errors (allowed: --max-skip 0.01), first p1-03: the clean audio has "
    assert done.returncode == 1 and message in done.stderr and not (tmp_path / "scoring/.done").exists()
    rows = {row.utt: row for row in read_tsv(tmp_path / "scoring/per_utt.tsv")[0]}
    assert rows["p1-03"].reason.startswith("error: the clean audio has ") and rows["p1-03"].scores["si-sdr"] is None
    assert sum(row.scores["si-sdr"] is not None for row in rows.values()) == 4
    done = step("--measures", "nosuch", *command[-3:])
    assert done.returncode == 1 and "score_enhancement.sh: --measures nosuch: no measure" in done.stderr
    assert not (tmp_path / "scoring.old").exists()  # what is there is not moved away for that
    done = step(tmp_path / "data/test_clean", tmp_path / "data/nowhere", tmp_path / "scoring2")
    assert done.returncode == 1 and "run steps/enhance.sh first" in done.stderr


def test_errors_within_the_limit_and_a_corrected_pair(tmp_path, program):
    clean, noisy_dir = write_pair(tmp_path)
    before = (noisy_dir / "wav.scp").read_text()
    remove_file(clean, noisy_dir, "p0-00")
    words = ["--measures", "si-sdr", "--max-skip", "0.2", clean, noisy_dir, tmp_path / "scoring"]
    program("--job", 1, "--nj", 1, *words)
    (noisy_dir / "wav.scp").write_text(before)
    program(*words)  # what was an error is tried again
    assert {row.reason for row in read_tsv(tmp_path / "scoring/per_utt.tsv")[0]} == {"-"}
    remove_file(clean, noisy_dir, "p0-00")
    program(*words)  # one of five
    assert "cannot be opened" in read_tsv(tmp_path / "scoring/per_utt.tsv")[0][0].reason


def test_tables_of_urgent(tmp_path, program):
    """One directory with clean speech in spk1.scp and noisy in wav.scp, at the rates of utt2fs."""
    clean, data = write_pair(tmp_path, 3)
    program("--measures", FAST, clean, data, tmp_path / "expected")
    (clean / "wav.scp").rename(data / "spk1.scp")
    program("--measures", FAST, data, data, tmp_path / "scoring")
    assert read_rows(tmp_path / "scoring") == read_rows(tmp_path / "expected")
    assert read_scores(tmp_path / "scoring").data.audio == read_scores(tmp_path / "expected").data.audio

    # Enhanced speech where ESPnet writes it; clean speech of three rates, two of them not those of the enhanced.
    enhanced, wavs = tmp_path / "enhanced", {}
    enhanced.mkdir()
    for utt, rate, name in (("p0-00", 48000, "a"), ("p1-01", 8000, "b"), ("p0-02", 44100, "c")):
        x = speechlike(1.2345)
        for side, signal, here in (("clean", x, rate), ("enhanced", noisy(x, 0.01), 16000 if name == "a" else 48000)):
            wavs[side, utt] = str(tmp_path / f"{side}-{name}.wav")
            soundfile.write(wavs[side, utt], soxr.resample(signal, RATE, here), here, subtype="FLOAT")
    write_table(data / "spk1.scp", {utt: path for (side, utt), path in wavs.items() if side == "clean"})
    write_table(enhanced / "spk1.scp", {utt: path for (side, utt), path in wavs.items() if side == "enhanced"})
    write_table(data / "utt2fs", {"p0-00": "48000", "p1-01": "8000", "p0-02": "44100"})
    program("--measures", "estoi,si-sdr", data, enhanced, tmp_path / "rates")
    rows = read_rows(tmp_path / "rates").values()
    assert len(rows) == 3 and all(row.reason == "-" and row.scores["si-sdr"] > 10 for row in rows)
    assert [Pairs(data, enhanced).load(utt)[2] for utt in ("p0-00", "p1-01", "p0-02")] == [16000, 8000, 16000]


@needs_pesq
def test_narrow_band(tmp_path, program):
    """Folders of audio at 8 kHz have every score that is defined for it."""
    for side, level in (("clean", 0.0), ("enhanced", 0.01)):
        (tmp_path / side).mkdir()
        soundfile.write(tmp_path / side / "a.wav", noisy(speechlike(2.0), level)[::2], 8000)
    program(tmp_path / "clean", tmp_path / "enhanced", tmp_path / "scoring")
    ((row,), _) = read_tsv(tmp_path / "scoring/per_utt.tsv")
    assert {name for name, value in row.scores.items() if value is None} == {"wb-pesq", "csig", "cbak", "covl"}
    assert "defined for 16000 Hz" in row.reason and 1 < row.scores["nb-pesq"] < 4.55


def test_folders_need_audio_and_names_of_their_own(tmp_path):
    write_pair(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="neither a data directory"):
        Pairs(tmp_path / "empty", tmp_path / "noisy_wav")
    with pytest.raises(UserError, match="no such directory"):
        Pairs(tmp_path / "clean_wav", tmp_path / "none")
    shutil.copy(tmp_path / "clean_wav/p0-00.wav", tmp_path / "clean_wav/p0-00.flac")
    with pytest.raises(UserError, match="has the same name"):
        Pairs(tmp_path / "clean_wav", tmp_path / "noisy_wav")
