"""Dockerfile and apptainer.def fit the tree: what they copy and run is there, and both make the same image.

Neither can be built here; tests/run.sh lints the one.
"""

import fnmatch
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

from data_maker import ROOT

DOCKER = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
APPTAINER = (ROOT / "apptainer.def").read_text().replace("\\\n", " ")
IGNORED = (ROOT / ".dockerignore").read_text().split()


def instructions(name: str) -> list[list[str]]:
    return [shlex.split(words) for words in re.findall(rf"^{name} (.*)$", DOCKER, re.MULTILINE)]


def packages(text: str) -> set[str]:
    """What apt-get installs, of which there is one line."""
    (words,) = re.findall(r"apt-get install -y --no-install-recommends\s+([a-z0-9 -]+)", text)
    return set(words.split())


def test_what_is_copied_is_there_and_not_left_out():
    *few, everything = instructions("COPY")
    assert everything == [".", "."]
    for *sources, place in few:
        for source in sources:
            target = Path(place) / Path(source).name if place.endswith("/") else Path(place)
            assert (ROOT / source).exists() and target == Path(source)
            assert not any(fnmatch.fnmatch(source, pattern) for pattern in IGNORED)


def test_the_set_up_runs_with_what_is_copied_before_it(tmp_path):
    before = DOCKER.partition("RUN steps/setup.sh")[0]
    copied = [source for words in re.findall(r"^COPY (.*)$", before, re.MULTILINE) for source in words.split()[:-1]]
    for source in copied:
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
        (tmp_path / source).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / source, tmp_path / source)
    done = subprocess.run(["steps/setup.sh", "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "--venv" in done.stderr + done.stdout
    scripts = [(ROOT / name).read_text() for name in ("steps/setup.sh", "steps/lib/venv.sh")]
    asked = {name for text in scripts for name in re.findall(r"\./(requirements[\w-]*\.txt)", text)}
    assert asked - {"requirements-dev.txt"} <= set(copied)


def test_both_make_the_same_image_and_run_what_is_there():
    assert packages(DOCKER) == packages(APPTAINER) >= {"python3", "python3-venv", "ffmpeg", "util-linux"}
    (base,) = instructions("FROM")
    assert f"From: {base[0]}" in APPTAINER
    (workdir,) = instructions("WORKDIR")
    assert APPTAINER.count(f"cd {workdir[0]}\n") == 2  # to set up, and to run
    command = re.search(r'^CMD \["(.*)"\]$', DOCKER, re.MULTILINE)[1]
    setups = [words for words in instructions("RUN") if words[0].startswith("steps/")]
    assert setups == [["steps/setup.sh"]] and "    steps/setup.sh\n" in APPTAINER
    for program in (command, "steps/setup.sh"):
        assert os.access(ROOT / program, os.X_OK)


def test_the_manual_says_how_they_are_run():
    manual = (ROOT / "docs/installation.md").read_text()
    help_text = APPTAINER.partition("%help\n")[2].strip()
    assert help_text in manual and help_text.startswith("apptainer run ")  # exec would not go to /mimic
    for folder in ("data", "exp"):
        assert manual.count(f"$PWD/{folder}:/mimic/{folder}") == 2
