"""Ways to disturb the recipe: processes that die, a disk that fills up, files that are damaged."""

import os
import random
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TABLES = re.compile(r"(wav|feats|cmvn|global_cmvn)\.scp|text|text\.phn|utt2\w+|spk2\w+")


def processes(root: Path) -> dict[int, list[str]]:
    """The processes that work in `root`, by number: their words."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "cwd") == str(root):
                found[int(entry.name)] = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # it has just ended
    return found


def jobs(root: Path) -> dict[int, list[str]]:
    """The programs at work in `root`, less what only starts and watches them."""
    return {pid: words for pid, words in processes(root).items() if any("pyscripts/" in word for word in words[:2])}


def end(process: subprocess.Popen, root: Path, number: int, victim: str, draw: random.Random) -> str:
    """Send a signal to the victim: run.sh with what it started in its group, run.sh alone, the launcher, or a job.

    Gives what was hit, empty when that was gone already.
    """
    if process.poll() is not None:
        return ""
    launchers = [pid for pid, words in processes(root).items() if any("launch.py" in word for word in words[:3])]
    pids = {"job": sorted(jobs(root)), "launcher": launchers, "run.sh": [process.pid], "all": [-process.pid]}[victim]
    if not pids:
        return ""
    pid = draw.choice(pids)
    what = " ".join(jobs(root).get(pid, [victim])[:2])
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return ""
    return f"{signal.Signals(number).name} to {what}"


def damage(path: Path, draw: random.Random) -> str:
    """Spoil one file; gives how."""
    data = bytearray(path.read_bytes())
    how = draw.choice(["cut short", "a byte changed", "zeros in the middle", "emptied", "gone"])
    place = draw.randrange(len(data))
    if how == "cut short":
        data = data[:place]
    elif how == "a byte changed":
        data[place] ^= 1 << draw.randrange(8)
    elif how == "zeros in the middle":
        data[place : place + 512] = bytes(len(data[place : place + 512]))
        data[place:place] = b"\0"
    path.unlink()  # a new file, and so a new time, however coarse the clock of the file system is
    if how != "gone":
        path.write_bytes(b"" if how == "emptied" else data)
    return f"{path.name} {how}"


def damage_table(path: Path, draw: random.Random) -> str:
    """Spoil one table of a data directory as an editor or a copy that was cut short does; gives how."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    how = draw.choice(["a line lost", "values exchanged", "cut short", "a line garbled"])
    place = draw.randrange(len(lines))
    if how == "values exchanged" and len(lines) > 1:
        place = draw.randrange(len(lines) - 1)
        (a, _, x), (b, _, y) = (line.partition(" ") for line in lines[place : place + 2])
        lines[place : place + 2] = [f"{a} {y}", f"{b} {x}"]
    elif how == "cut short":
        lines = [*lines[:place], lines[place][: len(lines[place]) // 2]]
    elif how == "a line garbled":
        lines[place] = lines[place][::-1].strip() + "?\n"
    else:
        how = "a line lost"
        del lines[place]
    path.write_text("".join(lines), encoding="utf-8")
    return f"{path.name}, {how}"


def can_mount(folder: Path) -> bool:
    """Whether a small file system can be made here, at a directory that is not there yet."""
    folder.mkdir()
    mounted = not subprocess.run(["mount", "-t", "tmpfs", "none", folder], capture_output=True).returncode
    if mounted:
        subprocess.run(["umount", folder], check=True)
    folder.rmdir()
    return mounted


class Disk:
    """A file system of a few KiB."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def resize(self, kib: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={kib}k", self.folder], check=True)


@contextmanager
def small_disk(folder: Path, kib: int) -> Iterator[Disk]:
    """`folder` on a file system of its own as long as the block lasts; then what was written there is in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "none", folder], check=True)
    copy = folder.with_name(f"{folder.name}.copy")
    try:
        yield Disk(folder)
        subprocess.run(["cp", "-a", folder, copy], check=True)
    finally:
        subprocess.run(["umount", folder], check=True)
    folder.rmdir()
    copy.rename(folder)
