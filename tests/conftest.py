"""What all tests share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


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
