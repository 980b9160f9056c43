"""Tables, data directories, files that are complete or absent, and what a program says when something fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from data_maker import ROOT, in_tmpfs

from mimic.errors import UserError
from mimic.io import atomic
from mimic.io.tables import read_table, spk2utt, split, write_data_dir, write_table


def test_round_trip_sorts_as_the_c_locale_does(tmp_path):
    table = {"p10-1": "b  c", "p1-1": "", "é-1": "x", "Z-1": "y", "p1-10": "z", "p1_1": "q"}
    write_table(tmp_path / "t", table)
    sort = subprocess.run(["sort", "-k1,1", tmp_path / "t"], env={"LC_ALL": "C"}, capture_output=True, check=True)
    assert sort.stdout == (tmp_path / "t").read_bytes()
    assert read_table(tmp_path / "t") == table


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (b"a 1\nb 2\na 3\n", 3, "a is there twice"),
        (b"a 1\r\nb\r2\r\n", 2, "carriage return"),
        (b"a 1\nb \0\n", 2, "NUL byte"),
        (b"\xff\xfea\0", 1, "UTF-16"),
        (b"a 1\nb \xe9t\xe9\n", 2, "not UTF-8"),
        (b"a 1\n\nb 2\n", 2, "empty line"),
    ],
)
def test_bad_tables_are_refused_with_their_line(tmp_path, content, line, words):
    (tmp_path / "text").write_bytes(content)
    with pytest.raises(UserError) as error:
        read_table(tmp_path / "text")
    assert str(error.value).startswith(f"{tmp_path}/text:{line}: ") and words in str(error.value)


def test_missing_table_is_named(tmp_path):
    with pytest.raises(UserError, match="utt2spk: no such file"):
        read_table(tmp_path / "utt2spk")


def test_tabs_and_odd_separators_are_read(tmp_path):
    # U+0085 and U+2028 are line ends for str.splitlines, but not in a Kaldi table.
    (tmp_path / "t").write_text("a\tone two\nb   x\u0085y\u2028z \nc", encoding="utf-8")
    assert read_table(tmp_path / "t") == {"a": "one two", "b": "x\u0085y\u2028z", "c": ""}


def test_spk2utt_is_the_inverse_of_utt2spk(tmp_path):
    utt2spk = {"p10-1": "p10", "p1-2": "p1", "p1-1": "p1"}
    assert spk2utt(utt2spk) == {"p1": "p1-1 p1-2", "p10": "p10-1"}
    write_data_dir(tmp_path, {"utt2spk": utt2spk})
    assert (tmp_path / "spk2utt").read_text() == "p1 p1-1 p1-2\np10 p10-1\n"


@pytest.mark.parametrize("nj", [1, 3, 7, 20])
def test_jobs_share_all_and_evenly(nj):
    parts = [split(map(str, range(17)), job, nj) for job in range(1, nj + 1)]
    assert sum(parts, []) == [str(i) for i in range(17)]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_replace_leaves_the_old_file_when_writing_fails(tmp_path):
    (tmp_path / "f").write_text("old")
    with pytest.raises(ZeroDivisionError), atomic.replace(tmp_path / "f") as f:
        f.write("half")
        1 / 0  # noqa: B018
    assert (tmp_path / "f").read_text() == "old" and os.listdir(tmp_path) == ["f"]


def test_replace_keeps_a_symbolic_link(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    with atomic.replace(tmp_path / "link") as f:
        f.write("new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "new"


def test_new_dir_replaces_as_a_whole_and_clears_what_a_kill_left(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "old").touch()
    for leftover in ("d.tmp", "d.old"):
        (tmp_path / leftover).mkdir()
        (tmp_path / leftover / "half").touch()
    with pytest.raises(ZeroDivisionError), atomic.new_dir(tmp_path / "d") as new:
        assert os.listdir(new) == []
        1 / 0  # noqa: B018
    assert os.listdir(tmp_path / "d") == ["old"]
    with atomic.new_dir(tmp_path / "d") as new:
        (new / "fresh").touch()
    assert os.listdir(tmp_path) == ["d"] and os.listdir(tmp_path / "d") == ["fresh"]


PROGRAM = """
import sys
from mimic.io.atomic import replace
from mimic.cli import progress, run
from mimic.errors import UserError
def main():
    if sys.argv[1] == "user":
        raise UserError("data/text: u1: empty: write it")
    if sys.argv[1] == "interrupt":
        raise KeyboardInterrupt
    if sys.argv[1] == "progress":
        list(progress(range(3), 3, "utterances"))
    if sys.argv[1] == "write":
        with replace(sys.argv[2]) as f:
            f.write("x" * 3000000)
run(main)
"""


@pytest.fixture
def program(tmp_path) -> Path:
    (tmp_path / "prog.py").write_text(PROGRAM)
    return tmp_path / "prog.py"


@pytest.mark.parametrize(
    ("verb", "code", "end"),
    [
        ("user", 1, "prog.py: error: data/text: u1: empty: write it"),
        ("interrupt", 130, "prog.py: interrupted"),
        ("progress", 0, "prog.py: progress: 3/3 utterances"),
        ("write", 1, "error: /no/such/place/f.tmp: No such file or directory"),
    ],
)
def test_a_program_ends_with_one_line_and_a_code(program, verb, code, end):
    words = [sys.executable, program, verb, "/no/such/place/f"]
    done = subprocess.run(words, env={"PYTHONPATH": f"{ROOT}/pyscripts"}, capture_output=True, text=True)
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == 1 + (verb == "progress") and done.stderr.strip().endswith(end)


def test_a_full_disk_is_named_and_the_old_file_stays(program, tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    script = f"echo old > {folder}/f; PYTHONPATH={ROOT}/pyscripts {sys.executable} {program} write {folder}/f"
    done = subprocess.run(
        in_tmpfs(folder, "1m", f"{script}; echo $?; ls {folder}; cat {folder}/f"), capture_output=True, text=True
    )
    if done.returncode == 77:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    assert done.stdout.split() == ["1", "f", "old"]
    assert done.stderr.strip().endswith(f"error: disk full: free space in {folder} and run again")
