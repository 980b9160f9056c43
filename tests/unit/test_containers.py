"""Dockerfile and apptainer.def fit the tree: what they copy and run is there, and both make the same image.

Neither can be built here; tests/run.sh lints the one.
"""

import fnmatch
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from data_maker import ROOT
from wheel_maker import wheel

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


def copy(sources: Iterable[str], folder: Path) -> None:
    """Tracked files, of directories all."""
    command = ["git", "ls-files", "-z", "--", *sources]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


@pytest.mark.parametrize("kind", ["docker", "apptainer"])
def test_its_steps_run_in_an_empty_folder(tmp_path, kind):
    """All but the packages of Debian; those of Python are small ones in place of the recipe's, without a network."""
    folder = tmp_path / "mimic"
    env = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    env.pop("VIRTUAL_ENV", None)
    small = {
        name: wheel(tmp_path, name[13:-4].strip("-") or "recipe", 1)
        for name in ("requirements.txt", "requirements-pesq.txt")
    }

    def run(line: str) -> str:
        done = subprocess.run(["sh", "-ec", line], cwd=folder, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    folder.mkdir()
    if kind == "docker":
        steps = re.findall(r"^(COPY|RUN) (.*)$", DOCKER.partition("WORKDIR")[2], re.MULTILINE)
    else:
        post = APPTAINER.partition("cd /mimic\n")[2].partition("%runscript")[0]
        steps = [("COPY", ". ."), *(("RUN", line.strip()) for line in post.splitlines() if line.strip())]
    output = ""
    for what, words in steps:
        if what == "RUN":
            output += run(words)
            continue
        copy(words.split()[:-1], folder)
        for name, text in small.items():
            (folder / name).write_text(text)
    assert "is ready" in output
    installed = run(".venv/bin/python3 -c 'import recipe, pesq; print(recipe.value)'")
    assert installed == "1\n"


def test_what_the_set_up_asks_for_is_copied():
    before = DOCKER.partition("RUN steps/setup.sh")[0]
    copied = {source for words in re.findall(r"^COPY (.*)$", before, re.MULTILINE) for source in words.split()[:-1]}
    scripts = [(ROOT / name).read_text() for name in ("steps/setup.sh", "steps/lib/venv.sh")]
    asked = {name for text in scripts for name in re.findall(r"\./(requirements[\w-]*\.txt)", text)}
    assert asked - {"requirements-dev.txt"} <= copied


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
