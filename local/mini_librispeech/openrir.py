#!/usr/bin/env python3
"""OpenRIR (OpenSLR 28): unpack what is used of the archive, list its noises and measured RIRs.

Its simulated RIRs, most of the archive, are not used: local/simulate_rirs.sh makes some.
"""

import argparse
import shutil
import zipfile
import zlib
from pathlib import Path

from mimic.cli import progress, run
from mimic.errors import UserError
from mimic.io.atomic import new_dir
from mimic.io.entries import stored
from mimic.io.lines import fields, read_lines
from mimic.io.tables import write_table

ARCHIVE, FOLDER = "rirs_noises.zip", "RIRS_NOISES"
USED = ("pointsource_noises", "real_rirs_isotropic_noises")
TEST = 4  # every fourth recording, or room of RIRs, is for the test set only


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=["unpack", "list"])
    parser.add_argument("folder", type=Path, help="directory of the archive")
    parser.add_argument("out", type=Path, nargs="?", help="list: directory for noises and RIRs")
    args = parser.parse_args()
    if args.verb == "unpack":
        if not (args.folder / FOLDER).is_dir():
            unpack(args.folder / ARCHIVE, args.folder / FOLDER)
    else:
        write_lists(args.folder, args.out)


def unpack(path: Path, out: Path) -> None:
    """Unpack the members that are used; the folder is whole or absent."""
    try:
        with zipfile.ZipFile(path) as archive, new_dir(out) as folder:
            members = [m for m in archive.namelist() if m.split("/")[:1] == [FOLDER] and not m.endswith("/")]
            members = [m for m in members if m.split("/")[1] in USED and ".." not in m.split("/")]
            if not members:
                raise UserError(f"{path}: has no {FOLDER}/{USED[0]}: remove it and try again")
            for member in progress(members, len(members), f"files of {path.name}"):
                target = folder.joinpath(*member.split("/")[1:])
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, open(target, "wb") as f:
                    shutil.copyfileobj(source, f)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise UserError(f"{path}: damaged ({error}): remove it and try again") from None


def write_lists(folder: Path, out: Path) -> None:
    """Write out/{noises,rooms}/{train,test}/wav.scp; no recording, and no room, is on both sides."""
    noises = [(f"pointsource-{path.stem}", path, "") for path, _ in read_list(folder, f"{USED[0]}/noise_list")]
    noises += [(f"isotropic-{path.stem}", path, "") for path, _ in read_list(folder, f"{USED[1]}/noise_list")]
    rooms = [(f"{room}-{path.stem}", path, room) for path, room in read_list(folder, f"{USED[1]}/rir_list")]
    for kind, recordings in (("noises", noises), ("rooms", rooms)):
        groups = sorted({room or name for name, _, room in recordings})
        held = set(groups[TEST - 1 :: TEST])
        for part in ("train", "test"):
            table = {n: stored(p) for n, p, room in recordings if ((room or n) in held) == (part == "test")}
            if not table:
                raise UserError(f"{folder / FOLDER}: too few {kind} to have some for {part}: unpack it again")
            with new_dir(out / kind / part) as target:
                write_table(target / "wav.scp", table)


def read_list(folder: Path, name: str) -> list[tuple[Path, str]]:
    """(file, room) of `--rir-id 00001 --room-id aula RIRS_NOISES/.../a.wav` lines; a noise has no room."""
    path = folder / FOLDER / name
    found = []
    for number, line in read_lines(path, f"file: local/mini_librispeech/download.sh {folder} fetches it"):
        if not line.strip():
            continue
        *words, file = fields(line)
        options = dict(zip(words[::2], words[1::2], strict=False))
        if not (folder / file).exists():
            raise UserError(f"{path}:{number}: {file} is not there: remove {folder / FOLDER} and run download.sh again")
        found.append((folder / file, options.get("--room-id", "")))
    return found


if __name__ == "__main__":
    run(main)
