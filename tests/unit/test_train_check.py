"""train.py --check: what it writes while it tries the settings is gone afterwards, however it ended."""

import os
import runpy
import tempfile

import pytest
from data_maker import ROOT


def test_nothing_stays_in_the_temporary_directory(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    train = runpy.run_path(str(ROOT / "pyscripts/train.py"))
    killed, used = tmp_path / "mimic-check-killed", tmp_path / "mimic-check-used"
    for folder in (killed, used):
        folder.mkdir()
        (folder / "tokens.txt").touch()
        os.utime(folder, (0, 0))
    with train["held"](used), pytest.raises(RuntimeError), train["scratch"]() as directory:
        assert directory.is_dir() and used.exists() and not killed.exists()
        raise RuntimeError
    assert list(tmp_path.iterdir()) == [used]
