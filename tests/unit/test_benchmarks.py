"""The benchmarks run, each on its smallest input, as benchmarks/run.tsv says; those with peers where these are."""

import json
import logging
import os
import runpy
import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch
from data_maker import ROOT
from peers import run_peer

LINES = [line.split("\t") for line in (ROOT / "benchmarks/run.tsv").read_text().splitlines() if line[0] != "#"]
ROWS = [(program, needs.split(), [*options.split(), *more.split()]) for _, program, needs, options, more in LINES]
HERE = [row for row in ROWS if not any(need.startswith("--") or "/" in need for need in row[1])]
ALONE = [(program, words) for program, needs, words in HERE if all(map(find_spec, needs))]
WITH_PEERS = [(program, words) for program, needs, words in HERE if not all(map(find_spec, needs))]
IN_ONE_PROCESS = """
import json, runpy, sys
for program, words in json.loads(sys.argv[1]):
    sys.argv = [program, *words]
    sys.path.insert(0, program.rpartition("/")[0])
    runpy.run_path(program, run_name="__main__")
print(json.dumps("all ran"))
"""


@pytest.fixture
def settings(monkeypatch):
    """What programs change in the process that runs them is as before, after them."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    before = dict(os.environ), torch.get_num_threads(), logging.root.manager.disable, set(sys.modules)
    yield
    os.environ.clear()
    os.environ.update(before[0])
    torch.set_num_threads(before[1])
    torch.set_flush_denormal(False)
    logging.disable(before[2])
    for name in set(sys.modules) - before[3]:  # modules of benchmarks/ have names that others may have, too
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(ROOT / "benchmarks")):
            del sys.modules[name]


@pytest.mark.parametrize(("program", "words"), ALONE)
def test_runs_on_its_smallest_input(program, words, settings, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [f"benchmarks/{program}", *words])
    if program == "growth.py":  # it forks itself: not a process with the threads of pytest
        done = subprocess.run([sys.executable, ROOT / "benchmarks" / program, *words], capture_output=True, text=True)
        assert done.returncode == 0 and "\nratio " in done.stdout, done.stderr
        return
    runpy.run_path(str(ROOT / "benchmarks" / program), run_name="__main__")
    assert "\nratio " in capsys.readouterr().out


def test_those_with_peers_run():
    words = json.dumps([(str(ROOT / "benchmarks" / program), words) for program, words in WITH_PEERS])
    assert run_peer("speechbrain", IN_ONE_PROCESS, words) == "all ran"
