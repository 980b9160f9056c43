"""steps/lib/log.sh, path.sh and cmd.sh."""

import os
import re
import signal
import subprocess
import time

import pytest


def test_log_and_die(sh):
    result = sh("set -euo pipefail; . log.sh; log 'hello 5%'; die 'no such thing'; log never")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d \(.*:\d+\) hello 5%\n", result.stdout)
    assert (result.returncode, result.stderr) == (1, "test.sh: no such thing\n")


def test_require(sh, tmp_path):
    check = "set -euo pipefail; . log.sh; require \"$1\" 'stage 2 (features)'; echo fine"
    assert sh(check, "exp/x/feats.scp").stderr == "test.sh: exp/x/feats.scp is missing: run stage 2 (features) first\n"
    (tmp_path / "exp/x").mkdir(parents=True)
    (tmp_path / "exp/x/feats.scp").touch()
    assert sh(check, "exp/x/feats.scp").stdout == "fine\n"
    (tmp_path / "exp/x/.fingerprint").touch()
    for path in ("exp/x", "exp/x/feats.scp"):
        result = sh(check, path)
        assert (result.returncode, result.stderr) == (
            1,
            "test.sh: exp/x is incomplete: run stage 2 (features) again\n",
        )
    (tmp_path / "exp/x/.done").touch()
    assert sh(check, "exp/x").stdout == "fine\n"


def test_no_more_jobs_than_utterances(sh, tmp_path):
    """Of a table its lines, of a folder of audio its files, through links and in folders, too."""
    (tmp_path / "audio/deep").mkdir(parents=True)
    (tmp_path / "audio/deep/a.wav").touch()
    (tmp_path / "audio/b.wav").symlink_to(tmp_path / "audio/deep/a.wav")
    (tmp_path / "link").symlink_to(tmp_path / "audio")
    (tmp_path / "table").write_text("a x\nb y\n")
    (tmp_path / "empty").mkdir()
    check = 'set -euo pipefail; . log.sh; nj=4; limit_jobs "$1"; echo $nj'
    for name in ("audio", "link", "table"):
        assert sh(check, name).stdout == "2\n"
    assert sh(check, "empty").stderr == "test.sh: empty is empty: no utterances\n"


def test_a_model_that_is_not_there_says_what_makes_one_and_what_lies_beside_it(sh, tmp_path):
    check = 'set -euo pipefail; . log.sh; require_model "$1" conf/asr.yaml; echo fine'
    missing = "test.sh: exp/asr_claen/model.pt is missing: run steps/train.sh conf/asr.yaml first"
    assert sh(check, "exp/asr_claen").stderr == f"{missing}\n"
    for name in ("asr_clean", "a b"):
        (tmp_path / "exp" / name).mkdir(parents=True)
        (tmp_path / "exp" / name / "model.pt").touch()
    assert sh(check, "exp/asr_claen").stderr == f"{missing}; models beside it: exp/a b exp/asr_clean\n"
    assert sh(check, "exp/asr_clean").stdout == sh(check, "exp/a b").stdout == "fine\n"


def test_lines_of_commands_in_the_background_stay_whole(sh):
    drip = 'one() { for _ in 1 2 3; do printf "%s" "$1"; sleep 0.05; echo "$1"; done; }'
    four = "for n in a b c d; do in_background 2 one $n; done; wait_all"
    result = sh(f"set -euo pipefail; . log.sh; {drip}; {four}; echo end")
    *lines, end = result.stdout.splitlines()
    assert sorted(lines) == [x + x for x in "abcd" for _ in range(3)] and end == "end"


def test_of_commands_in_the_background_none_is_forgotten(sh):
    many = "for n in $(seq 40); do in_background 4 sleep 0.02; done"  # several end at the same moment
    assert sh(f"set -euo pipefail; . log.sh; {many}; wait_all; echo end").stdout == "end\n"
    result = sh(f"set -euo pipefail; . log.sh; {many}; in_background 4 false; wait_all; echo end")
    assert (result.returncode, result.stdout) == (1, "")


STAGES = """set -euo pipefail; . log.sh; export MIMIC_RUN_PID=$$
log 'stage 1: one'; "$1" x.sh 1; log 'stage 2: two'
for n in 2 3; do in_background 2 "$1" x.sh $n; done; wait_all; log never"""
JOB = 'set -euo pipefail; . log.sh; [ $1 = 1 ] || launch.py exp/$1/log/x.log sh -c "touch $1; sleep 300"; log after'


def test_an_interrupt_says_one_line_and_ends_with_130(sh, tmp_path, env):
    """As a terminal's Ctrl-C: the recipe, its steps and the launcher get it; the one that was called says so."""
    (tmp_path / "x.sh").write_text(JOB)
    heed = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731  # these tests may run in a background
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    words = ["bash", "-c", STAGES, "run.sh", "bash"]
    with subprocess.Popen(words, cwd=tmp_path, env=env, start_new_session=True, preexec_fn=heed, **pipes) as process:
        try:
            while not all((tmp_path / name).exists() for name in "23"):
                assert process.poll() is None
                time.sleep(0.02)
            os.killpg(process.pid, signal.SIGINT)
            output, line = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, line) == (
        130,
        "run.sh: interrupted (stage 2: two): the same command resumes there\n",
    )
    assert output.count(" after\n") == 1 and " never" not in output
    assert sorted(output.splitlines()[-2:]) == [f"launch.py: stopped, logs are in exp/{n}/log/x.log" for n in (2, 3)]
    with pytest.raises(ProcessLookupError):  # nobody is left
        os.killpg(process.pid, 0)


STEP = """set -euo pipefail; . log.sh
if up_to_date exp/x --option lr="$1"; then exit 0; fi
echo working; echo "$1" > exp/x/result; mark_done exp/x"""


def test_a_step(sh, tmp_path):
    assert sh(STEP, "1").stdout == "exp/x: to do\nworking\n"
    assert sh(STEP, "1").stdout == "exp/x is done and unchanged: skipping\n"
    assert sh(STEP, "2").stdout == 'exp/x: to do again, lr was "1" and is "2"; what was here is in exp/x.old\nworking\n'
    assert (tmp_path / "exp/x/result").read_text() == "2\n"


def test_a_step_in_a_directory_of_others(sh, tmp_path):
    (tmp_path / "exp/x").mkdir(parents=True)
    (tmp_path / "exp/x/thesis.tex").touch()
    result = sh(STEP, "1")
    assert (result.returncode, result.stdout) == (1, "")
    assert "no step of this recipe made" in result.stderr and result.stderr.count("\n") == 1
    assert [p.name for p in (tmp_path / "exp/x").iterdir()] == ["thesis.tex"]


def test_two_steps_never_write_one_directory(sh, tmp_path, env):
    slow = STEP.replace("echo working", "echo working; sleep 20")
    first = subprocess.Popen(
        ["bash", "-c", slow, "test.sh", "1"], cwd=tmp_path, env=env, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        while first.stdout.readline() != b"working\n":
            pass
        second = sh(STEP, "1")
        assert second.returncode == 1
        who = f"process {first.pid} on {os.uname().nodename}"
        assert second.stderr.startswith(f"done.py: exp/x is being written by another run ({who}): wait for it, or end")
        assert second.stderr.count("\n") == 1
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    result = sh(STEP, "1")  # nobody is left who holds the lock
    assert (result.returncode, result.stdout) == (0, "exp/x: not finished, resuming\nworking\n")


def test_unwritable_exp(tmp_path, env, powerless):
    (tmp_path / "exp").mkdir(mode=0o555)
    command = [*powerless, "bash", "-c", STEP, "test.sh", "1"]
    result = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert result.returncode == 1 and result.stdout == ""
    assert "exp/x" in result.stderr and "Permission denied" in result.stderr and result.stderr.count("\n") == 1


def test_path_sh_twice(sh, root, env):
    env["PATH"] = "/usr/bin:/bin"
    script = f"set -eu; . {root}/path.sh; one=$PATH; . {root}/path.sh; [ $PATH = $one ]; echo $PATH $PYTHONPATH $LC_ALL"
    result = sh(script, PATH="/usr/bin:/bin")
    assert result.stdout == f"{root}/steps/lib:{root}/.venv/bin:/usr/bin:/bin {root}/pyscripts C\n"


def test_path_sh_without_venv_and_with_local_path(sh, root, tmp_path):
    (tmp_path / "path.sh").write_text((root / "path.sh").read_text())
    (tmp_path / "local").mkdir()
    (tmp_path / "local/path.sh").write_text("export MINE=$LC_ALL\n")
    result = sh("set -eu; . ./path.sh; echo $MINE")
    assert (result.returncode, result.stdout) == (0, "C\n")
    assert "steps/setup.sh" in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize("backend", ["local", "slurm", "sge"])
def test_cmd_sh(sh, root, backend):
    launch = "launch.py" if backend == "local" else f"launch.py --backend {backend}"
    result = sh(
        f'set -eu; cmd_backend={backend}; . {root}/cmd.sh; printf \'%s\n\' "$train_cmd" "$decode_cmd" "$cuda_cmd"'
    )
    assert result.stdout.splitlines() == [f"{launch} --mem {memory}" for memory in ("2G", "4G", "8G")]


def test_unknown_cmd_backend(sh, root):
    result = sh(f"cmd_backend=moon; . {root}/cmd.sh || exit 1")
    assert result.returncode == 1
    assert result.stderr == "cmd.sh: unknown cmd_backend 'moon': local, slurm or sge\n"
