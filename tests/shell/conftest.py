"""What the tests of the shell layer share: the environment of path.sh and real processes, nothing replaced."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from done_maker import Done, make_tree
from places import LIB, ROOT


@pytest.fixture
def root() -> Path:
    return ROOT


@pytest.fixture
def env() -> dict[str, str]:
    """A copy of the environment with steps/lib in front of PATH, less what a running recipe would leave in it."""
    recipe = ("MIMIC_RUN_PID", "MIMIC_CALLED", "CUDA_VISIBLE_DEVICES")
    clean = {k: v for k, v in os.environ.items() if k not in recipe}
    return clean | {"PATH": f"{LIB}:{Path(sys.executable).parent}:{os.environ['PATH']}", "LC_ALL": "C"}


@pytest.fixture
def sh(tmp_path: Path, env: dict[str, str]):
    """sh("script", *arguments) runs bash in a fresh directory; the result has returncode, stdout, stderr."""

    def run(script: str, *arguments: str, cwd: Path = tmp_path, **more: str) -> subprocess.CompletedProcess:
        command = ["bash", "-c", script, "test.sh", *arguments]
        return subprocess.run(command, cwd=cwd, env=env | more, capture_output=True, text=True, timeout=120)

    return run


@pytest.fixture
def kaldi_utils() -> Path:
    """Kaldi's utils directory (no binaries needed), where KALDI_ROOT names a checkout."""
    utils = Path(os.environ.get("KALDI_ROOT", "/nonexistent")) / "egs/wsj/s5/utils"
    if not utils.is_dir():
        pytest.skip("KALDI_ROOT names no Kaldi checkout with egs/wsj/s5/utils")
    return utils


@pytest.fixture
def powerless() -> list[str]:
    """Words to put before a command so that file permissions hold for it, also when root runs the tests."""
    if os.geteuid() != 0:
        return []
    if not shutil.which("setpriv"):
        pytest.skip("root without setpriv cannot be refused a file")
    names = "-dac_override,-dac_read_search"
    return ["setpriv", f"--bounding-set={names}", f"--inh-caps={names}"]


@pytest.fixture
def small_disk(tmp_path: Path):
    """A full file system of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("cannot mount a small tmpfs here")
    try:
        with pytest.raises(OSError), open(disk / "filler", "wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.fixture
def done(tmp_path: Path) -> Done:
    """done.py, to be called in a repository of its own."""
    return Done(make_tree(tmp_path))


@pytest.fixture
def script(tmp_path: Path):
    """script(text) gives the words that run a script of this text."""

    def write(text: str) -> list[str]:
        (tmp_path / "job.sh").write_text(text + "\n")
        return ["bash", "job.sh"]

    return write
