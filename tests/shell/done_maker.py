"""done.py in a small repository of its own."""

import shutil
import subprocess
import sys
from pathlib import Path

from places import LIB, ROOT

SKIPPED = "exp/x is done and unchanged: skipping"


def own(folder: Path) -> list[str]:
    """What lies in a directory, less what done.py keeps there."""
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))


class Done:
    def __init__(self, tree: Path) -> None:
        self.tree, self.dir = tree, tree / "exp/x"

    def __call__(self, *words: str, before: tuple[str, ...] = ()) -> tuple[int, str]:
        command = [*before, sys.executable, "steps/lib/done.py", *words]
        result = subprocess.run(command, cwd=self.tree, capture_output=True, text=True, timeout=60)
        assert (result.stdout + result.stderr).count("\n") <= 1, "one line is enough"
        return result.returncode, (result.stdout + result.stderr).strip()

    def check(self, *words: str, step: str = "steps/train.sh") -> tuple[int, str]:
        return self("check", "exp/x", "--step", step, *words)

    def work(self, *words: str, weights: str = "weights") -> None:
        """A whole step."""
        code, line = self.check(*words)
        assert code == 1, line
        (self.dir / "model.pt").write_text(weights)
        (self.dir / "log").mkdir(exist_ok=True)
        assert self("mark", "exp/x") == (0, "")


def make_tree(root: Path) -> Path:
    (root / "pyscripts/mimic/io").mkdir(parents=True)
    for name in ("__init__", "errors", "renamed", "yaml_file", "io/__init__", "io/atomic", "io/environment", "io/lock"):
        shutil.copy(ROOT / f"pyscripts/mimic/{name}.py", root / f"pyscripts/mimic/{name}.py")
    shutil.copytree(LIB / "uptodate", root / "steps/lib/uptodate", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(LIB / "done.py", root / "steps/lib")
    (root / "conf").mkdir()
    (root / "conf/a.yaml").write_text("a: 1\n")
    return root


def data_dir(tree: Path, name: str = "data/train") -> Path:
    data = tree / name
    data.mkdir(parents=True)
    (tree / "a.wav").write_bytes(b"RIFF")
    (data / "wav.scp").write_text(f"s-1 {tree}/a.wav\ns-2\ta.wav:44\ns-3 cat {tree}/none |\ns-4 /none\n")
    (data / "text").write_text("s-1 HELLO\n")
    return data
