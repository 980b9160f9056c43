#!/usr/bin/env python3
"""What steps/setup.sh asks of a virtual environment and changes in it; run by the environment's own Python.

    venv_state.py sound VENV            exit code 0: this Python is VENV's, new enough, and has pip
    venv_state.py check REQUIREMENTS... prints each package that is not there as it is pinned
    venv_state.py wheels DIR REQUIREMENTS...
                                        prints what DIR holds no file of that this Python can install
    venv_state.py move OLD NEW VENV     programs and settings of VENV that name OLD name NEW

./run.sh checks each time it starts, so this loads nothing that it can do without.
"""

import os
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

PINNED = re.compile(r"([\w.-]+)(?:\[[\w,]+\])?==([\w.]+)(?:; (.+))?")
CLAUSE = re.compile(r'python_version (>=|<) "3\.(\d+)"|(sys_platform|platform_machine) (==|!=) "(\w+)"')


def sound(venv: str) -> bool:
    try:
        import pip  # noqa: F401
    except ImportError:
        return False
    return sys.version_info >= (3, 10) and os.path.realpath(sys.prefix) == os.path.realpath(venv)


def pins(file: str) -> Iterator[tuple[str, str]]:
    """(name, version) of each requirement of a file that is for this Python."""
    with open(file, encoding="utf-8") as f:
        lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in f]
    for line in filter(None, lines):
        pinned = PINNED.fullmatch(line)
        clauses = [CLAUSE.fullmatch(clause) for clause in pinned[3].split(" and ")] if pinned and pinned[3] else []
        if not pinned or None in clauses:
            sys.exit(f"{file}: '{line}': expected name==version, or name==version; python_version < \"3.11\"")
        if all(map(holds, filter(None, clauses))):
            yield pinned[1], pinned[2]


def holds(clause: re.Match[str]) -> bool:
    """Whether a clause of an environment marker is true here."""
    relation, minor, name, equal, value = clause.groups()
    if minor:
        return (sys.version_info[1] >= int(minor)) == (relation == ">=")
    here = sys.platform if name == "sys_platform" else os.uname().machine
    return (here == value) == (equal == "==")


def differences(file: str) -> Iterator[str]:
    """One line for each requirement of a file that the installed packages do not meet."""
    for name, wanted in pins(file):
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield f"{name} is missing"
            continue
        if version.partition("+")[0] != wanted:  # 2.11.0+cpu is a build of 2.11.0
            yield f"{name} is {version}, not {wanted}"


def no_wheel(folder: Path, file: str) -> Iterator[str]:
    """The requirements of a file that the folder has neither a wheel for this Python nor a source package of."""
    from pip._vendor.packaging.tags import sys_tags  # the judge of wheels, and of the pip that is to install them
    from pip._vendor.packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

    tags, found = set(sys_tags()), set()
    for path in folder.iterdir():
        if path.suffix != ".whl":
            name, _, version = path.name.removesuffix(".tar.gz").removesuffix(".zip").rpartition("-")
            found.add((canonicalize_name(name), version))
            continue
        try:
            name, number, _, known = parse_wheel_filename(path.name)
        except InvalidWheelFilename:
            continue
        if known & tags:
            found.add((name, str(number).partition("+")[0]))
    for name, wanted in pins(file):
        if (canonicalize_name(name), wanted) not in found:
            yield f"{name}=={wanted}"


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
    elif verb == "wheels":
        absent = [line for file in words[1:] for line in no_wheel(Path(words[0]), file)]
        print(", ".join(absent[:3]) + (f" and {len(absent) - 3} more" if len(absent) > 3 else ""))
        sys.exit(bool(absent))
    elif verb == "check":
        lines = [line for file in words for line in differences(file)]
        print("; ".join(lines))
        sys.exit(bool(lines))
    else:
        move(words[0], words[1], Path(words[-1]))


if __name__ == "__main__":
    main()
