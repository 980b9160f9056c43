"""conf/slurm.conf and conf/queue.conf: what options become, and what is reported about mistakes in them."""

import itertools
import subprocess

import pytest
from places import LIB

CONF = """
# a comment
command sbatch --export=PATH  # and another one
option mem=* --mem $0
option mem=0
option gpu=* -p gpu --gres=gpu:$0
option gpu=0 -p 'cpu only'
default gpu=0
option name=* -J $0
"""


@pytest.fixture
def submission(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(LIB)
    from launcher import conf
    from launcher.request import parse

    def words(text: str, *options: str) -> list[str]:
        path = tmp_path / "x.conf"
        path.write_text(text)
        request = parse(["--backend", "slurm", *options, "log/a/1.b.log", "true"])
        return conf.submission(request, path, ("max_jobs_run",))

    return words


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", "-p|cpu only|-J|_1.b"),
        ("--mem 4G --gpu 2", "-p|gpu|--gres=gpu:2|-J|_1.b|--mem|4G"),
        ("--mem 0 --gpu 0 --name a/b", "-p|cpu only|-J|a_b"),
        ("--max-jobs-run 3 --retries 2 --config none", "-p|cpu only|-J|_1.b"),
    ],
)
def test_options_become_words(submission, options, words):
    assert submission(CONF, *options.split()) == ["sbatch", "--export=PATH", *words.split("|")]


@pytest.mark.parametrize(
    ("text", "options", "line"),
    [
        (
            CONF,
            "--time 1:0:0",
            "--time 1:0:0 is not described in {}: add a line 'option time=* ...' with the words for it",
        ),
        (CONF.replace("command", "# command"), "", "{} has no line 'command ...'"),
        (
            CONF + "option time=* --time\n",
            "",
            "{}:10: 'option time=*' needs a $0, where the value goes: option time=* --time",
        ),
        (CONF + "partition=gpu\n", "", "{}:10: neither command, default nor option: partition=gpu"),
    ],
)
def test_mistakes_are_one_line(submission, tmp_path, capsys, text, options, line):
    with pytest.raises(SystemExit, match="255"):
        submission(text, *options.split())
    assert capsys.readouterr().err == f"launch.py: {line.format(tmp_path / 'x.conf')}\n"


@pytest.mark.parametrize(("backend", "conf", "program"), [("slurm", "slurm", "sbatch"), ("sge", "queue", "qsub")])
def test_without_the_file_or_the_cluster(env, root, tmp_path, backend, conf, program):
    def launch(*words: str, path: str = env["PATH"]) -> tuple[int, str]:
        command = [LIB / "launch.py", "--backend", backend, *words, "log/x.log", "true"]
        done = subprocess.run(command, cwd=tmp_path, env=env | {"PATH": path}, capture_output=True, text=True)
        return done.returncode, done.stderr

    code, output = launch()
    assert (code, output) == (
        255,
        f"launch.py: no conf/{conf}.conf: --config names the file that describes the cluster\n",
    )
    (tmp_path / "bin").mkdir()
    for name in ("env", "python3"):  # and nothing else
        (tmp_path / "bin" / name).symlink_to(subprocess.check_output(["which", name], text=True, env=env).strip())
    shipped = str(root / f"conf/{conf}.conf")
    code, output = launch("--config", shipped, path=str(tmp_path / "bin"))
    line = f"launch.py: no {program} here: run this where jobs are submitted, or with --cmd-backend local\n"
    assert (code, output) == (255, line)


@pytest.mark.parametrize(
    ("word", "reason", "state", "code", "remove"),
    [
        ("PENDING", "Priority", "QUEUED", None, False),
        ("PENDING", "launch failed requeued held", "STOPPED", None, True),
        ("COMPLETING", "None", "RUNNING", None, False),
        ("NODE_FAIL", "None", "LOST", None, False),
        ("PREEMPTED", "None", "LOST", None, False),
        ("TIMEOUT", "TimeLimit", "STOPPED", None, False),
        ("OUT_OF_MEMORY", "OutOfMemory", "STOPPED", 137, False),
        ("CANCELLED", "None", "CANCELLED", None, False),
        ("FAILED", "NonZeroExitCode", "ENDED", None, False),
    ],
)
def test_states_of_slurm(monkeypatch, word, reason, state, code, remove):
    """Also those that a small server cannot be brought into within seconds."""
    monkeypatch.syspath_prepend(LIB)
    from launcher.slurm import report

    found = report(word, reason)
    assert (found.state.name, found.code, found.remove) == (state, code, remove)


def test_every_state_of_a_task_has_an_action(monkeypatch):
    monkeypatch.syspath_prepend(LIB)
    from launcher.state import AGAIN, Action, State, transition

    in_queue = (State.QUEUED, State.RUNNING)
    for state, settled, retries_left in itertools.product(State, (False, True), (False, True)):
        facts = {"settled": settled, "retries_left": retries_left}
        assert transition(state, 0, **facts) is Action.SUCCEED
        assert transition(state, 3, **facts) is Action.FAIL
        saved, silent = transition(state, AGAIN, **facts), transition(state, None, **facts)
        if state in in_queue:
            assert saved is silent is Action.WAIT
        else:
            assert saved is (Action.FAIL if state is State.CANCELLED else Action.RESTART)
            waits = state in (State.ENDED, State.VANISHED) and not settled
            restarts = state in (State.LOST, State.VANISHED) and retries_left
            assert silent is (Action.WAIT if waits else Action.RESTART if restarts else Action.FAIL)
