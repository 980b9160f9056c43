"""steps/lib/launch.py: Kaldi's calling convention, and that no job outlives it."""

import os
import re
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from places import LIB, ODD_NAMES


@pytest.fixture
def launch(tmp_path: Path, env: dict[str, str]):
    """launch(*words): one call in a fresh directory."""

    def run(*words: str, program: str = "launch.py", **more: str) -> subprocess.CompletedProcess:
        words = (program, *words)
        return subprocess.run(words, cwd=tmp_path, env=env | more, capture_output=True, text=True, timeout=60)

    return run


def shape(log: str) -> list[str]:
    """A log without what differs from run to run: dates and times."""
    log = re.sub(r"(Started at|Ended \(.*\) at) .*?(, elapsed.*)?$", r"\1", log, flags=re.MULTILINE)
    log = re.sub(r" memory=\d+M$", "", log, flags=re.MULTILINE)  # only launch.py writes it
    return [line.rstrip() for line in re.sub(r"time=\d+", "time=", log).splitlines()]


def test_one_job(launch, tmp_path):
    result = launch("exp/log/x.log", "echo", "hello", "a  b")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    log = (tmp_path / "exp/log/x.log").read_text()
    date = r"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \S+ \d{4}"
    assert re.fullmatch(
        rf"# echo hello 'a  b'\n# Started at {date}\n#\nhello a  b\n# Accounting: time=\d+ threads=1 memory=\d+M\n"
        rf"# Ended \(code 0\) at {date}, elapsed time \d+ seconds\n",
        log,
    )


def test_peak_memory_is_in_the_log(launch, tmp_path):
    assert launch("JOB=1:2", "log/x.JOB.log", "python3", "-c", "x=bytearray(JOB*300<<20)").returncode == 0
    logs = [(tmp_path / f"log/x.{job}.log").read_text() for job in (1, 2)]
    small, large = (int(re.search(r"# Accounting: .* memory=(\d+)M\n", log)[1]) for log in logs)
    assert 300 <= small < 400 and 600 <= large < 700


CALLS = {
    "jobs": ["JOB=1:3", "log/x.JOB.log", "echo", "JOB", "split/JOB/text"],
    "one of the jobs": ["JOB=3", "log/x.JOB.log", "echo", "JOB"],
    "one log is enough for one job": ["JOB=2:2", "log/x.log", "echo", "JOB"],
    "another word": ["N=1:2", "log/x.N.log", "echo", "JOB", "N"],
    "options on both sides": ["--mem", "4G", "JOB=1:2", "--num-threads", "1", "--max-jobs-run", "1", "log/JOB", "true"],
    "JOB inside a word": ["JOB=1:2", "MYJOBS/JOB.log", "echo", "MYJOBS"],
    "an identifier that no name has": ["JOB_=1:2", "JOBS/JOB_.log", "echo", "JOBS", "JOB", "JOB_"],
    "stderr": ["log/x", "ls", "/none"],
    "a job fails": ["JOB=1:4", "log/x.JOB.log", "test", "JOB", "-lt", "3"],
    "exit code": ["log/x", "bash", "exit.sh"],
    "killed": ["log/x", "bash", "kill.sh"],
    "one log for several jobs": ["JOB=1:2", "log/x", "true"],
    "input is empty": ["log/x", "wc", "-c"],
}
USAGE = {
    "no job 0": ["JOB=0:2", "log/x.JOB", "true"],
    "backwards": ["JOB=3:2", "log/x.JOB", "true"],
    "no command": ["log/x"],
    "unknown option": ["--mme", "4G", "log/x", "true"],
    "no jobs": ["JOB=1:0", "log/x.JOB", "true"],
    "missing value": ["--mem", "--gpu", "1", "log/x", "true"],
    "unknown back end": ["--backend", "moon", "log/x", "true"],
    "no cluster here": ["--backend", "slurm", "--config", "conf", "log/x", "true"],
    "no number": ["--max-jobs-run", "many", "log/x", "true"],
}


@pytest.mark.parametrize("name", CALLS)
def test_same_as_run_pl(launch, kaldi_utils, tmp_path, name):
    found = {}
    for program in ("launch.py", f"{kaldi_utils}/run.pl"):
        (tmp_path / "kill.sh").write_text("kill -9 $$\n")
        (tmp_path / "exit.sh").write_text("exit 7\n")
        result = launch(*CALLS[name], program=program)
        files = {p: shape(p.read_text()) for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".jsonl"}
        found[program] = result.returncode, files
        summary = re.findall(r"launch.py: .*, log is in .*", result.stderr.replace("run.pl", "launch.py"))
        found[program] += (summary,)
        for path in files:
            path.unlink()
    assert len(found) == 2 and found["launch.py"] == found[f"{kaldi_utils}/run.pl"]


def test_words_are_names_and_never_code(launch, tmp_path):
    """The program gets them unchanged, and the first line of the log is a command that a shell reads as the same."""
    words = ["sh", "-c", 'printf "%s\\0" "$@"', "x", *ODD_NAMES, "", "two\nlines"]
    folder = "/".join(ODD_NAMES)
    result = launch("JOB__=1:1", f"{folder}/log/x.JOB__.log", *words)
    assert (result.returncode, result.stderr) == (0, "")
    log = (tmp_path / folder / "log/x.1.log").read_text()
    expected = "\0".join([*words[4:], ""])
    assert f"\n#\n{expected}# Accounting: " in log
    again = log[2 : log.index("\n# Started at ")]
    assert shlex.split(again) == words
    assert subprocess.check_output(["bash", "-c", again], cwd=tmp_path, text=True) == expected
    assert [p.name for p in tmp_path.iterdir()] == ODD_NAMES[:1]


def test_shell_code_is_one_word(launch, tmp_path):
    result = launch("log/x", "echo", "one", "|", "tr", "o", "0")
    assert (result.returncode, result.stderr.count("\n")) == (0, 1) and "bash -c 'one | two'" in result.stderr
    assert (tmp_path / "log/x").read_text().splitlines()[3] == "one | tr o 0"
    assert launch("log/x", "bash", "-c", "echo one | tr o 0").stderr == ""
    assert (tmp_path / "log/x").read_text().splitlines()[3] == "0ne"


@pytest.mark.parametrize(("words", "code"), [(["no-such-program"], 127), (["echo one two"], 127), (["."], 126)])
def test_what_cannot_start(launch, words, code):
    result = launch("log/x", *words)
    assert result.returncode == 1 and f"(code {code})" in result.stderr


@pytest.mark.parametrize("name", USAGE)
def test_wrong_usage_is_one_line(launch, tmp_path, name):
    result = launch(*USAGE[name])
    assert result.returncode == 255
    assert result.stderr.startswith("launch.py: ") and result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_failure_shows_the_end_of_the_first_log_that_failed(launch, script):
    job = script("[ $1 = 1 ] && exit 0; [ $1 = 2 ] && sleep 0.5; seq 30; echo this is $1; exit 3")
    result = launch("--max-jobs-run", "3", "JOB=1:3", "log/x.JOB.log", *job, "JOB")
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert lines[0] == "launch.py: 2 / 3 failed, log is in log/x.*.log"
    assert lines[1] == "launch.py: the last lines of log/x.3.log (code 3):"
    assert lines[2:] == [f"  {n}" for n in range(12, 31)] + ["  this is 3"]


def test_out_of_memory_is_explained(launch, script):
    result = launch("log/x.log", *script("kill -9 $$"))
    assert result.returncode == 1
    assert "out of memory" in result.stderr and "lower --nj" in result.stderr


def test_jobs_at_a_time(launch, tmp_path, script):
    job = script("touch busy.$1; sleep 0.3; ls | grep -c busy; rm busy.$1")
    assert launch("--max-jobs-run", "2", "JOB=1:6", "log/JOB", *job, "JOB").returncode == 0
    at_once = [int((tmp_path / f"log/{n}").read_text().splitlines()[3]) for n in range(1, 7)]
    assert max(at_once) == 2


def test_threads(launch, tmp_path):
    assert launch("log/a", "printenv", "OMP_NUM_THREADS", OMP_NUM_THREADS="7").returncode == 0
    assert launch("--num-threads", "3", "log/b", "printenv", "OMP_NUM_THREADS").returncode == 0
    assert (tmp_path / "log/a").read_text().splitlines()[3] == "1"
    assert (tmp_path / "log/b").read_text().splitlines()[3] == "3"


def test_gpus_are_shared_out(launch, tmp_path, script):
    words = ["--gpu", "2", "JOB=1:3", "log/JOB", *script("echo $CUDA_VISIBLE_DEVICES; sleep 0.3")]
    assert launch(*words, CUDA_VISIBLE_DEVICES="4,5,6,7,8").returncode == 0
    got = [(tmp_path / f"log/{n}").read_text().splitlines()[3] for n in (1, 2, 3)]
    assert sorted(got[:2]) == ["4,5", "6,7"] and got[2] in got[:2]
    result = launch("--gpu", "2", "log/x", "true", CUDA_VISIBLE_DEVICES="0")
    assert result.returncode == 255 and "--ngpu" in result.stderr


def test_two_calls_never_share_a_gpu(launch, tmp_path, script):
    """Where nobody has shared the GPUs of a machine out, as two steps side by side find it."""
    (tmp_path / "bin").mkdir()
    lister = tmp_path / "bin/nvidia-smi"
    lister.write_text("#!/bin/sh\necho 'GPU 0: A'; echo 'GPU 1: B'\n")
    lister.chmod(0o755)
    more = {"PATH": f"{tmp_path}/bin:{LIB}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
    job = script("gpu=$CUDA_VISIBLE_DEVICES; echo $gpu; mkdir held.$gpu || exit 1; sleep 0.5; rmdir held.$gpu")
    calls = [["--gpu", "1", "JOB=1:2", f"log/{name}.JOB", *job] for name in ("a", "b")]
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda call: launch(*call, **more), calls))
    assert [result.returncode for result in results] == [0, 0]
    assert {path.read_text().splitlines()[3] for path in (tmp_path / "log").glob("?.?")} == {"0", "1"}


def test_code_75_asks_for_another_start(launch, tmp_path, script):
    job = script("echo x >> tries; test $(wc -l < tries) = 3 || exit 75")
    result = launch("log/x.log", *job)
    assert result.returncode == 0
    line = "launch.py: log/x.log: stopped with its state saved (code 75): starting it again"
    assert result.stderr.splitlines() == [line, line]
    names = sorted(p.name for p in (tmp_path / "log").iterdir())
    assert names == ["x.log", "x.log.jsonl", "x.log.try1", "x.log.try2"]


def test_a_log_that_cannot_be_written(launch, tmp_path):
    (tmp_path / "exp").touch()
    result = launch("exp/log/x.log", "true")
    assert result.returncode == 1 and "exp/log" in result.stderr and result.stderr.count("\n") == 1
