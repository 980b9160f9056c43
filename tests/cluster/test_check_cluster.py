"""steps/check_cluster.sh: that jobs run, or what to change so that they do."""

import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from scheduler import Cluster


def write_cmd(copy: Path, **commands: str) -> None:
    """A cmd.sh as a user has edited it; commands that are not given run here."""
    names = ("train_cmd", "decode_cmd", "cuda_cmd")
    lines = [f'export {name}="launch.py {commands.get(name, "")}"\n' for name in names]
    (copy / "cmd.sh").write_text("".join(lines))


def problems(output: str) -> list[str]:
    """What a check complains of, each with the lines that explain it as one."""
    return [re.sub(r"\s+", " ", part) for part in re.split(r"  PROBLEM: ", output)[1:]]


def test_all_is_well(cluster: Cluster):
    output = cluster.call("steps/check_cluster.sh", "--cmd-backend", cluster.kind, cwd=cluster.checkout("good"))
    assert output.count("  ok after ") == 3 and "PROBLEM" not in output
    host = subprocess.check_output(["hostname"], text=True).strip()
    assert output.splitlines()[-1].endswith(f" jobs run on: {host} ")


def test_what_the_cluster_does_not_have(cluster: Cluster):
    copy = cluster.checkout("bad")
    name = "slurm" if cluster.kind == "slurm" else "queue"
    conf = (copy / f"conf/{name}.conf").read_text()
    (copy / "conf/other.conf").write_text(re.sub(r"^command \w+", r"\g<0> " + WRONG[cluster.kind], conf, flags=re.M))
    backend = f"--backend {cluster.kind}"
    commands = {
        "train_cmd": f"{backend} --config conf/other.conf",
        "decode_cmd": f"{backend} {TOO_MUCH[cluster.kind]}",
        "cuda_cmd": backend,
    }
    write_cmd(copy, **commands)
    output = cluster.call("steps/check_cluster.sh", "--gpu", 1, cwd=copy, code=1)
    found = problems(output)
    assert len(found) == 3 and "check_cluster.sh: 3 problems" in output, output
    for problem, wanted in zip(found, SAID[cluster.kind], strict=True):
        assert all(text in problem for text in wanted), problem


WRONG = {"slurm": "-p none", "sge": "-q none"}
TOO_MUCH = {"slurm": "--mem 9999G", "sge": "--num-threads 2 --pe none"}
SAID = {
    "slurm": [
        ("sbatch refused the job:", "invalid partition specified: none", "sinfo lists them"),
        ("sbatch refused the job:", "lower --mem in cmd.sh"),
        ("this machine has 0 GPUs to use",),
    ],
    "sge": [
        ("qsub refused the job:", "correct the queue (-q) in conf/queue.conf: qconf -sql lists them"),
        ("--pe none is not described in conf/queue.conf: add a line 'option pe=* ...'",),
        ("qsub refused the job:", 'unknown resource "gpu"', "qconf -sc lists resources"),
    ],
}


def test_nodes_that_do_not_see_the_directory_or_its_venv_and_a_queue_that_starts_nothing(cluster: Cluster, tmp_path):
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("cannot make a mount namespace here")
    copies = [cluster.checkout(name) for name in ("hidden", "bare", "full")]
    hidden, bare, full = copies
    shutil.copytree(hidden, tmp_path / "original", symlinks=True)
    here = f"--backend {cluster.kind}"
    waits = {"slurm": "--config conf/other.conf", "sge": "--mem 9999G"}[cluster.kind]
    conf = (full / "conf/slurm.conf").read_text()
    (full / "conf/other.conf").write_text(conf.replace("command sbatch", "command sbatch -p down"))
    for copy, command in zip((tmp_path / "original", bare, full), (here, here, f"{here} {waits}"), strict=True):
        write_cmd(copy, train_cmd=command)
    (bare / "local").mkdir()
    other = f"{sys.base_prefix}/bin:/usr/bin:/bin"  # a Python, but not that of .venv
    (bare / "local/path.sh").write_text(f'if [ -n "$SLURM_JOB_ID$JOB_ID" ]; then export PATH={other}; fi\n')
    mount = f"mount -t tmpfs none {hidden} && cp -a {tmp_path}/original/. {hidden} && cd {hidden}"
    check = ["steps/check_cluster.sh", "--patience", "40"]
    calls = [["unshare", "-m", "bash", "-c", f"{mount} && {' '.join(check)}"], check, check]
    with ThreadPoolExecutor() as pool:
        output = pool.map(lambda at, words: cluster.call(*words, cwd=at, code=1), copies, calls)
        unseen, without, waiting = (" ".join(problems(text)) for text in output)
    assert f"does its node see {hidden}? It has to be on a disk that all nodes share" in unseen, unseen
    assert f"does not see {bare}/.venv, its Python is " in without, without
    reason = {
        "slurm": "job: waiting in the queue: PartitionDown: name another partition (-p) in conf/slurm.conf: sinfo",
        "sge": "cannot run at host",
    }
    assert reason[cluster.kind] in waiting and "not finished after 40 s" in waiting, waiting
