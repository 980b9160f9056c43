#!/usr/bin/env python3
"""Is a directory that a step writes finished, and still made from the same code, input and options?

``done.py check DIR --code FILE... --input PATH... --option k=v...`` before the work and ``done.py mark DIR``
after it. DIR/.fingerprint lists what DIR is made from, one ``kind key value`` line each; DIR/.done, written
last, lists what was there when the work ended (done_outputs.py).

``--verify COMMAND...`` is run before what is there is emptied because it was made from something else. Where it fails,
nothing is touched: a mistyped setting costs no trained model.
``--lock PID`` keeps DIR for the process PID, a shell: from a check that gives 1 until its mark, or until it ends.
``done.py lock DIR --lock PID`` does nothing else, for a recipe.

Exit codes of check: 0 finished and unchanged; 1 to do, DIR is ready to be written (emptied when it was made from
something else, kept as it is when the same work was cut short, less what was damaged since it was finished); 2 error,
nothing was touched. A damaged input is an error, as is a table that differs, for people edit tables by hand.
A kill at any moment is safe: .done goes first, and a directory that is half emptied says so in .fingerprint.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from done_outputs import describe, file_hash, remove, spoilt

ROOT = Path(__file__).resolve().parents[2]
PYTHON = f"{ROOT}/pyscripts"
sys.path.insert(0, PYTHON)

TABLES = ("wav.scp", "segments", "text", "text.phn", "feats.scp", "cmvn.scp")  # and utt2*, spk2*, reco2*
# Found by their lines, five times as fast as by parsing; an import inside a string counts too, which does no harm.
IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+(\.*)([\w.]*)[ \t]+)?import[ \t]+(\([^)]*\)|[^\n#;]+)", re.MULTILINE)
WAIT = 5.0  # seconds for another run to end
WIPING = "wiping this directory\n"  # as a fingerprint equals no other one


class Refused(Exception):
    """One line for the user."""


@cache
def module_files(stem: str) -> list[str]:
    return [file for file in (f"{stem}.py", f"{stem}/__init__.py") if os.path.isfile(file)]


def imported(path: str) -> Iterator[str]:
    """The files under pyscripts/ that the imports of one Python file load, packages' __init__.py included."""
    package = path[len(PYTHON) + 1 :].split("/")[:-1] if path.startswith(f"{PYTHON}/") else []
    stems = set()
    with open(path, encoding="utf-8") as file:
        found = IMPORT.findall(file.read())
    for dots, module, names in found:
        base = package[: len(package) - len(dots) + 1] if dots else []
        base = base + module.split(".") if module else base
        for name in re.sub(r"#[^\n]*|[()]", "", names).split(","):  # a name may be a submodule
            parts = [*base, *name.split()[0].split(".")] if name.strip() else base
            stems |= {"/".join([PYTHON, *parts[:n]]) for n in range(1, len(parts) + 1)}
    for stem in stems:
        yield from module_files(stem)


def code_items(paths: list[str]) -> Iterator[tuple[str, str]]:
    """(file, hash) of each given file, each .py file of a given directory, and all that these import."""
    todo = []
    for name in paths:
        path = Path(name).resolve()
        if not path.exists():
            raise Refused(f"no such code file: {name}")
        todo += map(str, sorted(path.rglob("*.py")) if path.is_dir() else [path])
    seen = set()
    while todo:
        file = todo.pop()
        if file not in seen:
            seen.add(file)
            todo += imported(file) if file.endswith(".py") else []
    for file in seen:
        yield file.removeprefix(f"{ROOT}/"), file_hash(Path(file))


def audio_state(wav_scp: Path) -> str:
    """Sizes and times of the audio files that wav.scp names; a command in it counts by its text alone."""
    digest = hashlib.sha256()
    for line in wav_scp.read_bytes().splitlines():
        name = os.fsdecode(line.partition(b" ")[2].strip())
        if name.endswith("|"):
            continue
        head, _, offset = name.rpartition(":")
        try:
            stat = os.stat(head if head and offset.isdigit() else name)
            digest.update(f"{stat.st_size} {stat.st_mtime_ns}\n".encode())
        except OSError:
            digest.update(b"missing\n")  # the step that reads it says so with the utterance's id
    return digest.hexdigest()[:16]


def is_table(name: str) -> bool:
    return name in TABLES or name.startswith(("utt2", "spk2", "reco2"))


def input_hash(name: str) -> str:
    path = Path(name)
    if not path.exists():
        raise Refused(f"input {name} is missing")
    folder = path if path.is_dir() else path.parent
    made = folder / ".fingerprint"
    if (folder / ".done").exists():
        for part, how in spoilt(folder, "" if path == folder else path.name).items():
            raise Refused(f"input {folder}: {part} {how} after it was made: run the stage that makes it again")
    elif path == folder and made.exists():
        raise Refused(f"input {name} is incomplete: run the stage that makes it again")
    if path != folder:
        return file_hash(path)
    digest = hashlib.sha256(made.read_bytes() if made.exists() else b"")
    for file in sorted(path.iterdir()):  # tables count beside the fingerprint: people edit them by hand
        if file.is_file() and (is_table(file.name) or not made.exists()) and not file.name.startswith("."):
            digest.update(f"{file.name} {file_hash(file)}\n".encode())
    if not made.exists() and (path / "wav.scp").is_file():
        digest.update(audio_state(path / "wav.scp").encode())
    return digest.hexdigest()[:16]


def fingerprint(words: dict[str, list[str]]) -> str:
    items = {("code", key): value for key, value in code_items(words["--code"])}
    items |= {("input", name): input_hash(name) for name in words["--input"]}
    for option in words["--option"]:
        key, equals, value = option.lstrip("-").partition("=")
        if not equals or not key:
            raise Refused(f"--option takes name=value, got '{option}'")
        items["option", key] = json.dumps(value)
    return "".join(f"{kind} {json.dumps(key)} {value}\n" for (kind, key), value in sorted(items.items()))


def first_change(old: str, new: str) -> str:
    """Names the first difference: options before input before code, for those a user changed himself."""

    def table(text: str) -> dict[tuple[str, str], str]:
        decoder = json.JSONDecoder()
        items = {}
        for line in text.splitlines():
            kind, _, rest = line.partition(" ")
            key, end = decoder.raw_decode(rest)
            items[kind, key] = rest[end + 1 :]
        return items

    before, after = table(old), table(new)
    changed = sorted((k for k in before | after if before.get(k) != after.get(k)), reverse=True)
    kind, key = changed[0]
    more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
    if kind == "option":
        return f"{key} was {before.get((kind, key), 'unset')} and is {after.get((kind, key), 'unset')}{more}"
    verb = "is new" if (kind, key) not in before else "is not used any more" if (kind, key) not in after else "changed"
    return f"{kind} {key} {verb}{more}"


def replace(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def contents(folder: Path) -> list[Path]:
    """What lies in a directory, less the files of this program."""
    return [p for p in sorted(folder.iterdir()) if not p.name.startswith((".fingerprint", ".done", ".lock"))]


def wipe(folder: Path) -> None:
    replace(folder / ".fingerprint", WIPING)
    for path in contents(folder):
        remove(path)


def mend(folder: Path, bad: dict[str, str]) -> None:
    """Remove what was changed in a finished directory, so that the step makes it again."""
    changed = [name for name, how in bad.items() if how == "was changed"]
    for name in filter(is_table, changed):
        keep, undo = f"{sys.argv[0]} mark {folder}", f"rm {folder / name}"
        raise Refused(f"{name} was changed after it was made: to keep the change: {keep}; to undo it: {undo}")
    for name in changed:
        remove(folder / name)


def fails(command: list[str]) -> bool:
    import subprocess  # rarely needed, and this program starts in every step

    return subprocess.call(command) != 0


def check(folder: Path, words: dict[str, list[str]]) -> int:
    new, forced = fingerprint(words), words["--force"][-1:] == ["true"]
    made, done = folder / ".fingerprint", folder / ".done"
    folder.mkdir(parents=True, exist_ok=True)
    old = made.read_text(encoding="utf-8") if made.exists() else None
    if old is None and contents(folder):
        raise Refused("holds files that no step of this recipe made: move them away or name another directory")
    if old == new and not forced:
        if not done.exists():
            print(f"{folder}: not finished, going on")
            return 1
        bad = spoilt(folder)
        if not bad:
            print(f"{folder} is done and unchanged: skipping")
            return 0
        mend(folder, bad)
        done.unlink()  # after what was damaged, which a check that is cut short would take for good
        print(f"{folder}: to do, " + ", ".join(f"{name} {how}" for name, how in bad.items()))
        return 1
    why = "to do"
    if old is not None:
        reason = "--force true" if old == new else "it was being emptied" if old == WIPING else first_change(old, new)
        why = f"starting again, {reason}"
        if words["--verify"] and contents(folder) and fails(words["--verify"]):
            raise Refused(f"not touched, although {reason}")
        done.unlink(missing_ok=True)
        wipe(folder)
    replace(made, new)
    print(f"{folder}: {why}")
    return 1


def mark(folder: Path) -> int:
    if not (folder / ".fingerprint").exists():
        raise Refused("has no .fingerprint: 'done.py check' comes first")
    replace(folder / ".done", describe(contents(folder)))
    return 0


def run(verb: str, folder: Path, words: dict[str, list[str]]) -> int:
    """What the verb does, and who has the lock then."""
    if verb not in ("check", "mark", "lock"):
        raise Refused(f"unknown verb '{verb}': check, mark and lock are known")
    work = {"check": lambda: check(folder, words), "mark": lambda: mark(folder), "lock": lambda: 1}[verb]
    if not words["--lock"]:
        return work()
    from mimic.errors import UserError
    from mimic.lock import Lock

    lock = Lock(folder / ".lock", int(words["--lock"][-1]))
    if verb != "mark":
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.take(WAIT)
        except UserError as error:
            print(f"done.py: {error}", file=sys.stderr)
            return 2
        except PermissionError:
            if verb == "lock":
                raise
            return work()  # what is finished can be read
    try:
        code = work()
    except BaseException:
        lock.release()
        raise
    lock.keep_aside() if code else lock.release()
    return 0 if verb == "lock" else code


def main(verb: str, name: str, *rest: str) -> int:
    names = ("--code", "--input", "--option", "--force", "--lock", "--verify")
    words: dict[str, list[str]] = {name: [] for name in names}
    current: list[str] | None = None
    try:
        for word in rest:  # no argparse: the value of an option may look like an option
            if word in words:
                current = words[word]
            elif current is None:
                raise Refused(f"unknown word '{word}'")
            else:
                current.append(word)
        return run(verb, Path(name), words)
    except Refused as error:
        problem = str(error)
    except OSError as error:
        full = error.errno == errno.ENOSPC
        problem = f"disk full: free space in {name} and run again" if full else f"{error.filename}: {error.strerror}"
    except Exception as error:  # a bug here must not read as "to do", which empties the directory
        problem = f"{type(error).__name__}: {error}"
    print(f"done.py: {name}: {problem}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    if len(sys.argv) < 3:
        print("usage: done.py check DIR [--code FILE... --input PATH... --option k=v... --force true] | mark DIR")
        sys.exit(2)
    sys.exit(main(*sys.argv[1:]))
