"""steps/setup.sh, with small requirements of our own in place of the recipe's: no network."""

import ensurepip
import functools
import http.server
import subprocess
import threading
import zipfile
from pathlib import Path

import pytest

BLOCKED = "raise ImportError('as on a Debian without python3-venv')\n"


def wheel(folder: Path, name: str, value: int) -> str:
    """Writes a package of one line; returns the requirement that installs it."""
    path = folder / f"{name}-{value}-py3-none-any.whl"
    info = f"{name}-{value}.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}.py", f"value = {value}\n")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {value}\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
    return f"{name} @ file://{path}\n"


class SetUp:
    def __init__(self, root: Path, folder: Path, env: dict[str, str]) -> None:
        self.root, self.folder, self.env = root, folder, env | {"PIP_NO_INDEX": "1"}
        self.venv = folder / ".venv"
        self.write("", one=1)
        self.write("-dev", two=1)
        self.write("-pesq", three=1)

    def write(self, which: str, **packages: int) -> None:
        lines = [wheel(self.folder, name, value) for name, value in packages.items()]
        (self.folder / f"requirements{which}.txt").write_text("".join(lines))

    def __call__(self, *words: str, code: int = 0, **more: str) -> str:
        command = ["steps/setup.sh", "--venv", str(self.venv), "--requirements", str(self.folder), *words]
        env = self.env | more
        result = subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True, timeout=120)
        assert result.returncode == code, result.stdout + result.stderr
        return result.stdout + result.stderr

    def value(self, package: str) -> int | None:
        """What an import of the package finds in the new environment."""
        command = [self.venv / "bin/python3", "-c", f"import {package}; print({package}.value)"]
        result = subprocess.run(command, capture_output=True, text=True)
        return int(result.stdout) if result.returncode == 0 else None


@pytest.fixture
def setup(root, tmp_path, env) -> SetUp:
    return SetUp(root, tmp_path, env)


def test_a_life(setup):
    assert "is ready" in setup()
    assert (setup.value("one"), setup.value("two"), setup.value("three")) == (1, None, 1)
    assert setup() == ""  # up to date: no word

    (setup.venv / "mine").touch()
    setup.write("", one=2)
    assert "is ready" in setup("--dev", "true")
    assert (setup.value("one"), setup.value("two")) == (2, 1) and (setup.venv / "mine").exists()
    assert setup() == "" and setup("--dev", "true") == ""

    (setup.venv / ".installed").unlink()  # as after a kill in the middle
    assert "making" in setup()
    assert setup.value("one") == 2 and not (setup.venv / "mine").exists()


def test_pesq_does_not_build(setup):
    (setup.folder / "requirements-pesq.txt").write_text("no-such-package-anywhere==1\n")
    said = setup()
    assert "PESQ scores will be NA" in said and "apt install build-essential python3-dev" in said
    assert setup.value("one") == 1
    assert setup() == ""
    setup.write("-pesq", three=1)
    assert "WARNING" not in setup("--force", "true")
    assert setup.value("three") == 1


def test_a_requirement_that_is_not_there(setup):
    (setup.folder / "requirements.txt").write_text("no-such-package-anywhere==1\n")
    said = setup(code=1)
    assert "no-such-package-anywhere" in said and "could not install" in said
    assert not (setup.venv / ".installed").exists()  # so that the next call makes it anew


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
        said = setup(
            *("--pip-version", bundled[0].name.split("-")[1]),
            PYTHONPATH=str(tmp_path / "blocked"),
            PIP_INDEX_URL=f"http://127.0.0.1:{server.server_address[1]}/simple/",
            no_proxy="127.0.0.1",
        )
    finally:
        server.shutdown()
    assert "without ensurepip" in said and setup.value("one") == 1


def test_old_python(setup, tmp_path):
    (tmp_path / "python3").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "python3").chmod(0o755)
    said = setup("--python", str(tmp_path / "python3"), code=1)
    assert "needs Python 3.10 or newer" in said and said.count("\n") == 1
    assert not setup.venv.exists()


def test_a_directory_that_is_no_venv_stays(setup):
    setup.venv.mkdir()
    (setup.venv / "thesis.tex").touch()
    assert "is no virtual environment" in setup(code=1)
    assert (setup.venv / "thesis.tex").exists()


def test_requirements_are_pinned(root):
    for path in root.glob("requirements*.txt"):
        lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
        assert lines and all("==" in line.split(";")[0] for line in lines), path
    assert {"torch==2.11.0", "torchaudio==2.11.0"} <= set((root / "requirements.txt").read_text().splitlines())
