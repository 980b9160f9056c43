"""done.py in a small repository of its own, as it looks for code beside itself."""

import shutil
import subprocess
import sys
from pathlib import Path

from places import LIB

TREE = {
    "pyscripts/prog.py": "import os\nfrom mimic.tasks import asr\n",
    "pyscripts/mimic/__init__.py": "",
    "pyscripts/mimic/tasks/__init__.py": "",
    "pyscripts/mimic/tasks/asr.py": "def f():\n    from ..models import (  # one\n        net as other,\n    )\n",
    "pyscripts/mimic/models/__init__.py": "from .deep import thing\n",
    "pyscripts/mimic/models/net.py": "",
    "pyscripts/mimic/models/deep.py": "import mimic.far.away\n",
    "pyscripts/mimic/far/away.py": "",
    "pyscripts/mimic/unused.py": "",
}


class Done:
    def __init__(self, tree: Path) -> None:
        self.tree, self.dir = tree, tree / "exp/x"

    def __call__(self, *words: str, before: tuple[str, ...] = ()) -> tuple[int, str]:
        command = [*before, sys.executable, "steps/lib/done.py", *words]
        result = subprocess.run(command, cwd=self.tree, capture_output=True, text=True, timeout=60)
        assert (result.stdout + result.stderr).count("\n") <= 1, "one line is enough"
        return result.returncode, (result.stdout + result.stderr).strip()

    def check(self, *words: str) -> tuple[int, str]:
        return self("check", "exp/x", *words)

    def work(self, *words: str) -> None:
        """A whole step."""
        code, line = self.check(*words)
        assert code == 1, line
        (self.dir / "model.pt").write_text("weights")
        (self.dir / "log").mkdir(exist_ok=True)
        assert self("mark", "exp/x") == (0, "")


def make_tree(root: Path) -> Path:
    for name, text in TREE.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "steps/lib").mkdir(parents=True)
    for name in ("done.py", "done_outputs.py"):
        shutil.copy(LIB / name, root / "steps/lib")
    return root
