"""Shared libraries of C++ files: compiled at their first use, and kept for the later ones.

A library lies in the virtual environment or, where nothing can be written there, in the user's cache directory. Its
name holds hashes of sources and platform, and of the compiler, so that neither a new version nor another machine takes
it for its own. It appears when it is complete: of any number of processes that need it at once, one builds and the
others wait.
"""

import ctypes
import fcntl
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mimic.errors import UserError

log = logging.getLogger(__name__)
SWITCH = "MIMIC_COMPILED"  # environment variable: false for numpy and torch
FLAGS = ("-std=c++17", "-fPIC", "-shared", "-pthread")
AVX2 = ("-mavx2", "-mfma") if platform.machine() == "x86_64" else ()
LIBRARIES = {  # a folder of C++ files, beneath this one, and its flags
    # No contraction of a * b + c: the digits are those of numpy on every processor.
    "decoding/wfst/compiled": ("-O2", "-ffp-contract=off"),
    "nets/compiled": ("-O3", *AVX2),
}


class BuildError(Exception):
    """There is no library and none can be made; one line."""


def load(name: str, signatures: Mapping[str, tuple[Any, Any]], else_: str) -> Any:
    """The library of LIBRARIES of that name, a `ctypes.CDLL`, or None where MIMIC_COMPILED is false.

    Also None, with a line in the log that says `else_`, where it cannot be built. signatures: result and arguments of
    each function. Raises UserError.
    """
    if (wanted := os.environ.get(SWITCH) or "true") not in ("true", "false"):
        raise UserError(f"{SWITCH}={wanted}: true or false")
    if wanted == "false":
        return None
    try:
        found = ctypes.CDLL(str(library(name)))
        for word, (result, arguments) in signatures.items():
            function = getattr(found, word)
            function.restype, function.argtypes = result, arguments
    except (BuildError, OSError, AttributeError) as error:
        log.warning("%s: %s", else_, error)
        return None
    return found


def library(name: str) -> Path:
    """The file of a library of LIBRARIES, compiled if needed. Raises BuildError."""
    source, flags = Path(__file__).parent / name, LIBRARIES[name]
    compiler = next(filter(None, map(shutil.which, (os.environ.get("CXX") or "c++", "g++", "clang++"))), None)
    words = (*FLAGS, *flags, sysconfig.get_platform(), *platform.libc_ver())
    texts = [path.read_bytes() for path in sorted([*source.glob("*.cpp"), *source.glob("*.h")])]
    stem = f"{source.parent.name}-{_hash(*texts, *map(str.encode, words))}"
    if compiler is None:  # another machine of the cluster may have one
        found = sorted(path for folder in _folders() for path in folder.glob(f"{stem}-*.so"))
        if not found:
            raise BuildError("there is no C++ compiler (apt install g++)")
        return found[0]
    file = os.stat(compiler)
    built = f"{stem}-{_hash(os.path.realpath(compiler).encode(), f'{file.st_size} {file.st_mtime_ns}'.encode())}.so"
    for folder in _folders():
        if (folder / built).exists():
            return folder / built
    for folder in _folders():
        with suppress(PermissionError, FileNotFoundError, NotADirectoryError), _locked(folder):
            if not (folder / built).exists():
                _compile([compiler, *FLAGS, *flags], source, folder / built)
            return folder / built
    raise BuildError(f"none of {', '.join(map(str, _folders()))} can be written")


def _hash(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _folders() -> list[Path]:
    """Where libraries lie: the best place first."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mimic"
    return [Path(sys.prefix) / "lib/mimic", cache] if sys.prefix != sys.base_prefix else [cache]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One compiler at a time. A disk without locks does without: the others' work is then lost, and nothing else."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / "lock", "w")
    except OSError as error:
        raise PermissionError(str(error)) from None  # read-only, full, or not this user's
    with lock:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _compile(command: list[str], source: Path, path: Path) -> None:
    handle, name = tempfile.mkstemp(".tmp", path.name, path.parent)
    os.close(handle)
    try:
        command = [*command, "-o", name, *map(str, sorted(source.glob("*.cpp")))]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
        if done.returncode:
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            reason = next((line for line in lines if "error" in line), (lines or [f"exit code {done.returncode}"])[-1])
            raise BuildError(f"{command[0]}: {reason}")
        os.chmod(name, 0o755)
        os.replace(name, path)
    except OSError as error:
        raise BuildError(f"{command[0]}: {error}") from None
    finally:
        Path(name).unlink(missing_ok=True)
