"""Repair: what is good stays byte for byte, what is bad becomes valid, what was there is in .backup."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_maker import UTTS, edit, in_tmpfs, make_dir, run, snapshot

from mimic.corpus.fix import fix, keep_common, unreadable
from mimic.corpus.validate import Options, validate, validate_pair
from mimic.errors import UserError
from mimic.io.tables import read_table, write_data_dir, write_table

FIX = "steps/fix_data.sh"


def errors(path: Path, **options) -> list[str]:
    return [p.line for p in validate(path, Options(**options)).problems if p.error]


def with_custom_tables(path: Path) -> Path:
    data = make_dir(path)
    for name, value in (("utt2snr", "5"), ("utt2noise", "hum"), ("text.phn", "W AH N T UW")):
        (data / name).write_text("".join(f"{utt} {value}\n" for utt in UTTS))
    return data


def test_a_good_directory_is_not_touched(tmp_path):
    data = with_custom_tables(tmp_path / "data")
    # Kaldi takes tabs and several blanks as well; they are no fault.
    (data / "text").write_text(
        (data / "text").read_text().replace("p1-001 ", "p1-001\t").replace("p1-002 ", "p1-002   ")
    )
    before, times = snapshot(tmp_path), {f: f.stat().st_mtime_ns for f in data.iterdir()}
    done = run(FIX, data)
    assert done.returncode == 0 and done.stdout == f"{data}: nothing to repair\n"
    assert snapshot(tmp_path) == before and {f: f.stat().st_mtime_ns for f in data.iterdir()} == times


def test_everything_at_once(tmp_path):
    data = with_custom_tables(tmp_path / "data")
    before = snapshot(data)
    lines = (data / "text").read_text().splitlines()
    # Windows line ends, reversed order, a line twice, blanks, a blank line, a byte order mark, no last newline.
    odd = [*reversed(lines), lines[0], "", "  ", "p10-003 ONE"]
    (data / "text").write_bytes(b"\xef\xbb\xbf" + " \r\n".join(odd).replace("THREE FOUR", "THREE\u00a0FOUR").encode())
    (data / "spk2utt").write_text("p1 p1-001\n")
    edit(data / "utt2snr", "p1-001 5\n", "")
    damaged = snapshot(data)
    repaired = fix(data)
    assert errors(data) == []
    assert repaired.dropped == {"p1-001": "not in utt2snr", "p10-003": "not in text.phn"}
    assert read_table(data / "text") == {"p1-002": "THREE FOUR FIVE", "p10-001": "TWO TWO", "p10-002": "FIVE ONE"}
    assert (data / "skipped.tsv").read_text() == "p1-001\tnot in utt2snr\np10-003\tnot in text.phn\n"
    assert repaired.files == ["spk2utt", "text", "text.phn", "utt2noise", "utt2spk", "wav.scp"]
    for name in ("text", "spk2utt", "utt2noise", "text.phn", "wav.scp", "utt2spk"):
        assert (data / ".backup" / name).read_bytes() == damaged[name]
    assert (data / "spk2gender").read_bytes() == before["spk2gender"]
    again = snapshot(data)
    assert fix(data).files == [] and snapshot(data) == again


def test_an_older_backup_is_kept(tmp_path):
    data = make_dir(tmp_path / "data")
    for expected in ("text", "text.1", "text.2"):
        content = (data / "text").read_bytes()[:-1]
        (data / "text").write_bytes(content)
        fix(data)
        assert (data / ".backup" / expected).read_bytes() == content


def test_speakers_without_utterances_leave_every_table(tmp_path):
    data = make_dir(tmp_path / "data")
    edit(data / "text", "p1-001 ONE TWO\np1-002 THREE FOUR FIVE\n", "p1-001\n")
    fix(data)
    assert read_table(data / "spk2gender") == {"p10": "f"} and (data / "spk2utt").read_text() == "p10 p10-001 p10-002\n"
    assert errors(data) == []


def test_utt2spk_is_made_from_spk2utt(tmp_path):
    data = make_dir(tmp_path / "data")
    before = (data / "utt2spk").read_bytes()
    (data / "utt2spk").unlink()
    fix(data)
    assert (data / "utt2spk").read_bytes() == before


def test_segments_and_their_recordings(tmp_path):
    data = make_dir(tmp_path / "data")
    recordings, speakers = enumerate(read_table(data / "wav.scp").values()), read_table(data / "utt2spk")
    recordings = {f"r{i}": path for i, path in recordings}
    segments = {utt: f"r{i} 0.1 0.9" for i, utt in enumerate(UTTS)} | {"p10-002": "r9 0 1", "p1-001": "r0 0.1"}
    segments |= {"p1-003": "r0 0.1 inf", "p1-004": "r0 0.5 0.2"}
    write_data_dir(
        data, {"wav.scp": recordings, "segments": segments, "utt2spk": {**speakers, "p1-003": "p1", "p1-004": "p1"}}
    )
    text = read_table(data / "text")
    write_table(data / "text", {**text, "p1-003": "ONE", "p1-004": "ONE"})
    (data / "reco2dur").write_text("".join(f"r{i} 1.0\n" for i in range(4)))
    dropped = fix(data).dropped
    assert all(dropped[utt].startswith("bad line in segments (times?)") for utt in ("p1-001", "p1-003", "p1-004"))
    assert set(read_table(data / "wav.scp")) == set(read_table(data / "reco2dur")) == {"r1", "r2"}
    assert errors(data) == []


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("text", b"p1-001 ONE\np1-001 TWO\n", "text: p1-001 has two different lines: remove the wrong one"),
        ("text", b"p1-001 \xe9t\xe9\n", "text: not UTF-8 at byte 7: convert it"),
        ("text", b"p1-001 ONE\np1-002 T\0O\n", "text:2: NUL byte: the file is damaged"),
        ("text", b"q1-001 ONE\n", "no utterance is in all of"),
    ],
)
def test_what_needs_a_person_changes_nothing(tmp_path, name, content, what):
    data = make_dir(tmp_path / "data")
    (data / name).write_bytes(content)
    before = snapshot(data)
    done = run(FIX, data)
    assert done.returncode == 1 and what in done.stderr and len(done.stderr.splitlines()) == 1
    assert snapshot(data) == before


def test_bad_audio_goes_on_request_only(tmp_path):
    data = make_dir(tmp_path / "data")
    soundfile.write(tmp_path / "data_audio" / "p1-002.wav", np.zeros(9000), 16000)
    assert run(FIX, data).stdout == f"{data}: nothing to repair\n"
    assert list(unreadable(data, 1, False, None)) == ["p1-002"]
    done = run(FIX, "--drop-unreadable", "--nj", "2", data)
    assert done.returncode == 0 and f"{data}: p1-002: dropped: p1-002: " in done.stdout
    assert list(read_table(data / "text")) == ["p1-001", "p10-001", "p10-002"] and errors(data) == []
    assert (tmp_path / "data_audio" / "p1-002.wav").exists()


def test_a_pair_keeps_what_both_have(tmp_path):
    clean, noisy = make_dir(tmp_path / "clean", utts=UTTS[1:]), make_dir(tmp_path / "noisy", utts=UTTS[:3])
    assert run(FIX, clean, noisy).returncode == 0
    a, b = validate_pair(clean, noisy, Options())
    assert a.utts == b.utts == {"p1-002", "p10-001"} and not [p for p in a.problems + b.problems if p.error]
    assert "p1-001\tnot in " in (noisy / "skipped.tsv").read_text()
    other = make_dir(tmp_path / "other", utts=["q-1"])
    with pytest.raises(UserError, match="no utterance in common"):
        keep_common(clean, other)


def test_a_full_disk_leaves_a_directory_that_can_still_be_repaired(tmp_path):
    data = make_dir(tmp_path / "data")
    text = (data / "text").read_text()
    (data / "text").write_text("p10-003 ONE\n" * 20000 + text)
    script = f"""
      cp -r {data}/. {tmp_path}/small; head -c 10000000 /dev/zero > {tmp_path}/small/fill 2> /dev/null
      steps/fix_data.sh {tmp_path}/small; echo $?
      cmp {tmp_path}/small/text {data}/text && rm {tmp_path}/small/fill
      steps/fix_data.sh {tmp_path}/small > /dev/null && cat {tmp_path}/small/text"""
    (tmp_path / "small").mkdir()
    done = subprocess.run(in_tmpfs(tmp_path / "small", "600k", script), capture_output=True, text=True)
    if done.returncode == 77:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    assert done.stdout.startswith("1\n") and done.stdout[2:] == text
    assert "disk full: free space in" in done.stderr
