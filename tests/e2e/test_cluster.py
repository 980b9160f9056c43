"""Stages 2 and 5 on Slurm, 6 (decoding) and 7 on SGE, as arrays: the results are those of this machine."""

import re
from typing import Any

import pytest
from recipe import Recipe, difference, results
from scheduler import KINDS, running

pytestmark = pytest.mark.xdist_group("recipe")

MADE = {  # one directory of every step that runs jobs there
    "slurm": ["exp/fbank/test_clean", "exp/enhance_mimic/wav/dev"],
    "sge": ["exp/asr_mimic/decode_dev", "exp/asr_mimic/scoring/dev", "exp/enhance_mimic/scoring/test"],
}
STAGES = {"slurm": ("2", "5"), "sge": ("6", "7")}
OF_JOBS = ("q", "archives", "shares", ".fingerprint", "run.sh")  # depends on how many jobs shared the work, and where


def made(recipe: Recipe) -> dict[str, Any]:
    found = results(recipe.root / "exp")
    return {name: value for name, value in found.items() if not set(name.split("/")) & set(OF_JOBS)}


@pytest.mark.parametrize("kind", KINDS)
def test_stages_on_a_cluster_give_the_results_of_this_machine(recipe, kind):
    # The same number of jobs on this machine first: batches of an enhancer are of a job, and padding moves last digits.
    shared = ["--nj", "2", "--num-threads", "1"]
    recipe.remove(*MADE[kind])
    for stage in STAGES[kind]:
        recipe.run(*shared, "--stage", stage, "--stop-stage", stage)
    before = made(recipe)
    recipe.remove(*MADE[kind])
    with running(kind) as env:
        recipe.env |= {name: value for name, value in env.items() if name.startswith(("SLURM", "SGE"))}
        words = ["--cmd-backend", kind, *shared]
        output = "".join(recipe.run(*words, "--stage", stage, "--stop-stage", stage) for stage in STAGES[kind])
    assert {*re.findall(r"^(exp\S+): to do", output, re.MULTILINE)} >= {*MADE[kind]} - {"exp/asr_mimic/decode_dev"}, (
        output
    )
    for name in MADE[kind]:
        logs = [log.read_text() for log in (recipe.root / name / "log").glob("*.log")]
        assert logs and all("\n# Running on " in log for log in logs), name
        assert len(logs) == 1 if name == "exp/asr_mimic/scoring/dev" else len(logs) == 2
    assert not difference(made(recipe), before), output
