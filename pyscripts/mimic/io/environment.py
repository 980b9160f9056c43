"""What a result was made with: command, versions, machine, revision of the code."""

import platform
import sys
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from mimic.io.revision import revision

PACKAGES = ("torch", "numpy", "scipy", "kaldiio", "sentencepiece", "soundfile", "soxr")


def environment() -> dict[str, Any]:
    """Time, command line, machine, package versions and git revision, as plain values for JSON."""
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "revision": revision(),
    }
