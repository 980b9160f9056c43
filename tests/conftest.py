"""What all tests share."""

import os
import sys
from pathlib import Path

import pytest

from mimic import cli

ROOT = Path(__file__).resolve().parents[1]
cli.leave = sys.exit  # a program that a test runs in its own process does not end that


@pytest.fixture(scope="session")
def repository() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real speech, noise and rooms, where the machine has them."""
    path = Path(os.environ.get("MIMIC_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not (path / "speechocean762").is_dir():
        pytest.skip(f"no real speech at {path}: set MIMIC_REAL_DATA")
    return path
