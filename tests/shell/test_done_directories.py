"""steps/lib/done.py: directories that are copied, linked, mounted, removed, of other steps, or inputs."""

import os
import shutil
import subprocess

import pytest
from done_maker import SKIPPED, Done, data_dir, own


def test_a_copy_of_the_tree_is_as_good_as_the_original(done, tmp_path_factory):
    data = data_dir(done.tree)
    (data / "wav.scp").write_text("s-1 a.wav\n")
    words = ("--input", f"{done.tree}/data/train", "--option", f"data={done.tree}/data/train")
    done.work(*words)
    (done.dir / "archive").write_bytes(bytes(70 << 20))
    done("mark", "exp/x")
    other = tmp_path_factory.mktemp("copy") / "tree"
    shutil.copytree(done.tree, other, copy_function=shutil.copyfile)  # with times of its own
    shutil.rmtree(done.tree)
    os.chmod(other / "steps/lib/done.py", 0o755)
    there = Done(other)
    assert there.check("--input", f"{other}/data/train", "--option", f"data={other}/data/train") == (0, SKIPPED)
    assert there.check("--input", "data/train", "--option", "data=data/train") == (0, SKIPPED)


def test_work_cut_short_is_resumed(done):
    assert done.check("--option", "a=1")[0] == 1
    (done.dir / "checkpoint.pt").write_text("of a=1")
    assert done.check("--option", "a=1") == (1, "exp/x: not finished, resuming")
    assert (done.dir / "checkpoint.pt").exists()
    assert done.check("--option", "a=2")[1].endswith("what was here is in exp/x.unfinished")
    assert own(done.dir) == []
    (done.dir / "checkpoint.pt").write_text("of a=2")
    line = "exp/x: exp/x.unfinished is what is asked for: put back; what was here is in exp/x.unfinished"
    assert done.check("--option", "a=1") == (1, line)
    assert (done.dir / "checkpoint.pt").read_text() == "of a=1"


def test_finished_work_survives_settings_that_come_and_go(done):
    done.work("--option", "a=1")
    assert done.check("--option", "a=2")[0] == 1
    (done.dir / "checkpoint.pt").touch()
    assert done.check("--option", "a=3")[0] == 1
    (done.dir / "checkpoint.pt").touch()
    line = "exp/x: exp/x.old is what is asked for: put back; what was here is in exp/x.unfinished"
    assert done.check("--option", "a=1") == (0, line)
    assert (done.dir / "model.pt").read_text() == "weights"
    assert done.check("--option", "a=1") == (0, SKIPPED)


def test_nothing_is_touched_for_settings_that_do_not_work(done):
    assert done.check("--option", "a=1", "--verify", "false")[0] == 1  # nothing to lose
    done.work("--option", "a=1")
    why = 'done.py: exp/x: not touched, although a was "1" and is "2"'
    assert done.check("--option", "a=2", "--verify", "false", "--force", "x") == (2, why)
    assert done.check("--option", "a=1") == (0, SKIPPED)
    assert done.check("--option", "a=2", "--verify", "true")[0] == 1 and not (done.dir / "model.pt").exists()


def test_an_output_that_was_removed(done):
    done.work()
    (done.dir / "model.pt").unlink()
    assert done.check() == (1, "exp/x: to do, model.pt is gone")
    assert not (done.dir / ".done").exists()


def test_what_later_steps_put_inside_may_be_removed(done):
    done.work()
    (done.dir / "enhanced/test").mkdir(parents=True)
    (done.dir / "enhanced/test/.fingerprint").touch()
    (done.dir / "model.pt").unlink()
    done.work()
    shutil.rmtree(done.dir / "enhanced")
    assert done.check() == (0, SKIPPED)


def test_the_directories_of_others_are_left_alone(done):
    done.dir.mkdir(parents=True)
    (done.dir / ".git").touch()
    for force in ("true", "false"):
        code, line = done.check("--option", "a=1", "--force", force)
        assert code == 2 and "no step of this recipe made" in line
    assert os.listdir(done.dir) == [".git"]
    assert done("mark", "exp/x")[0] == 2


@pytest.mark.parametrize("force", ["true", "false"])
def test_another_step_does_not_write_there(done, force):
    done.work("--option", "a=1")
    line = "done.py: exp/x: holds a trained model of steps/train.sh: name another directory, or move this one away"
    assert done.check("--option", "a=1", "--force", force, step="steps/decode.sh") == (2, line)
    assert done.check("--option", "a=1", "--force", force, "--kind", "enhance") == (2, line)
    assert done.check("--option", "a=1", step=f"{done.tree}/./steps/train.sh") == (0, SKIPPED)


@pytest.mark.parametrize("output, word", [("exp/x", "is"), ("exp", "holds"), ("exp/../exp/x", "is"), ("link", "is")])
def test_an_output_that_is_an_input(done, output, word):
    done.work()
    (done.tree / "link").symlink_to(done.dir)
    line = f"done.py: {output}: {word} the input exp/x: name another directory for what is made from it"
    assert done("check", output, "--step", "steps/train.sh", "--force", "true", "--input", "exp/x") == (2, line)
    assert done.check() == (0, SKIPPED)
    assert done("check", "exp/x/wav/test", "--step", "steps/enhance.sh", "--input", "exp/x")[0] == 1  # inside is fine


def test_a_file_is_no_output(done):
    (done.tree / "table").write_text("x")
    for name in ("table", "table/sub"):
        assert done("check", name) == (2, f"done.py: {name}: is a file, or lies below one: name a directory")


def test_notes_of_the_user_are_kept_too(done):
    done.work("--option", "a=1")
    (done.dir / "notes.txt").write_text("best so far")
    assert done.check("--option", "a=2")[0] == 1
    assert (done.tree / "exp/x.old/notes.txt").read_text() == "best so far"


def test_links_are_not_followed(done):
    done.work("--option", "a=1")
    (done.tree / "precious").mkdir()
    (done.tree / "precious/file").touch()
    (done.dir / "link").symlink_to(done.tree / "precious")
    for a in "234":
        assert done.check("--option", f"a={a}")[0] == 1
    assert (done.tree / "precious/file").exists()


def test_a_directory_elsewhere_through_a_link(done):
    (done.tree / "big").mkdir()
    (done.tree / "exp").mkdir()
    done.dir.symlink_to(done.tree / "big")
    done.work("--option", "a=1")
    assert done.check("--option", "a=2")[0] == 1
    assert done.dir.is_symlink() and own(done.tree / "big") == []
    assert own(done.tree / "big.old") == ["log", "model.pt"]


def test_a_mount_point(done, tmp_path_factory):
    done.work("--option", "a=1")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", done.dir], capture_output=True).returncode:
        pytest.skip("cannot mount a tmpfs here")
    try:
        done.work("--option", "a=1")
        assert done.check("--option", "a=2")[1].endswith("what was here is in exp/x/.old")
        assert own(done.dir) == [] and own(done.dir / ".old") == ["log", "model.pt"]
        done.work("--option", "a=2")
    finally:
        subprocess.run(["umount", done.dir], check=True)


def test_a_lock_holds_for_the_directory_that_takes_the_place(done):
    done.work("--option", "a=1")
    owner = subprocess.Popen(["sleep", "60"])
    try:
        assert done.check("--option", "a=2", "--lock", str(owner.pid))[0] == 1
        assert (done.dir / ".lock").exists() and not (done.tree / "exp/x.old/.lock").exists()
    finally:
        owner.kill()
        owner.wait()
