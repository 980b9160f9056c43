"""The validator: a good directory passes; each kind of bad input is one line with file, id and fix, and exit code 1."""

from collections.abc import Callable
from pathlib import Path

import fix_data
import numpy as np
import pytest
import soundfile
import validate_data
from data_maker import LEXICON, UTTS, edit, make_dir, run, snapshot, tone

from mimic import cli
from mimic.corpus.problems import lines
from mimic.corpus.validate import Options, validate, validate_pair
from mimic.io.tables import read_table, write_data_dir

VALIDATE = "steps/validate_data.sh"


def found(path: Path, **options) -> list[str]:
    return [p.line for p in validate(path, Options(**options)).problems]


def wav(data: Path, utt: str = "p1-002") -> Path:
    return Path(read_table(data / "wav.scp")[utt])


def test_a_good_directory_and_a_good_pair_pass(tmp_path):
    clean, noisy = make_dir(tmp_path / "clean"), make_dir(tmp_path / "noisy", noise=0.1)
    before = snapshot(tmp_path)
    done = run(VALIDATE, "--nj", "2", clean, noisy)
    assert done.returncode == 0
    for data in (clean, noisy):
        text = f"{data}: 4 utterances, 2 speakers, 0.00 h\nSuccessfully validated data-directory {data}\n"
        assert text in done.stdout
    assert snapshot(tmp_path) == before


def test_tables_of_urgent_are_checked(tmp_path):
    data, clean = make_dir(tmp_path / "data", noise=0.1), make_dir(tmp_path / "clean")
    (data / "spk1.scp").write_text((clean / "wav.scp").read_text())
    (data / "utt2fs").write_text("p1-001 16000\np1-002 8000\np10-001 16000\np10-002 16000\n")
    expected = [
        "rates at which scores compare audio: 8000 Hz (1), 16000 Hz (3)",
        "1 utterances has another rate than utt2fs says, first p1-002: 8000 Hz, but the audio has 16000 Hz",
        "clean speech of 4 utterances in spk1.scp",
    ]
    notes = found(data)
    assert len(notes) == 3 and all(part in line for part, line in zip(expected, notes, strict=True))
    soundfile.write(wav(clean), tone(0.5), 16000)
    wav(clean, "p1-001").unlink()
    edit(data / "utt2fs", "p1-002 8000", "p1-002 8k")
    errors = "\n".join(p.line for p in validate(data, Options()).problems if p.error)
    assert "utt2fs: p1-002: expected Hz, a whole number above 0, got `8k`" in errors
    assert "spk1.scp: p1-002: 8000 samples, but " in errors
    assert "spk1.scp: p1-001: " in errors and "correct spk1.scp, or remove the utterance" in errors


def truncate(data: Path) -> None:
    wav(data).write_bytes(wav(data).read_bytes()[:20000])


def samples(data: Path, x: np.ndarray) -> None:
    soundfile.write(wav(data), x, 16000, subtype="FLOAT")


def rename(data: Path, old: str, new: str) -> None:
    for name in ("wav.scp", "text", "utt2spk", "spk2utt"):
        edit(data / name, old, new)


def text(old: str, new: str) -> Callable[[Path], None]:
    return lambda data: edit(data / "text", old, new)


def durations(data: Path) -> None:
    (data / "utt2dur").write_text("p1-001 1.0\np1-002 3\np10-001 1.2\np10-002 1.3\n")


# name: (what is done to the directory, what the line about it says, the fix that it names)
BAD = {
    "missing audio": (lambda d: wav(d).unlink(), "cannot be opened (No such file or directory)", "correct wav.scp"),
    "truncated audio": (truncate, "is truncated (15244 bytes missing at the end)", "copy the file again"),
    "zero-length file": (lambda d: wav(d).write_bytes(b""), "is not readable audio (it is empty)", "replace the file"),
    "no samples": (lambda d: samples(d, np.zeros(0)), "holds no samples", "replace the file"),
    "NaN": (lambda d: samples(d, np.r_[tone(), np.nan]), "holds NaN or infinite samples", "write the file again"),
    "silence": (lambda d: samples(d, np.zeros(9000)), "is all zero", "replace the file"),
    "stereo": (lambda d: samples(d, tone(0.5).reshape(-1, 2)), "has 2 channels", "pick one with --channel"),
    "pipe": (lambda d: edit(d / "wav.scp", "p1-002.wav", "p1-002.wav |"), "is a shell pipe", "--allow-pipes true"),
    "home directory": (lambda d: edit(d / "wav.scp", "p1-002 /", "p1-002 ~/"), "`~` is not expanded", "write the path"),
    "empty transcript": (text("p1-002 THREE FOUR FIVE", "p1-002"), "the transcript is empty", "drop the line"),
    "non-breaking space": (text("THREE FOUR", "THREE\u00a0FOUR"), "character U+00A0 at position 6", "correct it"),
    "sentence end": (text("FOUR FIVE", "FOUR </s>"), "`</s>`, which has a meaning of its own", "correct it"),
    "unknown word": (text("FOUR", "FORTY"), "`FORTY` is not in the lexicon (1 times", "--oov-policy g2p"),
    "too many labels": (
        text("THREE FOUR FIVE", "FIVE " * 30 + "FIVE"),
        "154 frames needed for",
        "remove the utterance",
    ),
    "no line in text": (text("p1-002 THREE FOUR FIVE\n", ""), "is in utt2spk but not here", "fix_data.sh"),
    "the same line twice": (text("p1-002 ", "p1-002 THREE FOUR FIVE\np1-002 "), "is there twice", "fix_data.sh"),
    "two different lines": (text("p1-002 ", "p1-002 ONE\np1-002 "), "is there twice", "remove the wrong one"),
    "wrong duration": (durations, "3 s, but the audio lasts 1.100 s", "correct it"),
    "speaker prefix": (lambda d: rename(d, "p1-002", "a-p1-002"), "does not begin with its speaker p1", "p1-a-p1-002"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named_with_its_fix(tmp_path, name, monkeypatch, capsys):
    break_it, what, fix = BAD[name]
    data = make_dir(tmp_path / "data")
    (tmp_path / "lexicon").write_text(LEXICON)
    break_it(data)
    before = snapshot(tmp_path)
    monkeypatch.setattr("sys.argv", ["validate_data.py", "--lexicon", str(tmp_path / "lexicon"), str(data)])
    with pytest.raises(SystemExit) as end:
        cli.run(validate_data.main)
    assert end.value.code == 1
    out = capsys.readouterr().out
    matching = [line for line in out.splitlines() if "p1-002" in line and what in line and fix in line]
    assert len(matching) == 1 and matching[0].startswith(f"{data}/"), out
    assert "Successfully" not in out and snapshot(tmp_path) == before


def test_a_missing_directory_is_one_line(tmp_path):
    done = run(VALIDATE, tmp_path / "gone")
    assert done.returncode == 1 and done.stderr.strip().endswith(f"{tmp_path}/gone: no such data directory")


def test_ids_in_other_tables_only(tmp_path):
    data = make_dir(tmp_path / "data")
    edit(data / "utt2spk", "p1-002 p1\n", "")
    problems = found(data)
    for name in ("text", "wav.scp"):
        assert f"{data}/{name}: p1-002: is not in utt2spk: run steps/fix_data.sh {data}" in problems


def test_text_that_is_not_utf8_names_the_line(tmp_path):
    data = make_dir(tmp_path / "data")
    (data / "text").write_bytes((data / "text").read_bytes().replace(b"FOUR", b"F\xd6UR"))
    (line,) = [line for line in found(data) if "UTF-8" in line]
    assert line == f"{data}/text: line 2: not UTF-8: convert it: iconv -f latin1 -t utf-8"


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        (b"TWO TWO\n", b"TWO TWO\r\n", "line 3: Windows line end"),
        (b"TWO TWO\n", b"TWO TWO \n", "line 3: empty, or blanks at an end of the line"),
        (b"TWO TWO\n", b"TWO TWO\n\n", "line 4: empty, or blanks at an end of the line"),
        (b"FIVE ONE\n", b"FIVE ONE", "the last line has no newline"),
        (b"p1-001 ", b"p2-001 ", "p1-002: not in C order"),
        (b"p1-001 ", b"\xef\xbb\xbfp1-001 ", "line 1: byte order mark in front"),
    ],
)
def test_lines_that_break_other_tools_can_be_repaired(tmp_path, old, new, what):
    data = make_dir(tmp_path / "data")
    (data / "text").write_bytes((data / "text").read_bytes().replace(old, new))
    (line,) = [line for line in found(data) if what in line]
    assert line.startswith(f"{data}/text: ") and line.endswith(f"run steps/fix_data.sh {data}")


def test_speaker_order_of_unpadded_ids(tmp_path):
    # p1_001 sorts after p10_001, the speaker p1 before p10: Kaldi's tools cannot work with such a directory.
    data = make_dir(tmp_path / "data")
    tables = {name: read_table(data / name) for name in ("wav.scp", "text", "utt2spk")}
    renamed = {name: {utt.replace("-", "_"): v for utt, v in table.items()} for name, table in tables.items()}
    write_data_dir(data, renamed)
    problems = validate(data, Options()).problems
    (line,) = [p.line for p in problems if p.error]
    assert line.startswith(f"{data}/utt2spk: p1_001: order by speaker differs from order by utterance: write `-`")
    assert sum("no `-` after the speaker id" in p.line for p in problems if not p.error) == 4


def test_spk2utt_has_to_be_the_inverse(tmp_path):
    data = make_dir(tmp_path / "data")
    edit(data / "spk2utt", "p10 p10-001 p10-002", "p10 p10-001")
    assert found(data) == [f"{data}/spk2utt: p10: is not the inverse of utt2spk: run steps/fix_data.sh {data}"]


def test_another_rate_is_a_note(tmp_path):
    data = make_dir(tmp_path / "data", rate=22050)
    assert found(data) == [f"note: {data}: 4 utterances have 22050 Hz and will be resampled to 16000 Hz"]
    assert run(VALIDATE, data).returncode == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--nj", "-3"), "--nj takes a whole number of at least 1, got '-3'"),
        (("--nj", "two"), "--nj takes a whole number of at least 1, got 'two'"),
        (("--rate", "-16000"), "--rate takes a whole number of at least 1, got '-16000'"),
        (("--rate", "16000.5"), "--rate takes a whole number"),
        (("--channel", "-1"), "--channel takes a whole number of at least 0, got '-1'"),
        (("--limit", "0"), "--limit takes a whole number of at least 1"),
    ],
)
@pytest.mark.parametrize("program", [validate_data, fix_data])
def test_options_out_of_their_ranges_are_one_line(tmp_path, monkeypatch, caplog, program, words, message):
    if program is fix_data and words[0] in ("--rate", "--limit"):
        return
    monkeypatch.setattr("sys.argv", ["program", *words, str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        cli.run(program.main)
    assert end.value.code == 1 and f"error: {message}" in caplog.text and len(caplog.records) == 1


def test_numbers_and_bytes_that_cannot_be(tmp_path):
    data = make_dir(tmp_path / "data")
    for name, value in (("utt2dur", "inf"), ("reco2dur", "nan"), ("utt2num_frames", "12.5")):
        (data / name).write_text("".join(f"{utt} {value}\n" for utt in UTTS))
    (data / "text").write_bytes((data / "text").read_bytes().replace(b"FIVE ONE", b"FIVE \0NE"))
    problems = found(data)
    for name, value in (("utt2dur", "inf"), ("reco2dur", "nan"), ("utt2num_frames", "12.5")):
        assert any(f"{name}: p1-001: expected a " in line and f"got `{value}`" in line for line in problems)
    assert f"{data}/text: line 4: NUL byte: damaged: copy the file again" in problems


def test_a_lexicon_in_other_letters_of_the_same_look(tmp_path):
    data = make_dir(tmp_path / "data")
    edit(data / "text", "ONE TWO", "ONE CAFE\u0301")
    assert found(data, lexicon={word: ["X"] for word in "ONE TWO THREE FOUR FIVE CAF\u00c9".split()}) == []


def test_segments_beyond_the_recording(tmp_path):
    data = make_dir(tmp_path / "data")
    recordings = {f"r{i}": path for i, path in enumerate(read_table(data / "wav.scp").values())}
    segments = {utt: f"r{i} 0.2 {2.8 if i == 3 else 0.9}" for i, utt in enumerate(UTTS)}
    write_data_dir(data, {"wav.scp": recordings, "segments": segments, "utt2spk": read_table(data / "utt2spk")})
    (line,) = found(data)
    assert line.startswith(f"{data}/wav.scp: p10-002: ") and line.endswith("ends at 2.8 s: correct segments")
    edit(data / "segments", "2.8", "1.4")
    (line,) = found(data)
    assert line == f"note: {data}: trimmed as in Kaldi: 1 segments end up to 0.100 s after their recordings"
    edit(data / "segments", "1.4", "0.1")
    assert any("segments: p10-002: expected `recording start end`" in line for line in found(data))
    edit(data / "segments", "r3 0.2 0.1", "r3 0.2 inf")
    assert any("segments: p10-002: expected `recording start end`" in line for line in found(data))
    edit(data / "segments", "r3 0.2 inf", "r4 0.2 0.9")
    problems = found(data)
    assert f"{data}/wav.scp: r4: is in segments but not here: run steps/fix_data.sh {data}" in problems
    assert f"{data}/wav.scp: r3: is not in segments: run steps/fix_data.sh {data}" in problems


def test_a_pair_has_the_same_ids_and_lengths(tmp_path):
    clean, noisy = make_dir(tmp_path / "clean"), make_dir(tmp_path / "noisy", utts=UTTS[:3])
    soundfile.write(wav(noisy, "p10-001"), tone(1.21), 16000)
    edit(noisy / "text", "ONE TWO", "ONE ONE")
    a, b = validate_pair(clean, noisy, Options())
    assert not a.problems
    assert [p.line for p in b.problems] == [
        f"{noisy}/utt2spk: p10-002: only in {clean}: run steps/fix_data.sh {clean} {noisy}",
        f"{noisy}/text: p1-001: `ONE ONE`, but `ONE TWO` in {clean}: make both sides the same",
        f"{noisy}/wav.scp: p10-001: 19360 samples, but 19200 in {clean}: "
        "cut both sides from the same place to the same length",
    ]
    assert run(VALIDATE, clean, noisy).returncode == 1


def test_many_problems_are_shortened_and_listed_in_a_file(tmp_path):
    utts = [f"s-{i:03}" for i in range(50)]
    data = make_dir(tmp_path / "data", utts=utts)
    (data / "text").write_text("".join(f"{utt}\n" for utt in utts))
    done = run(VALIDATE, data)
    assert done.returncode == 1 and done.stdout.count("the transcript is empty") == 20
    assert "... and 30 more of the kind `text: transcript`" in done.stdout and f"{data}/problems.txt" in done.stdout
    assert (data / "problems.txt").read_text().count("the transcript is empty") == 50
    assert len(lines(validate(data, Options(wav=False)).problems, 5)) == 7  # five, how many more, a note: one speaker
    (data / "text").write_text("".join(f"{utt} ONE\n" for utt in utts))
    assert run(VALIDATE, data).returncode == 0 and not (data / "problems.txt").exists()


def test_options_leave_checks_out(tmp_path):
    data = make_dir(tmp_path / "data")
    (data / "text").unlink()
    wav(data).unlink()
    assert run(VALIDATE, data).returncode == 1
    assert run(VALIDATE, "--no-text", "--no-wav", data).returncode == 0
