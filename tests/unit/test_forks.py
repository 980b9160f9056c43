"""A program that the tests fork is what it would be had it been started."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "steps/lib"))
from launcher.processes import alive

PROGRAM = """
import json, os, signal, subprocess, sys, time
if sys.argv[1] == "leave":
    sys.exit(int(sys.argv[2]))
if sys.argv[1] == "die":
    os.kill(os.getpid(), signal.SIGTERM)
if sys.argv[1] == "wait":
    child = subprocess.Popen(["sleep", "60"])
    signal.signal(signal.SIGUSR1, lambda *_: (child.kill(), os.write(1, b"caught\\n"), sys.exit(75)))
    print(os.getpid(), child.pid, flush=True)
    for _ in range(600):  # a handler may have to wait for the end of one
        time.sleep(0.1)
print("forked" if "torch" in sys.modules else "started", file=sys.stderr)
mask = os.umask(0)
print(json.dumps([sys.argv, sys.stdin.read(), os.getcwd(), os.environ["WORD"], __name__, __file__, mask, sys.path[0]]))
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("forks") / "pyscripts/program.py"
    path.parent.mkdir()
    path.write_text(PROGRAM)
    if not os.environ["MIMIC_FORKS"]:
        pytest.skip("MIMIC_FORKS is empty: every program is started")
    # A server of its own: the one that all tests share may have been begun in another environment than this one.
    folder = tmp_path_factory.mktemp("server")
    socket = folder / os.environ.get("OMP_NUM_THREADS", "0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIMIC_FORKS", str(folder))
        for _ in range(600):
            if socket.is_socket():
                break
            subprocess.run(["python3", path, "leave", "0"], check=True)
            time.sleep(0.2)
        else:
            raise AssertionError("no server came up")
        yield path
        socket.unlink()  # it ends


def test_it_sees_what_a_started_one_sees_and_ends_as_that_ends(program, tmp_path):
    words = [str(program), "a b", "*"]
    options = {"input": "line\n", "capture_output": True, "text": True, "cwd": tmp_path, "umask": 0o027}
    options["env"] = os.environ | {"WORD": "$x 'y'"}
    forked, started = (subprocess.run([python, *words], **options) for python in ("python3", sys.executable))
    assert (forked.stderr, started.stderr) == ("forked\n", "started\n")
    assert forked.stdout == started.stdout and (forked.returncode, started.returncode) == (0, 0)
    for ending, code in ((("leave", "7"), 7), (("die",), -signal.SIGTERM)):
        assert subprocess.run(["python3", program, *ending]).returncode == code


def test_signals_reach_it_and_nothing_of_it_outlives_a_kill(program):
    def begin() -> tuple[subprocess.Popen, list[int]]:
        front = subprocess.Popen(["python3", program, "wait"], stdout=subprocess.PIPE, text=True)
        return front, [int(word) for word in front.stdout.readline().split()]

    front, _ = begin()
    front.send_signal(signal.SIGUSR1)
    assert front.wait(60) == 75 and front.stdout.read() == "caught\n"
    front, pids = begin()
    front.kill()
    front.wait(60)
    until = time.monotonic() + 60
    while any(map(alive, pids)):
        assert time.monotonic() < until, "it still runs"
        time.sleep(0.05)
    front.stdout.close()


def test_a_program_of_the_recipe_is_forked_when_it_is_called_by_its_name(program, repository, tmp_path):
    """As steps call it: its first line looks for the recipe's Python, and would pass by the one in PATH."""
    copy = tmp_path / "pyscripts" / "program.py"
    copy.parent.mkdir()
    (tmp_path / ".venv").symlink_to(repository / ".venv")
    first = (repository / "pyscripts/train.py").read_text().splitlines()[0]
    copy.write_text(f"{first}\n{PROGRAM}")
    copy.chmod(0o755)
    env = os.environ | {"WORD": ""}
    output = [
        subprocess.run([copy, "x"], env=env | more, stdin=subprocess.DEVNULL, capture_output=True, text=True).stderr
        for more in ({}, {"MIMIC_FORKS": ""})
    ]
    assert output == ["forked\n", "started\n"]
