"""Paths in tables: relative to the repository inside it, found again after a move; ids as file names."""

import os

import numpy as np
import pytest

from mimic.errors import UserError
from mimic.io import entries
from mimic.io.archives import ArkWriter, load, read_scp, rows


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A clone of the repository as far as paths go; the current directory is elsewhere."""
    root = tmp_path / "clone"
    (root / "exp").mkdir(parents=True)
    monkeypatch.setattr(entries, "ROOT", str(root))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return root


def test_paths_inside_the_repository_are_relative_to_it(clone, tmp_path, monkeypatch):
    assert entries.stored(clone / "exp/a.ark") == "exp/a.ark"
    assert entries.stored(tmp_path / "clone2/a.ark") == str(tmp_path / "clone2/a.ark")
    monkeypatch.chdir(clone)
    assert entries.stored("exp/../exp/a.ark") == "exp/a.ark" and entries.stored("../x.wav") == str(tmp_path / "x.wav")


def test_a_repository_through_a_link_and_a_linked_exp(clone, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(clone)
    (tmp_path / "scratch").mkdir()
    (clone / "exp").rmdir()
    (clone / "exp").symlink_to(tmp_path / "scratch")
    assert entries.stored(clone / "exp/a.ark") == "exp/a.ark"
    assert entries.stored(tmp_path / "link/data/a.ark") == "data/a.ark"
    monkeypatch.setattr(entries, "ROOT", str(tmp_path / "link"))
    assert entries.stored(clone / "exp/a.ark") == "exp/a.ark"


def test_a_moved_tree_reads_its_own_archives(clone, tmp_path, monkeypatch):
    with ArkWriter(clone / "exp/f.ark", clone / "exp/f.scp") as writer:
        writer.write("u1", np.ones((3, 2), np.float32))
    assert read_scp(clone / "exp/f.scp") == {"u1": "exp/f.ark:3"}
    clone.rename(tmp_path / "moved")
    with pytest.raises(UserError, match=r"u1: exp/f.ark:3: No such file"):
        load(read_scp(tmp_path / "moved/exp/f.scp")["u1"])
    monkeypatch.setattr(entries, "ROOT", str(tmp_path / "moved"))
    assert load("exp/f.ark:3").shape == (3, 2)
    (tmp_path / "elsewhere/exp").mkdir()
    with ArkWriter("exp/f.ark", "exp/f.scp") as writer:  # the current directory comes first
        writer.write("u1", np.ones((5, 2), np.float32))
    assert load("exp/f.ark:3").shape == (5, 2)


def test_entries_are_read(tmp_path):
    assert entries.place("/a b/x.wav") == ("/a b/x.wav", None, "")
    assert entries.place("/a/f.ark:12") == ("/a/f.ark", 12, "")
    assert entries.place("/a/f.ark:12[0:149]") == ("/a/f.ark", 12, "[0:149]")
    assert entries.place("/a/m.mat[0:149,2:3]") == ("/a/m.mat", None, "[0:149,2:3]")
    (tmp_path / "x[1]").touch()
    assert entries.place(f"{tmp_path}/x[1]") == (f"{tmp_path}/x[1]", None, "")


def test_row_ranges_are_kaldis(tmp_path):
    whole = np.arange(60, dtype=np.float32).reshape(20, 3)
    with ArkWriter(tmp_path / "f.ark", tmp_path / "f.scp") as writer:
        writer.write("u", whole)
        writer.write("v", np.arange(9, dtype=np.int32))
    entry, vector = read_scp(tmp_path / "f.scp").values()
    for text, rows_, columns in (
        ("[0:9]", slice(0, 10), slice(None)),
        ("[5:5]", slice(5, 6), slice(None)),
        ("[3:21]", slice(3, 20), slice(None)),  # Kaldi lets rows, not columns, end a little after the last
        ("[:,1:2]", slice(None), slice(1, 3)),
        ("[2:4,0:0]", slice(2, 5), slice(0, 1)),
    ):
        assert np.array_equal(load(entry + text), whole[rows_, columns]), text
    assert np.array_equal(rows(entry + "[4:9]")(1, 3), whole[5:7])
    assert load(vector + "[2:4]").tolist() == [2, 3, 4]
    for text in ("[3:22]", "[0:1,0:3]", "[4:3]", "[-1:3]", "[]", "[a:b]", "[1]", "[0:1,0:1,0:1]"):
        with pytest.raises(UserError, match="is not a range of 20x3 values"):
            load(entry + text)


def test_nan_is_refused_where_it_is_read(tmp_path):
    with ArkWriter(tmp_path / "f.ark", tmp_path / "f.scp") as writer:
        writer.write("u1", np.ones((2, 2), np.float32))
    raw = bytearray((tmp_path / "f.ark").read_bytes())
    raw[-4:] = np.float32(np.nan).tobytes()
    (tmp_path / "f.ark").write_bytes(raw)
    entry = read_scp(tmp_path / "f.scp")["u1"]
    for read in (load, lambda entry: rows(entry)(0, 2)):
        with pytest.raises(UserError, match=r"^u1: .*/f.ark:3: NaN or infinite values"):
            read(entry)


def test_ids_become_file_names(tmp_path):
    names = {entries.wav_file(tmp_path, utt) for utt in ("a/b", "a%2Fb", "..", "../x", "a")}
    assert len(names) == 5 and {os.path.dirname(name) for name in names} == {f"{tmp_path}/wav"}
    assert entries.wav_file(tmp_path, "d01-a/0001").name == "d01-a%2F0001.wav"
