"""The lock file of a directory: who holds it, and when it is stale."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from mimic.errors import UserError
from mimic.io import lock
from mimic.io.lock import Lock


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / ".lock"


def test_the_second_one_is_refused_until_the_first_has_ended(path):
    with Lock(path):
        who = f"process {os.getpid()} on {os.uname().nodename}"
        with pytest.raises(UserError) as error:
            Lock(path).acquire()
        assert str(error.value).startswith(f"{path.parent} is being written by another run ({who}): wait for it, or")
    assert list(path.parent.iterdir()) == []
    Lock(path).acquire()


def test_a_process_that_was_killed_holds_nothing(path):
    holder = subprocess.Popen(["sleep", "100"])
    Lock(path, holder.pid).acquire()
    with pytest.raises(UserError, match=f"process {holder.pid} "):
        Lock(path).acquire()
    holder.kill()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{holder.pid}/stat").read_text().split()[2] != "Z" and time.monotonic() < deadline:
        time.sleep(0.01)
    Lock(path).acquire()  # although it is still in the table of processes


def test_a_number_that_went_to_another_process_holds_nothing(path):
    path.write_text(f"{os.uname().nodename} {os.getpid()} 12345\n")
    Lock(path).acquire()


@pytest.mark.parametrize("seconds", [10, lock.STALE + 10])
def test_on_another_machine_a_lock_is_stale_when_nobody_touches_it(path, seconds):
    path.write_text("elsewhere 1 2\n")
    os.utime(path, (time.time() - seconds,) * 2)
    if seconds > lock.STALE:
        Lock(path).acquire()
        assert path.read_text().split()[1] == str(os.getpid())
    else:
        with pytest.raises(UserError, match="process 1 on elsewhere.*remove .*/.lock"):
            Lock(path).acquire()


def test_it_is_touched_as_long_as_it_is_held(path, monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 0.0)
    with Lock(path):
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 10
        while path.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert path.stat().st_mtime > 0


def test_a_keeper_ends_when_another_program_has_released_the_lock(path):
    held = Lock(path)
    held.acquire()
    Lock(path).release()  # as "done.py mark" does it for a shell that continues
    held.keep()
    assert list(path.parent.iterdir()) == []


def test_a_keeper_lets_go_when_the_process_has_ended(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    holder = subprocess.Popen(["sleep", "100"])
    held = Lock(Path(path.name), holder.pid)  # a path of its working directory, which it leaves
    held.acquire()
    held.keep_aside()
    assert path.exists()
    holder.kill()
    holder.wait()
    deadline = time.monotonic() + 10
    while path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert list(path.parent.iterdir()) == []


def test_what_a_kill_left_goes(path):
    left = path.with_name(f".lock.{os.uname().nodename}.{2**22 + 1}")
    left.touch()
    with Lock(path):
        assert not left.exists()


def test_a_damaged_lock_is_nobodys(path):
    path.write_text("x")
    Lock(path).acquire()
