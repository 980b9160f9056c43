"""steps/lib/done.py: what counts as done, what is emptied, and that a kill at any moment is safe."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from done_maker import TREE, Done


def test_done_and_unchanged(done):
    done.work("--option", "a=1", "b=x y", "--option", "--data.train=--z")
    line = "exp/x is done and unchanged: skipping"
    assert done.check("--option", "--data.train=--z", "--option", "a=1", "b=x y") == (0, line)


@pytest.mark.parametrize(
    "words, reason",
    [
        (["--option", "a=2"], 'a was "1" and is "2"'),
        (["--option", "a=1", "b=2"], 'b was unset and is "2"'),
        ([], 'a was "1" and is unset'),
        (["--option", "a=1", "--input", "pyscripts/prog.py"], "input pyscripts/prog.py is new"),
        (["--option", "a=1", "--force", "true"], "--force true"),
    ],
)
def test_what_changed_is_named_and_the_directory_emptied(done, words, reason):
    done.work("--option", "a=1")
    assert done.check(*words) == (1, f"exp/x: starting again, {reason}")
    assert os.listdir(done.dir) == [".fingerprint"]


@pytest.mark.parametrize("name", sorted(set(TREE) - {"pyscripts/mimic/unused.py"}))
def test_code_is_followed_through_imports(done, name):
    done.work("--code", "pyscripts/prog.py")
    (done.tree / "pyscripts/mimic/unused.py").write_text("changed = 1\n")
    assert done.check("--code", "pyscripts/prog.py")[0] == 0
    with open(done.tree / name, "a") as file:
        file.write("changed = 1\n")
    assert done.check("--code", "pyscripts/prog.py") == (1, f"exp/x: starting again, code {name} changed")


def test_a_directory_of_code(done):
    done.work("--code", "pyscripts/mimic")
    (done.tree / "pyscripts/mimic/unused.py").write_text("changed = 1\n")
    assert done.check("--code", "pyscripts/mimic")[0] == 1


def data_dir(tree: Path) -> Path:
    data = tree / "data/train"
    data.mkdir(parents=True)
    (tree / "a.wav").write_bytes(b"RIFF")
    (data / "wav.scp").write_text(f"s-1 {tree}/a.wav\ns-2 {tree}/a.wav:44\ns-3 cat {tree}/none |\ns-4 /none\n")
    (data / "text").write_text("s-1 HELLO\n")
    return data


@pytest.mark.parametrize("made_by_a_step", [False, True])
def test_a_table_edited_by_hand(done, made_by_a_step):
    data = data_dir(done.tree)
    if made_by_a_step:
        (data / ".fingerprint").write_text('option "a" "1"\n')
        (data / ".done").touch()
    done.work("--input", "data/train")
    assert done.check("--input", "data/train")[0] == 0
    (data / "text").write_text("s-1 WORLD\n")
    assert done.check("--input", "data/train") == (1, "exp/x: starting again, input data/train changed")


def test_audio_that_changed(done):
    data_dir(done.tree)
    done.work("--input", "data/train")
    (done.tree / "a.wav").write_bytes(b"RIFF2")
    assert done.check("--input", "data/train")[0] == 1


def test_input_made_from_something_else(done):
    data = data_dir(done.tree)
    (data / ".done").touch()
    (data / ".fingerprint").write_text('option "a" "1"\n')
    done.work("--input", "data/train")
    (data / ".fingerprint").write_text('option "a" "2"\n')
    assert done.check("--input", "data/train")[0] == 1


def test_input_that_is_not_ready(done):
    assert done.check("--input", "data/train") == (2, "done.py: exp/x: input data/train is missing")
    (data_dir(done.tree) / ".fingerprint").touch()
    code, line = done.check("--input", "data/train")
    assert code == 2 and "data/train is incomplete" in line
    assert done.check("--code", "none.py") == (2, "done.py: exp/x: no such code file: none.py")
    assert not done.dir.exists()


def test_work_cut_short_goes_on(done):
    assert done.check("--option", "a=1")[0] == 1
    (done.dir / "checkpoint.pt").touch()
    assert done.check("--option", "a=1") == (1, "exp/x: not finished, going on")
    assert (done.dir / "checkpoint.pt").exists()
    assert done.check("--option", "a=2")[0] == 1
    assert not (done.dir / "checkpoint.pt").exists()


def test_nothing_is_emptied_for_settings_that_do_not_work(done):
    assert done.check("--option", "a=1", "--verify", "false")[0] == 1  # nothing to lose
    done.work("--option", "a=1")
    why = 'done.py: exp/x: not touched, although a was "1" and is "2"'
    assert done.check("--option", "a=2", "--verify", "false") == (2, why)
    assert done.check("--option", "a=1") == (0, "exp/x is done and unchanged: skipping")
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
    assert done.check() == (0, "exp/x is done and unchanged: skipping")


def test_the_directories_of_others_are_left_alone(done):
    done.dir.mkdir(parents=True)
    (done.dir / "thesis.tex").touch()
    for force in ("true", "false"):
        code, line = done.check("--option", "a=1", "--force", force)
        assert code == 2 and "no step of this recipe made" in line
    assert os.listdir(done.dir) == ["thesis.tex"]
    assert done("mark", "exp/x")[0] == 2


def test_links_are_not_followed(done):
    done.work("--option", "a=1")
    (done.tree / "precious").mkdir()
    (done.tree / "precious/file").touch()
    (done.dir / "link").symlink_to(done.tree / "precious")
    assert done.check("--option", "a=2")[0] == 1
    assert (done.tree / "precious/file").exists()


def test_a_directory_elsewhere_behind_a_link(done):
    (done.tree / "big").mkdir()
    (done.tree / "exp").mkdir()
    done.dir.symlink_to(done.tree / "big")
    done.work("--option", "a=1")
    assert done.check("--option", "a=2")[0] == 1
    assert os.listdir(done.tree / "big") == [".fingerprint"]


def test_wrong_words(done):
    for words in (["check"], ["look", "exp/x"], ["check", "exp/x", "--oops"], ["check", "exp/x", "--option", "a"]):
        assert done(*words)[0] == 2
    assert not done.dir.exists()


def test_unwritable(done, powerless):
    (done.tree / "exp").mkdir(mode=0o555)
    code, line = done("check", "exp/x", before=tuple(powerless))
    assert (code, line) == (2, "done.py: exp/x: exp/x: Permission denied")


def test_full_disk(done, small_disk):
    done.dir.parent.mkdir()
    done.dir.symlink_to(small_disk)
    (small_disk / ".fingerprint").touch()
    code, line = done.check("--option", "a=1")
    assert (code, line) == (2, "done.py: exp/x: disk full: free space in exp/x and run again")
    assert (small_disk / "filler").exists() and not list(small_disk.glob("*.tmp"))


# Runs done.py and kills it, as kill -9 does, before its Nth change to the file system.
KILLER = """
import os, runpy, signal, sys
left = int(sys.argv.pop(1))
def hook(event, arguments):
    global left
    writes = event == "open" and isinstance(arguments[1], str) and "w" in arguments[1]
    if writes or event in ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "shutil.rmtree"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.argv = sys.argv[1:]
sys.path.insert(0, "steps/lib")  # as Python does for a program that is started
sys.addaudithook(hook)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def killed(done: Done, moment: int, *words: str) -> bool:
    command = [sys.executable, "-c", KILLER, str(moment), "steps/lib/done.py", *words]
    return subprocess.run(command, cwd=done.tree, capture_output=True).returncode == -9


def test_kill_at_any_moment_of_a_check(done):
    for moment in range(100):
        shutil.rmtree(done.dir, ignore_errors=True)
        done.work("--option", "a=1")
        (done.dir / "log/job.1.log").touch()
        was_killed = killed(done, moment, "check", "exp/x", "--option", "a=2")
        assert done.check("--option", "a=2")[0] == 1, f"trusted after a kill at {moment}"
        assert [name for name in os.listdir(done.dir) if not name.startswith(".")] == []
        if not was_killed:
            break
    assert moment > 5


def test_kill_at_any_moment_of_a_first_check_and_of_mark(done):
    for moment in range(100):
        shutil.rmtree(done.dir, ignore_errors=True)
        was_killed = killed(done, moment, "check", "exp/x", "--option", "a=1")
        assert done.check("--option", "a=1")[0] == 1
        (done.dir / "model.pt").touch()
        killed(done, moment, "mark", "exp/x")
        code, _ = done.check("--option", "a=1")
        assert code == 0 or not (done.dir / ".done").exists()
        if not was_killed:
            break
    assert code == 0 and moment > 1
