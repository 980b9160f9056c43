"""Some faults of each kind, as tests/faults.sh injects hundreds of them."""

import random

import pytest
from faults import TARGETS, draw_faults, inject, possible

pytestmark = pytest.mark.xdist_group("recipe")


def test_reruns_after_faults_give_the_undisturbed_results(recipe, capsys, monkeypatch):
    """A killed rank, a damaged checkpoint, table and archive; other tests have the rest, tests/faults.sh has all.

    What is killed has been started as users do, and its results are those of programs that were forked.
    """
    monkeypatch.setitem(recipe.env, "MIMIC_FORKS", "")
    code = inject(recipe, 4, seed=43)
    output = capsys.readouterr()
    assert output.out.splitlines()[-1] == "faults: 4 injected, 4 recovered, 4 equal" and code == 0, output.err


def test_a_short_run_takes_every_kind_and_every_stage():
    kinds = {kind for target in TARGETS for kind in possible(target)}
    for seed in range(20):
        faults = draw_faults(16, random.Random(seed))
        assert {fault.kind for fault in faults} == kinds
        assert {fault.target.stage for fault in faults} == set(range(1, 8))


def test_wrong_options(finished):
    for words, line in (
        (("--faults", "some"), "--faults takes a whole number of at least 1, got 'some'"),
        (("--keep", "conf"), "--keep conf: there already: name a new directory"),
    ):
        assert line in finished.call("tests/faults.sh", *words, code=1)
