#!/usr/bin/env python3
"""Unpack the zips of VoiceBank-DEMAND that are needed, each into a folder of its name; --list names them only.

Folders inside a zip do not count, nor the files that macOS puts beside the real ones. A folder is whole or absent.
"""

import argparse
import os
import shutil
import time
import zipfile
import zlib
from pathlib import Path

from layout import locate

from mimic.cli import progress, run
from mimic.errors import UserError
from mimic.io.atomic import new_dir


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("src", type=Path)
    parser.add_argument("out", type=Path, nargs="?")
    args = parser.parse_args()
    zips = sorted({path for path in locate(args.src).values() if path.suffix == ".zip"})
    for path in zips:
        if args.list:
            print(path)
        elif not (args.out / path.stem).exists():
            unpack(path, args.out / path.stem)


def unpack(path: Path, out: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive, new_dir(out) as folder:
            members = [m for m in archive.infolist() if m.filename.endswith((".wav", ".txt"))]
            members = [m for m in members if not Path(m.filename).name.startswith(".")]
            if not members:
                raise UserError(f"{path}: holds no .wav or .txt: is it the right file?")
            for member in progress(members, len(members), f"files of {path.name}"):
                target = folder / Path(member.filename).name
                if target.exists():
                    raise UserError(f"{path}: two files are called {target.name}: unpack it by hand")
                with archive.open(member) as source, open(target, "wb") as f:
                    shutil.copyfileobj(source, f)
                stamp = time.mktime((*member.date_time, 0, 0, -1))
                os.utime(target, (stamp, stamp))  # unpacked again, it is still the same input of what follows
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        fix = f"remove it and run local/vbdemand/download.sh {path.parent}"
        raise UserError(f"{path}: damaged ({error}): {fix}") from None


if __name__ == "__main__":
    run(main)
