"""One run of the whole recipe on a very small corpus, which all tests here share (the xdist group "recipe")."""

from pathlib import Path

import pytest
from recipe import Recipe, make_corpus, make_noises


@pytest.fixture(scope="session")
def finished(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """All seven stages, undisturbed. A test that changes anything takes `recipe` instead."""
    folder = tmp_path_factory.mktemp("recipe")
    (folder / "root").mkdir()
    made = Recipe(repository, folder / "root")
    noises, demo = make_noises(folder / "noises"), folder / "demo"
    made.call("local/demo/prepare.sh", "--nj", "2", "--hours", "0.01", "--noise-dir", noises, demo)
    make_corpus(demo, made.root / "corpus")
    made.said = made.run()
    made.save()
    return made


@pytest.fixture
def recipe(finished: Recipe) -> Recipe:
    """The finished run as it was, whatever the test before has changed."""
    finished.restore()
    return finished
