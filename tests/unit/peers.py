"""Packages that this recipe does not install: benchmarks/.venv has them, or the Python that PEERS_PYTHON names."""

import json
import os
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from data_maker import ROOT


def run_peer(package: str, code: str, *words: object) -> Any:
    """What Python code prints as JSON, where `package` is installed; where it is not, the test is skipped."""
    python = Path(os.environ.get("PEERS_PYTHON", ROOT / "benchmarks/.venv/bin/python3"))
    if not list(python.parent.parent.glob(f"lib/python3*/site-packages/{package}")):
        pytest.skip(
            f"{package} is not installed: steps/setup.sh --benchmarks true, or PEERS_PYTHON=<a python that has it>"
        )
    environment = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", "HOME": os.environ.get("HOME", "/tmp")}
    done = subprocess.run(
        [python, "-I", "-c", code, *map(str, words)], capture_output=True, text=True, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def needs(*names: str) -> pytest.MarkDecorator:
    """Skips a test where one of these modules is not there."""
    missing = [name for name in names if find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"no {missing}: steps/setup.sh --judges true")
