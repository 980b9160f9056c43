#!/usr/bin/env python3
"""What steps/setup.sh asks of a virtual environment and changes in it; run by the environment's own Python.

    venv_state.py sound VENV            exit code 0: this Python is VENV's, new enough, and has pip
    venv_state.py check REQUIREMENTS... prints each package that is not there as it is pinned
    venv_state.py move OLD NEW VENV     programs and settings of VENV that name OLD name NEW

./run.sh checks each time it starts, so this loads nothing that it can do without.
"""

import os
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

PINNED = re.compile(r"""([\w.-]+)(?:\[[\w,]+\])?==([\w.]+)(?:; python_version (>=|<) "3\.(\d+)")?""")


def sound(venv: str) -> bool:
    try:
        import pip  # noqa: F401
    except ImportError:
        return False
    return sys.version_info >= (3, 10) and os.path.realpath(sys.prefix) == os.path.realpath(venv)


def differences(file: str) -> Iterator[str]:
    """One line for each requirement of a file that the installed packages do not meet."""
    with open(file, encoding="utf-8") as f:
        lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in f]
    for line in filter(None, lines):
        pinned = PINNED.fullmatch(line)
        if not pinned:
            sys.exit(f"{file}: '{line}': expected name==version, or name==version; python_version < \"3.11\"")
        name, wanted, relation, minor = pinned.groups()
        if relation and (sys.version_info[1] >= int(minor)) != (relation == ">="):
            continue
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield f"{name} is missing"
            continue
        if version.partition("+")[0] != wanted:  # 2.11.0+cpu is a build of 2.11.0
            yield f"{name} is {version}, not {wanted}"


def move(old: str, new: str, venv: Path) -> None:
    """Programs in bin/ begin with the path of the environment's Python; the other files of the kind are text too."""
    place = re.compile(rf"{re.escape(old)}(?![\w.-])".encode())
    for path in [venv / "pyvenv.cfg", *sorted((venv / "bin").iterdir())]:
        if path.is_symlink() or not path.is_file():
            continue
        before = path.read_bytes()
        if b"\0" in before:
            continue
        after = place.sub(new.encode().replace(b"\\", rb"\\"), before)
        if after != before:
            path.write_bytes(after)


def main() -> None:
    verb, *words = sys.argv[1:]
    if verb == "sound":
        sys.exit(not sound(words[0]))
    elif verb == "check":
        lines = [line for file in words for line in differences(file)]
        print("; ".join(lines))
        sys.exit(bool(lines))
    else:
        move(words[0], words[1], Path(words[-1]))


if __name__ == "__main__":
    main()
