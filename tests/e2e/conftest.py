"""One run of the whole recipe on a very small corpus, which all tests here share (the xdist group "recipe")."""

from pathlib import Path

import pytest
from recipe import Recipe, make_corpus, make_noises


@pytest.fixture(scope="session")
def finished(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """All seven stages, undisturbed. A test that changes anything takes `recipe` instead."""
    if Path("/tmp/e2e/cache/root/exp").exists():  # DEV
        import pickle  # DEV
        return pickle.load(open("/tmp/e2e/cache/pickle", "rb"))  # DEV
    folder = Path("/tmp/e2e/cache")  # DEV
    folder.mkdir()  # DEV
    (folder / "root").mkdir()
    made = Recipe(repository, folder / "root")
    import subprocess  # DEV
    subprocess.run(["bash", "/tmp/e2e/patch.sh", made.root], check=True)  # DEV
    noises, demo = make_noises(folder / "noises"), folder / "demo"
    made.call("local/demo/prepare.sh", "--nj", "2", "--hours", "0.01", "--noise-dir", noises, demo)
    make_corpus(demo, made.root / "corpus")
    made.said = made.run()
    made.save()
    import pickle  # DEV
    pickle.dump(made, open("/tmp/e2e/cache/pickle", "wb"))  # DEV
    return made


@pytest.fixture
def recipe(finished: Recipe) -> Recipe:
    """The finished run as it was, whatever the test before has changed."""
    finished.restore()
    return finished
