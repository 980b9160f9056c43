"""Which revision of the code is at work."""

import subprocess
from pathlib import Path


def revision() -> str:
    """Git revision of the code, with `+changes` when tracked files differ from it; `unknown` outside a checkout."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=12", "--exclude=*"]
    try:
        found = subprocess.run([*git, "--dirty=+changes"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()
