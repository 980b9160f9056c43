"""steps/lib/done.py: what counts as done, what becomes of what is there, and that a kill at any moment is safe."""

import itertools
import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from done_maker import SKIPPED, Done, own

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "steps/lib"))
from uptodate.state import Action, State, transition


def test_every_state_has_an_action_and_only_finished_work_is_skipped():
    for state, forced, kept in itertools.product(State, (False, True), (False, True)):
        action = transition(state, forced=forced, kept=kept)
        assert (action is Action.SKIP) == (state is State.DONE and not forced)
        assert (action is Action.REFUSE) == (state in (State.FOREIGN, State.OTHERS))


def test_done_and_unchanged(done):
    done.work("--option", "a=1", "b=x y", "--option", "--data.train=--z")
    assert done.check("--option", "--data.train=--z", "--option", "a=1", "b=x y") == (0, SKIPPED)


@pytest.mark.parametrize(
    "words, reason",
    [
        (["--option", "a=2"], 'a was "1" and is "2"'),
        (["--option", "a=1", "b=2"], 'b was unset and is "2"'),
        ([], 'a was "1" and is unset'),
        (["--option", "a=1", "--input", "conf/a.yaml"], "input conf/a.yaml is new"),
        (["--option", "a=1", "--force", "true"], "--force true"),
        (["--option", "a=1", "--version", "2"], "format version was 1 and is 2"),
    ],
)
def test_what_changed_is_named_and_what_was_there_is_kept(done, words, reason):
    done.work("--option", "a=1")
    assert done.check(*words) == (1, f"exp/x: to do again, {reason}; what was here is in exp/x.old")
    assert own(done.dir) == []
    assert (done.tree / "exp/x.old/model.pt").read_text() == "weights"


def test_code_that_changed_starts_nothing_again_and_is_reported_once(done):
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@example.org"]
    (done.tree / "code.py").write_text("")
    for words in (["init", "-q"], ["add", "code.py"], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *words], cwd=done.tree, check=True)
    done.work("--option", "a=1")
    assert done.check("--option", "a=1") == (0, SKIPPED)
    (done.tree / "code.py").write_text("# x\n")
    code, line = done.check("--option", "a=1")
    assert code == 0 and line.startswith(f"{SKIPPED} (made by revision ") and line.endswith("+changes)")
    assert done.check("--option", "a=1") == (0, SKIPPED)


def data_dir(tree: Path, name: str = "data/train") -> Path:
    data = tree / name
    data.mkdir(parents=True)
    (tree / "a.wav").write_bytes(b"RIFF")
    (data / "wav.scp").write_text(f"s-1 {tree}/a.wav\ns-2\ta.wav:44\ns-3 cat {tree}/none |\ns-4 /none\n")
    (data / "text").write_text("s-1 HELLO\n")
    return data


def finished_data(done: Done) -> Path:
    """A data directory that a step has made."""
    done("check", "data/train", "--step", "local/prepare.sh", "--option", "a=1")
    (done.tree / "data/train/text").write_text("s-1 HELLO\n")
    assert done("mark", "data/train") == (0, "")
    return done.tree / "data/train"


@pytest.mark.parametrize("made_by_a_step", [False, True])
def test_a_table_edited_by_hand(done, made_by_a_step):
    data = finished_data(done) if made_by_a_step else data_dir(done.tree)
    done.work("--input", "data/train")
    assert done.check("--input", "data/train") == (0, SKIPPED)
    (data / "text").write_text("s-1 WORLD\n")
    if made_by_a_step:
        line = done.check("--input", "data/train")[1]
        assert "text was changed after it was made: run local/prepare.sh again" in line
        done("mark", "data/train")
    code, line = done.check("--input", "data/train")
    assert (code, line.split(";")[0]) == (1, "exp/x: to do again, input data/train changed")


def test_audio_counts_by_its_contents(done):
    data_dir(done.tree)
    done.work("--input", "data/train")
    os.utime(done.tree / "a.wav", (1, 1))
    assert done.check("--input", "data/train") == (0, SKIPPED)
    (done.tree / "a.wav").write_bytes(b"RIFX")
    assert done.check("--input", "data/train")[0] == 1


def test_folders_of_recordings_count_with_what_lies_below_them(done):
    (done.tree / "noises/train").mkdir(parents=True)
    (done.tree / "noises/train/a.wav").write_bytes(b"RIFF")
    done.work("--input", "noises")
    assert done.check("--input", "noises") == (0, SKIPPED)
    (done.tree / "noises/train/b.wav").write_bytes(b"RIFF")
    assert done.check("--input", "noises")[0] == 1


def test_what_is_made_inside_of_an_input_is_no_part_of_it(done):
    (done.tree / "joint/enhancer").mkdir(parents=True)
    (done.tree / "joint/enhancer/model.pt").touch()
    words = ("joint/enhancer/wav", "--step", "steps/enhance.sh", "--input", "joint/enhancer")
    assert done("check", *words)[0] == 1
    (done.tree / "joint/enhancer/wav/wav.scp").touch()
    assert done("mark", words[0]) == (0, "")
    assert done("check", *words)[0] == 0


def test_an_input_that_was_made_again_counts_by_what_came_out(done):
    data = finished_data(done)
    done.work("--input", "data/train")
    for text, code in (("s-1 HELLO\n", 0), ("s-1 OTHER\n", 1)):
        done("check", "data/train", "--step", "local/prepare.sh", "--option", f"a={text}")
        (data / "text").write_text(text)
        (data / "run_info.json").write_text(f'"{text}"')  # a time of day
        done("mark", "data/train")
        assert done.check("--input", "data/train")[0] == code


def test_input_that_is_not_ready(done):
    assert done.check("--input", "data/train") == (2, "done.py: exp/x: input data/train is missing")
    done("check", "data/train", "--step", "local/prepare.sh")
    line = "done.py: exp/x: input data/train is incomplete: run local/prepare.sh again"
    assert done.check("--input", "data/train") == (2, line)


def test_an_input_that_changed_during_the_work_is_noticed_at_its_end(done):
    words = ("--input", "conf/a.yaml")
    done.check(*words)
    (done.dir / "archive").write_text("half of it made with a: 1")
    (done.tree / "conf/a.yaml").write_text("a: 2\n")
    code, line = done("mark", "exp/x")
    assert code == 2 and line.endswith("input conf/a.yaml was changed while this was made: run it again")
    (done.tree / "conf/a.yaml").write_text("a: 1\n")  # also where it is as it was at the beginning
    assert done.check(*words)[1].startswith("exp/x: to do again, input conf/a.yaml changed while it was made")
    assert own(done.dir) == []


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


def test_a_dry_run_says_what_follows_and_does_nothing(done):
    pending = done.tree / "pending"
    dry = ("--dry-run", str(pending))
    finished_data(done)
    done.work("--input", "data/train", "--option", "a=1")
    before = sorted((p, p.stat().st_mtime_ns) for p in done.tree.rglob("*") if p.name != "pending")
    assert done.check("--input", "data/train", "--option", "a=1", *dry) == (0, "")
    words = ("check", "data/train", "--step", "local/prepare.sh", "--option", "a=2")
    assert done(*words, *dry) == (1, 'data/train: to do again, a was "1" and is "2"')
    line = "exp/x: to do again, input data/train is made before"
    assert done.check("--input", "data/train", "--option", "a=1", *dry) == (1, line)
    assert done("check", "exp/y", "--step", "s", "--input", "exp/x/model.pt", *dry) == (1, "exp/y: to do")
    assert pending.read_text().split() == ["data/train", "exp/x", "exp/y"]
    assert before == sorted((p, p.stat().st_mtime_ns) for p in done.tree.rglob("*") if p.name != "pending")


def test_wrong_words(done):
    for words in (["check"], ["look", "exp/x"], ["check", "exp/x", "--oops"], ["check", "exp/x", "--option", "a"]):
        assert done(*words)[0] == 2
    assert done.check("--lock", str(os.getpid()), "--version", "new")[0] == 2
    assert not done.dir.exists()


def test_unwritable(done, powerless):
    (done.tree / "exp").mkdir(mode=0o555)
    code, line = done("check", "exp/x", before=tuple(powerless))
    assert (code, line) == (2, "done.py: exp/x: exp/x: Permission denied")


def test_finished_work_on_a_disk_that_can_only_be_read(done):
    done.work("--option", "a=1")
    exp = done.tree / "exp"
    if subprocess.run(["mount", "--bind", exp, exp], capture_output=True).returncode:
        pytest.skip("cannot mount here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", exp], check=True)
        os.utime(done.tree / "conf/a.yaml")
        lock = ("--lock", str(os.getpid()))
        assert done.check("--option", "a=1", *lock) == (0, SKIPPED)
        code, line = done.check("--option", "a=2", *lock)
        assert code == 2 and line.endswith("Read-only file system")
        assert done("check", "exp/y", "--step", "s", *lock)[1].endswith("Read-only file system")
    finally:
        subprocess.run(["umount", exp], check=True)


def test_full_disk(done, small_disk):
    done.dir.parent.mkdir()
    done.dir.symlink_to(small_disk)
    kept = (small_disk / "filler").read_bytes()[32768:]
    (small_disk / "filler").unlink()
    done.work("--option", "a=1", weights="w" * len(kept))
    with suppress(OSError), open(small_disk / "filler", "wb", buffering=0) as file:
        while file.write(bytes(512)):
            pass
    line = "done.py: exp/x: disk full: free space in exp/x and run again"
    assert done.check("--option", "a=2") == (2, line)
    assert not list(small_disk.rglob("*.tmp")) and next(small_disk.rglob("model.pt")).stat().st_size == len(kept)


# Runs done.py and kills it, as kill -9 does, before its Nth change to the file system.
KILLER = """
import os, runpy, signal, sys
left = int(sys.argv.pop(1))
def hook(event, arguments):
    global left
    writes = event == "open" and isinstance(arguments[1], str) and "w" in arguments[1]
    if writes or event in ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "shutil.rmtree", "os.link"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.argv = sys.argv[1:]
sys.path.insert(0, "steps/lib")  # as Python does for a program that is started
sys.dont_write_bytecode = True
sys.addaudithook(hook)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def killed(done: Done, moment: int, *words: str) -> bool:
    command = [sys.executable, "-c", KILLER, str(moment), "steps/lib/done.py", *words]
    return subprocess.run(command, cwd=done.tree, capture_output=True).returncode == -9


def models(tree: Path) -> list[str]:
    return sorted(p.read_text() for p in tree.glob("exp/x*/model.pt"))


@pytest.mark.parametrize("back", [False, True])
def test_kill_at_any_moment_of_a_check(done, back):
    """Nothing half-made is trusted, and no trained model is lost, on the way to other settings and back."""
    for moment in range(100):
        for folder in done.tree.glob("exp/x*"):
            shutil.rmtree(folder)
        done.work("--option", "a=1", weights="of a=1")
        if back:
            done.work("--option", "a=2", weights="of a=2")
        wanted = "a=1" if back else "a=2"
        words = ("check", "exp/x", "--step", "steps/train.sh", "--option", wanted)
        was_killed = killed(done, moment, *words)
        code, line = done(*words)
        assert models(done.tree) == ["of a=1", "of a=2"][: 2 if back else 1], f"lost after a kill at {moment}"
        if back:
            assert code == 0 and (done.dir / "model.pt").read_text() == "of a=1", line
        else:
            assert code == 1 and own(done.dir) == [], f"trusted after a kill at {moment}"
        if not was_killed:
            break
    assert moment > 3


def test_kill_at_any_moment_of_a_first_check_and_of_mark(done):
    for moment in range(100):
        shutil.rmtree(done.dir, ignore_errors=True)
        was_killed = killed(done, moment, "check", "exp/x", "--step", "steps/train.sh", "--option", "a=1")
        assert done.check("--option", "a=1")[0] == 1
        (done.dir / "model.pt").touch()
        killed(done, moment, "mark", "exp/x")
        code, _ = done.check("--option", "a=1")
        assert code == 0 or not (done.dir / ".done").exists()
        if not was_killed:
            break
    assert code == 0 and moment > 1


def test_a_fingerprint_says_what_decides(done):
    done.work("--option", "a=1", "--input", "conf/a.yaml")
    text = (done.dir / ".fingerprint").read_text()
    assert [line.split()[0] for line in text.splitlines()] == ["step", "version", "option", "input"]
    assert str(done.tree) not in text and json.loads((done.dir / ".made").read_text())["revision"]
