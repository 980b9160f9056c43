"""One run of the whole recipe on a very small corpus, which all tests here share (the xdist group "recipe")."""

from pathlib import Path

import pytest
from recipe import Recipe, finished_recipe


@pytest.fixture(scope="session")
def finished(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """All seven stages, undisturbed. A test that changes anything takes `recipe` instead."""
    return finished_recipe(repository, tmp_path_factory.mktemp("recipe"))


@pytest.fixture
def recipe(finished: Recipe) -> Recipe:
    """The finished run as it was, whatever the test before has changed."""
    finished.restore()
    return finished
