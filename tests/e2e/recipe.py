"""A copy of the repository with a very small corpus in which the tests run the recipe."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
import torch

from mimic.io import archives
from mimic.io.tables import read_table, write_data_dir

SIZES = {"train": 16, "dev": 5, "test": 5}
SETS = [f"{name}_{side}" for name in SIZES for side in ("clean", "noisy")]
KEPT = ("corpus", "data", "exp", "tests/e2e")  # what a test may change


class Recipe:
    """Runs run.sh in `root`, and knows what its directories held when everything was done."""

    def __init__(self, repository: Path, root: Path, *options: str):
        """`options` go to every run.sh."""
        self.root, self.saved, self.options = root, root.with_name("saved"), options
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        for name in filter(None, subprocess.check_output(listed, cwd=repository, text=True).split("\0")):
            if (repository / name).exists():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(repository / name, root / name)
        (root / ".venv").symlink_to((repository / ".venv").resolve())
        forks = repository / "tests/forks"  # in front of .venv, once
        (root / "local/path.sh").write_text(f'PATH={forks}:${{PATH//"{forks}:"/}}\n')
        drop = ("MIMIC_RUN_PID", "CUDA_VISIBLE_DEVICES", "PYTHONPATH")
        self.env = {k: v for k, v in os.environ.items() if k not in drop}
        self.output = ""  # by the first run of everything
        self.changed = False  # since everything was saved

    def command(self, *words: str) -> list[str]:
        return ["./run.sh", "--config", "tests/e2e/micro.conf", *self.options, *words]

    def run(self, *words: str, code: int = 0, before: tuple[str, ...] = ()) -> str:
        """All that run.sh says with these options, which have to lead to this exit code."""
        return self.call(*before, *self.command(*words), code=code)

    def call(self, *command: str | Path, code: int = 0) -> str:
        both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        done = subprocess.run(command, cwd=self.root, env=self.env, text=True, timeout=1800, **both)
        assert done.returncode == code, done.stdout
        return done.stdout

    def begin(self, command: list[str], output: int = subprocess.DEVNULL) -> subprocess.Popen:
        """A command at work, as the leader of a process group of its own; its output goes to the file `output`."""
        return subprocess.Popen(
            command, cwd=self.root, env=self.env, stdout=output, stderr=output, start_new_session=True
        )

    def save(self) -> None:
        for name in KEPT:
            if (self.root / name).exists():
                shutil.copytree(self.root / name, self.saved / name, symlinks=True)

    def restore(self) -> None:
        """Everything as it was when it was saved, times of files included."""
        for name in KEPT:
            shutil.rmtree(self.root / name, ignore_errors=True)
            if (self.saved / name).exists():
                shutil.copytree(self.saved / name, self.root / name, symlinks=True)

    def remove(self, *names: str) -> None:
        """As users do: a process that is just ending may remove something inside first."""
        assert all(os.path.lexists(self.root / name) for name in names), names
        subprocess.run(["rm", "-rf", "--", *names], cwd=self.root, check=True)

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        """As long as the block lasts, `name` is not there."""
        away = self.root / "away"
        (self.root / name).rename(away)
        try:
            yield
        finally:
            away.rename(self.root / name)

    def edit(self, name: str, change: Callable[[str], str]) -> None:
        path = self.root / name
        before = path.read_text()
        path.write_text(change(before))
        assert path.read_text() != before


def make_noises(folder: Path) -> Path:
    """Two noise types to train with and another one to test with."""
    rng = np.random.default_rng(0)
    t = np.arange(5 * 16000) / 16000
    noises = {
        "train/white-1": rng.normal(0, 0.1, len(t)),
        "train/hum-1": 0.1 * np.sign(np.sin(2 * np.pi * 100 * t)),
        "test/brown-1": 0.3 * np.sin(np.cumsum(rng.normal(0, 0.05, len(t)))),
    }
    for name, x in noises.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{name}.wav", x, 16000)
    return folder


def make_corpus(demo: Path, corpus: Path) -> None:
    """A user's corpus: the shortest utterances of the demo's, and a lexicon in place of their phones."""
    for name in SETS:
        kind = name.split("_")[0]
        seconds = read_table(demo / f"{kind}_clean" / "utt2dur")
        utts = sorted(seconds, key=lambda utt: float(seconds[utt]))[: SIZES[kind]]
        tables = {}
        for table in ("wav.scp", "text", "utt2spk", "utt2snr", "utt2noise"):
            if (demo / name / table).exists():
                tables[table] = {utt: value for utt, value in read_table(demo / name / table).items() if utt in utts}
        (corpus / name / "audio").mkdir(parents=True)
        for utt, source in tables["wav.scp"].items():
            samples, rate = soundfile.read(source, dtype="int16")
            file = corpus / name / "audio" / f"{utt}.wav"
            if kind == "train":  # of another rate and format, so that the import has something to do
                file, samples, rate = file.with_suffix(".flac"), soxr.resample(samples, rate, 22050), 22050
            soundfile.write(file, samples, rate)
            tables["wav.scp"][utt] = str(file.relative_to(corpus.parent))
        write_data_dir(corpus / name, tables)
    (corpus / "lang").mkdir()
    shutil.copy(demo / "lang" / "lexicon.txt", corpus / "lang")


def new_recipe(repository: Path, folder: Path, *options: str) -> Recipe:
    """A copy of the repository with its corpus in folder/root, and noises in folder/noises."""
    (folder / "root").mkdir()
    made = Recipe(repository, folder / "root", *options)
    noises, demo = make_noises(folder / "noises"), folder / "demo"
    made.call("local/demo/prepare.sh", "--nj", "2", "--hours", "0.01", "--noise-dir", noises, demo)
    make_corpus(demo, made.root / "corpus")
    return made


def finished_recipe(repository: Path, folder: Path, *options: str) -> Recipe:
    """All seven stages, undisturbed, in folder/root, and a copy of what they made in folder/saved."""
    made = new_recipe(repository, folder, *options)
    made.output = made.run()
    made.save()
    return made


# Times of day, of files too, sizes of jobs, command lines, notes of the up-to-date check.
OF_A_RUN = ("log", "tensorboard", "run_info.json", "summary.json", "status.json", "progress.jsonl", "num_jobs")
OF_A_RUN += (".done", ".made", ".changed")
NOT_RESULTS = (*OF_A_RUN, ".lock", "report", "RESULTS.md", "RESULTS.json")


def results(folder: Path) -> dict[str, Any]:
    """What lies below a directory, in a form that can be compared: weights, arrays, other files as bytes."""
    found: dict[str, Any] = {}
    root = next((path for path in folder.absolute().parents if (path / "path.sh").exists()), Path())
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        kept_aside = any(part.endswith((".old", ".unfinished")) for part in name.parts)
        if path.is_dir() or kept_aside or set(name.parts) & set(NOT_RESULTS):
            continue
        if path.suffix == ".pt":
            found[str(name)] = torch.load(path, weights_only=True)
        elif path.name in ("feats.scp", "cmvn.scp", "global_cmvn.scp"):
            found[str(name)] = {utt: archives.load(f"{root / entry}") for utt, entry in archives.read_scp(path).items()}
        elif path.suffix != ".ark":
            found[str(name)] = path.read_bytes()
    return found


def difference(a: Any, b: Any, where: str = "") -> str:
    """Where two results differ first, empty where they do not. Floats have to be equal in each bit."""
    if isinstance(a, dict) and isinstance(b, dict):
        if odd := sorted(a.keys() ^ b.keys(), key=str):
            return f"{where}: {odd[0]} is in one of them only"
        return next(filter(None, (difference(a[key], b[key], f"{where}/{key}") for key in a)), "")
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return difference(dict(enumerate(a)), dict(enumerate(b)), where)
    same = np.array_equal(a, b) if isinstance(a, np.ndarray | torch.Tensor) else a == b
    return "" if same else where
