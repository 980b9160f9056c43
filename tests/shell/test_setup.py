"""steps/setup.sh, with small requirements of our own in place of the recipe's: no network."""

import ensurepip
import functools
import hashlib
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from places import ROOT
from wheel_maker import wheel

BLOCKED = "raise ImportError('as on a Debian without python3-venv')\n"


class SetUp:
    def __init__(self, root: Path, folder: Path, env: dict[str, str]) -> None:
        self.root, self.folder = root, folder
        self.env = env | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)}
        self.venv, self.peers = folder / ".venv", folder / "benchmarks/.venv"

    def write(self, file: str, **packages: int) -> None:
        lines = [wheel(self.folder, name, value) for name, value in packages.items()]
        (self.folder / file).parent.mkdir(exist_ok=True)
        (self.folder / file).write_text("".join(lines))

    def __call__(self, *words: str, code: int = 0, **more: str) -> str:
        command = ["steps/setup.sh", "--venv", str(self.venv), "--requirements", str(self.folder), *words]
        env = self.env | more
        result = subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True, timeout=120)
        assert result.returncode == code, result.stdout + result.stderr
        return result.stdout + result.stderr

    def value(self, package: str, venv: Path | None = None) -> int | None:
        """What an import of the package finds in the new environment."""
        command = [(venv or self.venv) / "bin/python3", "-c", f"import {package}; print({package}.value)"]
        result = subprocess.run(command, capture_output=True, text=True)
        return int(result.stdout) if result.returncode == 0 else None


def new(root: Path, folder: Path, env: dict[str, str]) -> SetUp:
    made = SetUp(root, folder, env)
    made.write("requirements.txt", one=1)
    made.write("requirements-dev.txt", two=1)
    made.write("requirements-pesq.txt", three=1)
    made.write("benchmarks/requirements.txt", one=2, peer=1)
    lone = wheel(folder, "lone", 1, needs="no-such-package-anywhere")
    (folder / "benchmarks/requirements-no-deps.txt").write_text(lone)
    return made


@pytest.fixture
def setup(root, tmp_path, env) -> SetUp:
    return new(root, tmp_path, env)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A finished set-up with what benchmarks need; to be copied, not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    setup = new(ROOT, folder, dict(os.environ) | {"LC_ALL": "C"})
    digest = hashlib.sha256((folder / "one-1-py3-none-any.whl").read_bytes()).hexdigest()
    (folder / "requirements.lock").write_text(f"one==1 --hash=sha256:{digest}\n")
    del setup.env["PIP_NO_INDEX"], setup.env["PIP_FIND_LINKS"]  # --offline is in their place
    options = ("--benchmarks", "true", "--offline", str(folder), "--locked", "true")
    assert setup(*options).count("is ready") == 2
    assert setup("--benchmarks", "true") == ""  # up to date: no word
    return folder


@pytest.fixture
def copied(finished, root, tmp_path, env) -> SetUp:
    """A copy of it, as of a checkout that was copied or moved."""
    shutil.copytree(finished, tmp_path / "copy", symlinks=True)
    return SetUp(root, tmp_path / "copy", env)


def test_a_copy_or_a_moved_checkout_is_set_right_without_installing(copied, finished):
    output = copied("--benchmarks", "true")
    assert output.count("was made as") == 2 and "installing" not in output
    assert copied("--benchmarks", "true") == ""
    names = {path.name: path.read_text() for path in (copied.venv / "bin").iterdir() if not path.is_symlink()}
    assert not [name for name, text in names.items() if str(finished) in text]
    assert subprocess.run([copied.venv / "bin/say-one"], capture_output=True, text=True).stdout == "1\n"
    assert copied.value("three", copied.peers) == 1  # the copy's own recipe.pth: the original's would do too
    (copied.venv / "lib").rename(copied.folder / "away")
    assert copied.value("three", copied.peers) is None


def test_benchmarks_leave_the_environment_of_the_recipe_alone(finished, root, env):
    setup = SetUp(root, finished, env)
    assert (setup.value("one"), setup.value("three"), setup.value("peer")) == (1, 1, None)
    assert [setup.value(name, setup.peers) for name in ("one", "three", "peer", "lone")] == [2, 1, 1, 1]


def test_a_life(copied):
    copied()
    assert (copied.value("one"), copied.value("two"), copied.value("three")) == (1, None, 1)
    (copied.venv / "mine").touch()
    copied.write("requirements.txt", one=2)
    assert "is ready" in copied("--dev", "true")
    assert (copied.value("one"), copied.value("two")) == (2, 1) and (copied.venv / "mine").exists()
    assert copied() == "" and copied("--dev", "true") == ""

    # Other versions, as pip leaves them that installs something else, are noticed.
    pip = [copied.venv / "bin/python3", "-m", "pip", "install", "-q", "one==1", "peer==1"]
    subprocess.run(pip, env=copied.env, check=True)
    assert "one is 1, not 2" in copied() and copied.value("one") == 2
    shutil.rmtree(next(copied.venv.glob("lib/python3*/site-packages/three-1.dist-info")))
    assert "three is missing" in copied()


def test_made_again(copied):
    """Of another Python, or cut short by a kill: made again beside its place, and not on what is to be replaced."""
    next(copied.venv.glob("lib/python3*")).rename(copied.venv / "lib/python3.9")
    (copied.folder / "requirements.txt").write_text("no-such-package-anywhere==1\n")
    output = copied(code=1)
    assert "making" in output and "no-such-package-anywhere" in output and "could not install" in output
    assert (copied.venv / "lib/python3.9").exists() and (copied.venv / ".installed").exists()  # nothing is lost

    copied.write("requirements.txt", one=1)
    (copied.venv / ".installed").unlink()  # nobody knows whose it is: kept
    broken = copied.folder / "broken/bin"
    broken.mkdir(parents=True)
    for name in ("python3", *(path.name for path in (copied.venv / "bin").glob("python3.*"))):
        (broken / name).symlink_to("/nowhere/python3")
    output = copied(PATH=f"{broken}:{copied.venv}/bin:{copied.env['PATH']}")
    assert "is ready" in output and f"({copied.folder}" not in output
    assert copied.value("one") == 1
    assert sorted(path.name for path in copied.folder.glob(".venv*")) == [".venv", ".venv.old"]


def test_pesq_does_not_build(copied):
    (copied.folder / "requirements-pesq.txt").write_text("no-such-package-anywhere==1\n")
    output = copied("--force", "true")
    assert "PESQ scores will be NA" in output and "apt install build-essential python3-dev" in output
    assert copied.value("one") == 1
    assert copied() == ""
    copied.write("requirements-pesq.txt", three=1)
    assert "WARNING" not in copied("--force", "true")
    assert copied.value("three") == 1


def test_python_without_ensurepip(setup, tmp_path):
    bundled = list((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
    if not bundled:
        pytest.skip("this Python carries no wheel of pip to serve")
    pages = tmp_path / "simple/pip"
    pages.mkdir(parents=True)
    (pages / bundled[0].name).write_bytes(bundled[0].read_bytes())
    (pages / "index.html").write_text(f'<a href="pip-1.0-py3-none-any.whl">1</a> <a href="{bundled[0].name}">2</a>')
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked/ensurepip.py").write_text(BLOCKED)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        output = setup(
            *("--pip-version", bundled[0].name.split("-")[1]),
            PYTHONPATH=str(tmp_path / "blocked"),
            PIP_INDEX_URL=f"http://127.0.0.1:{server.server_address[1]}/simple/",
            no_proxy="127.0.0.1",
        )
    finally:
        server.shutdown()
    assert "without ensurepip" in output and setup.value("one") == 1


def test_old_python(setup, tmp_path):
    (tmp_path / "python3").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "python3").chmod(0o755)
    output = setup("--python", str(tmp_path / "python3"), code=1)
    assert "needs Python 3.10 or newer" in output and output.count("\n") == 1
    assert not setup.venv.exists()


def test_a_directory_that_is_no_venv_stays(setup):
    setup.venv.mkdir()
    (setup.venv / "thesis.tex").touch()
    assert "is not a virtual environment" in setup(code=1)
    assert (setup.venv / "thesis.tex").exists()


def test_requirements_are_pinned(root):
    for path in root.glob("requirements*.txt"):
        lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
        assert lines and all("==" in line.split(";")[0] for line in lines), path
    assert {"torch==2.11.0", "torchaudio==2.11.0"} <= set((root / "requirements.txt").read_text().splitlines())


def test_a_directory_of_wheels_that_is_not_there(setup, tmp_path):
    assert "--offline /none: no such directory: make it with pip wheel" in setup("--offline", "/none", code=1)
    assert not setup.venv.exists()
    assert "leave --cpu out" in setup("--cpu", "true", "--locked", "true", code=1)


def test_wheels_that_are_not_there_are_named_with_the_command_that_makes_them(setup, tmp_path):
    """In an empty folder, and in one for another Python."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    options = ("--offline", str(wheels), "--dev", "true")
    line = setup(*options, code=1).splitlines()[-1]
    assert f"--offline {wheels} has no files for this Python of one==1, two==1: " in line
    assert f"pip wheel -w {wheels} -r {tmp_path}/./requirements.txt -r {tmp_path}/./requirements-dev.txt -r " in line
    shutil.copy(tmp_path / "one-1-py3-none-any.whl", wheels / "one-1-cp27-cp27m-win32.whl")
    shutil.copy(tmp_path / "two-1-py3-none-any.whl", wheels)
    assert "of one==1: where" in setup(*options, code=1).splitlines()[-1]
    shutil.copy(tmp_path / "one-1-py3-none-any.whl", wheels)
    output = setup(*options)
    assert f"no pesq for this Python in {wheels}, so PESQ scores will be NA" in output and setup.value("two") == 1


def test_the_lock_has_what_is_pinned(setup, tmp_path):
    """Each line of requirements.txt, in its version, with hashes."""
    pin = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;]+)", re.MULTILINE)
    pinned, lock = pin.findall((ROOT / "requirements.txt").read_text()), (ROOT / "requirements.lock").read_text()
    locked = {(name.lower(), version) for name, version in pin.findall(lock)}
    assert not [(name, v) for name, v in pinned if (name.lower().replace("_", "-"), v) not in locked]
    assert len(locked) > 40 and lock.count("--hash=sha256:") > len(locked)
    (tmp_path / "requirements.lock").write_text("one==1 --hash=sha256:" + 64 * "0" + "\n")
    output = setup("--locked", "true", "--offline", str(tmp_path), code=1)
    assert "could not install requirements.lock" in output and not setup.venv.exists()


def test_markers_say_where_a_requirement_holds(tmp_path):
    """All files of the recipe can be read, and a marker that cannot is an error."""
    state = [sys.executable, str(ROOT / "steps/lib/venv_state.py"), "check"]

    def check(*files: Path) -> subprocess.CompletedProcess:
        return subprocess.run([*state, *map(str, files)], capture_output=True, text=True)

    wanted = tmp_path / "requirements.txt"
    here = f'sys_platform == "{sys.platform}" and platform_machine == "{os.uname().machine}"'
    wanted.write_text(
        f'one==1; {here}\ntwo==1; sys_platform != "{sys.platform}"\nthree==1; python_version >= "3.10"\n'
        f'four==1; python_version < "3.10" and {here}\nfive==1; platform_machine == "abacus"\n'
    )
    assert check(wanted).stdout.split(",")[0].startswith("one is missing")
    assert all(name in check(wanted).stdout for name in ("one", "three"))
    assert not any(name in check(wanted).stdout for name in ("two", "four", "five"))
    wanted.write_text('one==1; platform_release == "6"\n')
    assert "expected name==version" in check(wanted).stderr
    read = check(*ROOT.glob("requirements*.txt"), *ROOT.glob("benchmarks/requirements*.txt"))
    assert "expected name==version" not in read.stderr, read.stderr
