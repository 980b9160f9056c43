"""steps/lib/done.py: disks that are full or read-only, kills at any moment."""

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from done_maker import SKIPPED, Done, own


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
