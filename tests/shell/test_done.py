"""steps/lib/done.py: what counts as done, what is emptied, and that a kill at any moment is safe."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from places import LIB

TREE = {
    "pyscripts/prog.py": "import os\nfrom mimic.tasks import asr\n",
    "pyscripts/mimic/__init__.py": "",
    "pyscripts/mimic/tasks/__init__.py": "",
    "pyscripts/mimic/tasks/asr.py": "def f():\n    from ..models import (  # one\n        net as other,\n    )\n",
    "pyscripts/mimic/models/__init__.py": "from .deep import thing\n",
    "pyscripts/mimic/models/net.py": "",
    "pyscripts/mimic/models/deep.py": "import mimic.far.away\n",
    "pyscripts/mimic/far/away.py": "",
    "pyscripts/mimic/unused.py": "",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small repository with its own done.py, as that one looks for code beside itself."""
    for name, text in TREE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "steps/lib").mkdir(parents=True)
    for name in ("done.py", "done_outputs.py"):
        shutil.copy(LIB / name, tmp_path / "steps/lib")
    return tmp_path


class Done:
    def __init__(self, tree: Path) -> None:
        self.tree, self.dir = tree, tree / "exp/x"

    def __call__(self, *words: str, before: tuple[str, ...] = ()) -> tuple[int, str]:
        command = [*before, sys.executable, "steps/lib/done.py", *words]
        result = subprocess.run(command, cwd=self.tree, capture_output=True, text=True, timeout=60)
        assert (result.stdout + result.stderr).count("\n") <= 1, "one line is enough"
        return result.returncode, (result.stdout + result.stderr).strip()

    def check(self, *words: str) -> tuple[int, str]:
        return self("check", "exp/x", *words)

    def work(self, *words: str) -> None:
        """A whole step."""
        code, line = self.check(*words)
        assert code == 1, line
        (self.dir / "model.pt").write_text("weights")
        (self.dir / "log").mkdir(exist_ok=True)
        assert self("mark", "exp/x") == (0, "")


@pytest.fixture
def done(tree: Path) -> Done:
    return Done(tree)


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
def test_what_was_damaged_is_removed_and_made_again(done, damage):
    folder = finished_features(done)
    damage(folder / "archives/feats.1.ark")
    assert done.check() == (1, "exp/x: to do, archives was changed")
    assert not (folder / "archives").exists() and not (folder / ".done").exists()
    assert (folder / "feats.scp").exists() and (folder / "frame_shift").exists()
    assert done.check() == (1, "exp/x: not finished, going on")


def test_a_damaged_input_is_refused(done):
    folder = finished_features(done)
    y = ("check", "exp/y", "--input", "exp/x", "exp/x/feats.scp")
    assert done(*y)[0] == 1
    (folder / "archives/feats.1.ark").write_bytes(b"a-1")
    (folder / "frame_shift").unlink()
    refused = "done.py: exp/y: input exp/x: {} after it was made: run the stage that makes it again"
    assert done(*y) == (2, refused.format("archives was changed"))
    y = ("check", "exp/y", "--input", "exp/x/feats.scp")
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


def test_a_large_file_counts_by_size_and_time(done):
    folder = finished_features(done)
    with open(folder / "archives/feats.1.ark", "wb") as file:
        file.truncate(40 << 20)
    done("mark", "exp/x")
    assert done.check()[0] == 0
    os.utime(folder / "archives/feats.1.ark", (1, 1))
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
