"""steps/lib/uptodate/outputs.py: what a finished directory holds, and what happens where that was damaged or edited."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from done_maker import Done


def finished_features(done: Done) -> Path:
    """exp/x as stage 2 leaves it."""
    done.check()
    (done.dir / "archives").mkdir()
    (done.dir / "archives/feats.1.ark").write_bytes(b"a-1 \0BFM")
    (done.dir / "feats.scp").write_text("a-1 feats.1.ark:4\n")
    (done.dir / "frame_shift").write_text("0.01\n")
    (done.dir / "checkpoints").mkdir()
    (done.dir / "checkpoints/step-1.pt").touch()
    assert done("mark", "exp/x") == (0, "")
    return done.dir


@pytest.mark.parametrize("damage", [lambda p: p.write_bytes(b"a-1 \0BFN"), lambda p: p.unlink()])
def test_what_was_damaged_is_made_again_and_kept_aside(done, damage):
    folder = finished_features(done)
    damage(folder / "archives/feats.1.ark")
    assert done.check() == (1, "exp/x: to do, archives was changed")
    assert not (folder / "archives").exists() and not (folder / ".done").exists()
    assert (folder / "feats.scp").exists() and (folder / "frame_shift").exists()
    assert (folder / ".changed/archives").exists()
    assert done.check() == (1, "exp/x: not finished, resuming")


def test_a_damaged_input_is_refused(done):
    folder = finished_features(done)
    y = ("check", "exp/y", "--step", "steps/decode.sh", "--input", "exp/x", "exp/x/feats.scp")
    assert done(*y)[0] == 1
    (folder / "archives/feats.1.ark").write_bytes(b"a-1")
    (folder / "frame_shift").unlink()
    refused = "done.py: exp/y: input exp/x: {} after it was made: run steps/train.sh again"
    assert done(*y) == (2, refused.format("archives was changed"))
    y = ("check", "exp/y", "--step", "steps/decode.sh", "--input", "exp/x/feats.scp")
    assert done(*y)[0] == 1  # a step that reads one file only
    (folder / "feats.scp").write_text("a-1 feats.1.ark:5\n")
    assert done(*y) == (2, refused.format("feats.scp was changed"))


def test_a_table_edited_by_hand_is_kept_or_made_again_as_the_user_says(done):
    folder = finished_features(done)
    (folder / "feats.scp").write_text("a-1 feats.1.ark:5\n")
    code, line = done.check()
    assert code == 2 and (folder / "feats.scp").exists()
    keep, undo = line.split("to keep the change: ")[1].split("; to undo it: ")
    subprocess.run(keep.split(), cwd=done.tree, check=True)
    assert done.check()[0] == 0
    (folder / "feats.scp").write_text("a-1 feats.1.ark:6\n")
    subprocess.run(undo.split(), cwd=done.tree, check=True)
    assert done.check() == (1, "exp/x: to do, feats.scp is gone")


def test_times_alone_and_what_nobody_reads_any_more_do_not_count(done):
    folder = finished_features(done)
    shutil.rmtree(folder / "checkpoints")
    for path in folder.rglob("*"):
        os.utime(path, (1, 1))
    assert done.check() == (0, "exp/x is done and unchanged: skipping")


def test_a_large_file_counts_by_its_contents_too(done):
    folder = finished_features(done)
    with open(folder / "archives/feats.1.ark", "wb") as file:
        file.truncate(70 << 20)
    done("mark", "exp/x")
    os.utime(folder / "archives/feats.1.ark", (1, 1))
    assert done.check() == (0, "exp/x is done and unchanged: skipping")
    with open(folder / "archives/feats.1.ark", "r+b") as file:
        file.seek(50 << 20)
        file.write(b"x")
    assert done.check() == (1, "exp/x: to do, archives was changed")


def test_what_later_steps_put_inside_a_directory_does_not_change_it(done):
    done.check()
    (done.dir / "enhancer").mkdir()
    (done.dir / "enhancer/model.pt").write_text("weights")
    done("mark", "exp/x")
    (done.dir / "enhancer/wav/dev").mkdir(parents=True)
    for name in (".fingerprint", "wav.scp"):
        (done.dir / "enhancer/wav/dev" / name).touch()
    assert done.check()[0] == 0
    (done.dir / "enhancer/model.pt").write_text("Weights")
    assert done.check() == (1, "exp/x: to do, enhancer was changed")
