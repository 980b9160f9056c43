"""One server of a kind serves all its tests (the xdist groups "slurm" and "sge")."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from scheduler import KINDS, ROOT, Cluster, running, wait_until


@pytest.fixture(scope="session", params=[pytest.param(kind, marks=pytest.mark.xdist_group(kind)) for kind in KINDS])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, dict[str, str]]]:
    with running(request.param) as env:
        yield request.param, env


@pytest.fixture
def cluster(server: tuple[str, dict[str, str]], tmp_path: Path) -> Iterator[Cluster]:
    """The scheduler, and a fresh directory with the configuration of a checkout. Leaves an empty queue."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    made = Cluster(*server, tmp_path)
    yield made
    left = made.queue()
    if left:
        made.call("scancel" if made.kind == "slurm" else "qdel", *left, code=None)
        wait_until(lambda: not made.queue())
