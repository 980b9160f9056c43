"""One run of the whole recipe on a very small corpus, which all tests here share (the xdist group "recipe")."""

from pathlib import Path

import pytest
from recipe import Recipe, finished_recipe


@pytest.fixture(scope="session")
def first_run(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """All seven stages, undisturbed."""
    return finished_recipe(repository, tmp_path_factory.mktemp("recipe"))


@pytest.fixture
def finished(first_run: Recipe) -> Recipe:
    """The finished run as it was, whatever the test before has changed. To change anything a test takes `recipe`."""
    if first_run.changed:
        first_run.restore()
    return first_run


@pytest.fixture
def recipe(finished: Recipe) -> Recipe:
    """The finished run, to do anything with."""
    finished.changed = True
    return finished
