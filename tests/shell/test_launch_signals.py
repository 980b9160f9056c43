"""The launcher ends its jobs with itself, and shows their progress."""

import os
import pty
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from places import LIB


def running(pid_file: Path) -> bool:
    """Whether the process whose number is in a file lives (a zombie does not)."""
    try:
        state = Path(f"/proc/{int(pid_file.read_text())}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


def wait_until(condition, seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


# A job with a grandchild, both of which say who they are.
JOB = "sleep 300 & echo $! > child; echo $BASHPID > parent; wait"
STUBBORN = "trap '' TERM; " + JOB


def heed_signals() -> None:
    """As in a terminal, also where these tests run in the background and inherit that SIGINT is ignored."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def started(tmp_path: Path, env: dict[str, str], script):
    """Starts launch.py on a job that does not end by itself, waits until that runs, ends all afterwards."""
    processes = []

    def start(job: str = JOB, *, inside: str = "", **more: str) -> subprocess.Popen:
        words = ["launch.py", "log/x.log", *script(job)]
        if inside:
            words = ["bash", "-c", inside, "test.sh", *words]
        how = {"stderr": subprocess.PIPE, "start_new_session": True, "preexec_fn": heed_signals}
        process = subprocess.Popen(words, cwd=tmp_path, env=env | more, **how)
        processes.append(process)
        files = tmp_path / "child", tmp_path / "parent"
        assert wait_until(lambda: all(f.exists() and f.read_text().strip() for f in files))
        assert all(running(f) for f in files)
        return process

    yield start
    for process in processes:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("job", [JOB, STUBBORN])
def test_a_signal_ends_the_jobs(started, tmp_path, number, job):
    process = started(job)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (2, b"launch.py: stopped, logs are in log/x.log\n")
    assert not running(tmp_path / "child") and not running(tmp_path / "parent")


def test_kill_9_ends_the_jobs(started, tmp_path):
    process = started()
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert wait_until(lambda: not running(tmp_path / "child") and not running(tmp_path / "parent"))


def test_kill_9_of_the_step_ends_the_jobs(started, tmp_path):
    step = started(inside='"$@"; exit $?')
    step.kill()
    step.wait()
    assert wait_until(lambda: not running(tmp_path / "child") and not running(tmp_path / "parent"))


def test_kill_9_of_run_sh_ends_the_jobs(started, tmp_path):
    run_sh = subprocess.Popen(["sleep", "300"])
    process = started(MIMIC_RUN_PID=str(run_sh.pid))
    run_sh.kill()
    run_sh.wait()
    assert process.wait(timeout=20) == 2
    assert not running(tmp_path / "child") and not running(tmp_path / "parent")


EVENT = '{"event": "progress", "done": %d, "total": %d, "unit": "utterances"}\\n'
REPORTING = f"for n in 1 2 3 4 5; do printf '{EVENT}' $n 5 >> \"$MIMIC_JOB\"; sleep 0.25; done"


def test_progress_bar_on_a_terminal(tmp_path, env, script):
    pytest.importorskip("rich")
    terminal, terminal_of_process = pty.openpty()
    words = ["launch.py", "--max-jobs-run", "2", "JOB=1:4", "log/enhance.JOB.log", *script(REPORTING)]
    process = subprocess.Popen(
        words, cwd=tmp_path, env=env | {"TERM": "xterm", "COLUMNS": "120"}, stderr=terminal_of_process
    )
    os.close(terminal_of_process)
    shown = b""
    try:
        while piece := os.read(terminal, 65536):
            shown += piece
    except OSError:  # the other side closed
        pass
    assert process.wait() == 0
    assert b"enhance" in shown and re.search(rb"\d+/20 utterances, \d/4 jobs", shown)
    assert b"20/20 utterances, 4/4 jobs" in shown


def test_plain_progress_lines_elsewhere(tmp_path, capsys, monkeypatch):
    monkeypatch.syspath_prepend(LIB)
    from launcher.progress import Progress, last_progress, record_of

    log, other = tmp_path / "x.1.log", tmp_path / "x.2.log"
    assert last_progress(log) is None
    record = record_of(log)
    record.write_text('{"event": "start"}\n' * 1000)
    assert last_progress(log) is None
    with open(record, "a") as file:
        file.write(EVENT.replace("\\n", "\n") % (3, 10) + EVENT.replace("\\n", "\n") % (4, 10) + '{"event": "prog')
    assert last_progress(log) == (4, 10, "utterances", 0)
    with Progress("enhance", jobs=3) as progress:
        progress.every, progress.begun = 0.0, progress.begun - 60  # seconds
        progress.show([])
        progress.show([log])
        progress.show([log])
        record_of(other).write_text(EVENT.replace("\\n", "\n") % (8, 20))
        progress.ended(log, ok=True)
        progress.show([other])
    first, second = capsys.readouterr().err.splitlines()
    assert first == "launch.py: enhance: 4/30 utterances, 0/3 jobs, 6:30 left"  # 10 stand for each silent job
    assert second == "launch.py: enhance: 18/45 utterances, 1/3 jobs, 1:30 left"
    record.write_text('{"event": "progress", "done": 40, "total": 100, "unit": "steps", "before": 30}\n')
    with Progress("train", jobs=1) as progress:  # resumed at step 30
        progress.every, progress.begun = 0.0, progress.begun - 60
        progress.show([log])
    assert capsys.readouterr().err == "launch.py: train: 40/100 steps, 6:00 left\n"
