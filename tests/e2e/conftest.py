"""The recipe on a very small corpus, finished or not begun: one of each, which tests share.

The tests that take `recipe` or `finished` are the xdist group "recipe", those that take `begun` the group "begun".
"""

from pathlib import Path

import pytest
from recipe import Recipe, finished_recipe, new_recipe


@pytest.fixture(scope="session")
def first_run(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """All seven stages, undisturbed."""
    return finished_recipe(repository, tmp_path_factory.mktemp("recipe"))


@pytest.fixture(scope="session")
def only_corpus(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    made = new_recipe(repository, tmp_path_factory.mktemp("begun"))
    made.save()
    return made


@pytest.fixture
def begun(only_corpus: Recipe) -> Recipe:
    """A corpus, and no stage has run, to do anything with."""
    if only_corpus.changed:
        only_corpus.restore()
    only_corpus.changed = True
    return only_corpus


@pytest.fixture
def finished(first_run: Recipe) -> Recipe:
    """The finished run as it was, whatever the test before has changed. To change anything a test takes `recipe`."""
    if first_run.changed:
        first_run.restore()
        first_run.changed = False
    return first_run


@pytest.fixture
def recipe(finished: Recipe) -> Recipe:
    """The finished run, to do anything with."""
    finished.changed = True
    return finished
