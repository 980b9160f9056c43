"""launch.py on Slurm and SGE: array jobs, their options, failures, other tries, and that nothing is left over."""

import os
import re
import shutil
import signal
from pathlib import Path

from scheduler import Cluster, ended, wait_until

ODD = 'a  b/$(touch ran)/`touch ran`/it\'s/say "hi"/a;touch ran/a&b/(a)/[ab]*?/{a,b}/JOB'
ODD += "/back\\slash/a|b/<a>/%A_$HOME/a:b,c/#"  # and what schedulers read in names
FACTS = {  # what a task knows of itself
    "slurm": "scontrol show job ${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID",
    "sge": "echo NSLOTS=$NSLOTS; qstat -j $JOB_ID",
}
ASKED = {
    "slurm": [r"JobName=x\.y", r"TimeLimit=00:10:00", r"NumCPUs=2", r"MinMemoryNode=300M", r"ArrayTaskThrottle=1"],
    "sge": [r"job_name: +x\.y", r"h_rt=600", r"NSLOTS=2", r"mem_free=300M", r"maximum concurrency: +1"],
}


def alive(pid_file: Path) -> bool:
    return pid_file.exists() and Path(f"/proc/{pid_file.read_text().strip()}").exists()


def test_an_array_with_all_options(cluster: Cluster):
    job = cluster.script("job.sh", f"echo task $1 threads $OMP_NUM_THREADS; {FACTS[cluster.kind]}")
    options = "--mem 300M --num-threads 2 --time 0:10:0 --max-jobs-run 1 --name x.y".split()
    output = cluster.launch(*options, "JOB=2:4", "exp/log/x.JOB.log", *job, "JOB")
    assert not [line for line in output.splitlines() if "waiting" not in line and "jobs" not in line]
    for number in (2, 3, 4):
        log = (cluster.folder / f"exp/log/x.{number}.log").read_text()
        assert log.startswith(f"# bash job.sh {number}\n# Started at ") and "\n# Running on " in log
        assert re.search(r"\n# Accounting: time=\d+ threads=2 memory=\d+M\n# Ended \(code 0\) at .*seconds\n$", log)
        assert f"\ntask {number} threads 2\n" in log
        missing = [text for text in ASKED[cluster.kind] if not re.search(text, log)]
        assert not missing, log
    assert sorted(path.name for path in (cluster.folder / "exp/q").iterdir()) == ["x.out", "x.sh"]


def test_names_are_words_and_never_code(cluster: Cluster):
    """Of the checkout, of the directories in it and of what a program is given."""
    clone = cluster.folder / "clone" / ODD
    clone.mkdir(parents=True)
    shutil.copytree(cluster.folder / "conf", clone / "conf")
    words = ["printf", "<%s>\\n", "JOB_", *ODD.split("/"), ODD, ""]
    cluster.folder = clone
    cluster.launch("JOB_=1:2", f"exp/{ODD}/log/x.JOB_.log", *words)
    for number in (1, 2):
        expected = [f"<{word}>" for word in (str(number), *words[3:])]
        assert cluster.body(f"exp/{ODD}/log/x.{number}.log") == expected
    assert (clone / f"exp/{ODD}/q/x.out").exists()
    assert not list(clone.parents[ODD.count("/") + 1].rglob("ran"))


def test_failures_are_explained_and_not_tried_again(cluster: Cluster):
    fail = cluster.script("fail.sh", "test $1 = 1 && exit 0; seq 30; echo this is $1; exit 3")
    calls = [
        cluster.start("JOB=1:2", "log/fail.JOB.log", *fail, "JOB"),
        cluster.start("log/kill.log", *cluster.script("kill.sh", "kill -9 $$")),
    ]
    failed, killed = (ended(call, 1).splitlines() for call in calls)
    assert failed[-22] == "launch.py: 1 / 2 failed, log is in log/fail.*.log"
    assert failed[-21] == "launch.py: the last lines of log/fail.2.log (code 3):"
    assert failed[-20:] == [f"  {n}" for n in range(12, 31)] + ["  this is 2"]
    assert "launch.py: job failed, log is in log/kill.log" in killed
    line = "launch.py: code 137: killed, as a machine out of memory does: ask for more --mem in cmd.sh, or lower --nj"
    assert killed[-1] == line
    assert not list(cluster.folder.glob("log/*.try*"))


def test_a_signal_or_kill_9_cancels_what_was_submitted(cluster: Cluster):
    text = "echo $BASHPID > $1.parent; sleep 300 & echo $! > $1.child; wait"
    calls = {name: cluster.start(f"log/{name}.log", *cluster.script("job.sh", text), name) for name in ("int", "kill")}
    files = [cluster.folder / f"{name}.{who}" for name in calls for who in ("parent", "child")]
    assert wait_until(lambda: all(alive(file) for file in files))
    assert len(cluster.queue()) == 2
    os.kill(calls["int"].pid, signal.SIGINT)
    assert ended(calls["int"], 2).splitlines()[-1] == "launch.py: stopped, logs are in log/int.log"
    assert not any(alive(file) for file in files[:2]) and len(cluster.queue()) == 1
    calls["kill"].kill()
    calls["kill"].communicate()
    assert wait_until(lambda: not cluster.queue() and not any(alive(file) for file in files))


def test_a_program_that_saved_its_state_is_started_again(cluster: Cluster):
    """Announced by the scheduler, Slurm before the time limit, SGE before it suspends; not one of the --retries."""
    text = "trap 'echo saved; exit 75' USR1; test -e again && exit 0; touch again; sleep 300 & wait"
    deaf = "echo on; sleep 4; echo end"  # knows no signals, and continues
    calls = [
        cluster.start("--retries", 0, "log/save.log", *cluster.script("save.sh", text)),
        cluster.start("--retries", 0, "log/deaf.log", *cluster.script("deaf.sh", deaf)),
    ]
    logs = [cluster.folder / "log/deaf.log", cluster.folder / "again"]
    assert wait_until(lambda: all(log.exists() for log in logs))
    jobs = cluster.queue()
    announce = ["scancel", "--signal=USR1", "--batch"] if cluster.kind == "slurm" else ["qmod", "-sj"]
    cluster.call(*announce, *jobs)
    saved = "launch.py: log/save.log: stopped with its state saved (code 75): starting it again"
    assert saved in ended(calls[0]).splitlines()
    assert cluster.body("log/save.log.try1") == ["saved"] and cluster.body("log/save.log") == []
    if cluster.kind == "sge":
        cluster.call("qmod", "-usj", *jobs, code=None)
    ended(calls[1])
    assert cluster.body("log/deaf.log") == ["on", "end"]


def lose(cluster: Cluster, pid: str) -> None:
    """The node of a running job fails, or what SGE has in common with that: the job is gone and says nothing."""
    if cluster.kind == "slurm":
        node = cluster.call("sinfo", "-h", "-o", "%n").split()[0]
        cluster.call("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
        wait_until(lambda: not Path(f"/proc/{pid}").exists())
        up = ("scontrol", "update", f"NodeName={node}", "State=IDLE")
        assert wait_until(lambda: cluster.call(*up, code=None) == "" and " idle" in cluster.call("sinfo"))
    else:
        cluster.call("qdel", "-f", *cluster.queue())


def test_only_tasks_that_their_node_failed_are_tried_again(cluster: Cluster):
    text = "test $2 = 1 && exit 0; echo $BASHPID >> $1.pids; test $(wc -l < $1.pids) = 2 || sleep 300"
    job = cluster.script("job.sh", text)
    calls = [cluster.start("--retries", n, "JOB=1:2", f"log/{n}.JOB.log", *job, n, "JOB") for n in (1, 0)]
    pids = [cluster.folder / f"{n}.pids" for n in (1, 0)]
    firsts = [cluster.folder / f"log/{n}.1.log" for n in (1, 0)]
    assert wait_until(lambda: all(file.exists() for file in pids + firsts))
    assert wait_until(lambda: all("# Ended (code 0)" in file.read_text() for file in firsts))
    lose(cluster, pids[0].read_text().strip())
    again, failed = (ended(call, code).splitlines() for call, code in zip(calls, (0, 1), strict=True))
    why = {"slurm": "its node failed", "sge": "it is gone from the queue without an exit code"}[cluster.kind]
    assert f"launch.py: log/1.2.log: {why}: starting it again" in again
    assert sorted(path.name for path in cluster.folder.glob("log/*.try*")) == ["1.2.log.try1"]
    assert "launch.py: 1 / 2 failed, log is in log/0.*.log" in failed and f"launch.py: log/0.2.log: {why}" in failed
