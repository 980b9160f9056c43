"""What a result was made with: command, versions, machine, revision of the code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TYPE_CHECKING = False  # as in mimic.renamed
if TYPE_CHECKING:
    from typing import Any

PACKAGES = ("torch", "numpy", "scipy", "kaldiio", "sentencepiece", "soundfile", "soxr")


def environment() -> dict[str, Any]:
    """Time, command line, machine, package versions and git revision, as plain values for JSON."""
    # Here: they are slow to load, and steps ask for the revision alone.
    import platform
    from datetime import datetime, timezone
    from importlib import metadata

    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "revision": revision(),
    }


def revision() -> str:
    """Git revision of the code, with `+changes` when tracked files differ from it; `unknown` outside a checkout."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=12", "--exclude=*"]
    try:
        found = subprocess.run([*git, "--dirty=+changes"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()
