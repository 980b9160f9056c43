"""Small data directories for tests, and how to run the programs on them."""

import os
import subprocess
from pathlib import Path

import numpy as np
import soundfile

from mimic.io.tables import read_table, write_data_dir

ROOT = Path(__file__).resolve().parents[2]
LEXICON = "ONE W AH N\nTWO T UW\nTHREE TH R IY\nFOUR F AO R\nFIVE F AY V\n"
TEXTS = ["ONE TWO", "THREE FOUR FIVE", "TWO TWO", "FIVE ONE"]
UTTS = ["p1-001", "p1-002", "p10-001", "p10-002"]  # in C order only with the `-` after the speaker


def tone(seconds: float = 1.0, rate: int = 16000, seed: int = 0) -> np.ndarray:
    """Something that sounds: (samples,) float64, never all zero, different for each seed."""
    t = np.arange(round(seconds * rate)) / rate
    return 0.3 * np.sin(2 * np.pi * (200 + 50 * seed) * t) + 0.01 * np.random.default_rng(seed).standard_normal(len(t))


def make_dir(path: Path, rate: int = 16000, noise: float = 0.0, utts: list[str] = UTTS) -> Path:
    """A valid data directory: 1 s and a bit of audio per utterance, text, speakers; wavs lie beside it."""
    audio = path.parent / f"{path.name}_audio"
    audio.mkdir(parents=True, exist_ok=True)
    tables: dict[str, dict[str, str]] = {"wav.scp": {}, "text": {}, "utt2spk": {}, "spk2gender": {}}
    for i, utt in ((UTTS.index(utt) if utt in UTTS else n, utt) for n, utt in enumerate(utts)):
        x = tone(1 + i / 10, rate, i)
        x += noise * np.random.default_rng(100 + i).standard_normal(len(x))
        soundfile.write(audio / f"{utt}.wav", x, rate)
        tables["wav.scp"][utt] = str(audio / f"{utt}.wav")
        tables["text"][utt] = TEXTS[i % len(TEXTS)]
        tables["utt2spk"][utt] = utt.split("-")[0]
        tables["spk2gender"][utt.split("-")[0]] = "f"
    write_data_dir(path, tables)
    return path


def make_corpus(path: Path, sets: tuple[str, ...] = ("train",)) -> Path:
    """{set}_clean and {set}_noisy below `path`, and lang/lexicon.txt."""
    for name in sets:
        make_dir(path / f"{name}_clean")
        noisy = make_dir(path / f"{name}_noisy", noise=0.05)
        (noisy / "utt2snr").write_text("".join(f"{utt} 5\n" for utt in UTTS))
    (path / "lang").mkdir()
    (path / "lang" / "lexicon.txt").write_text(LEXICON)
    return path


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def snapshot(path: Path) -> dict[str, bytes]:
    """Every file below `path` with its bytes, but for .done and .made, which hold times."""
    files = (f for f in sorted(path.rglob("*")) if f.is_file() and f.name not in (".done", ".made"))
    return {str(f.relative_to(path)): f.read_bytes() for f in files}


def run(*command: str | Path, **options) -> subprocess.CompletedProcess:
    """Run a script of the repository as a user does, from its root."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


def last_line(done: subprocess.CompletedProcess) -> str:
    """The message of a script that failed as it should: with 1, and no traceback."""
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    return done.stderr.strip().splitlines()[-1]


def in_tmpfs(folder: Path, size: str, script: str) -> list[str]:
    """Command line that runs a bash script with a tmpfs of `size` at `folder`, for itself alone; root or not."""
    mount = f"mount -t tmpfs -o size={size} tmpfs {folder}"
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *user, "--mount", "bash", "-c", f"{mount} || exit 77\n{script}"]


def audio(data: Path) -> Path:
    """The file of one utterance."""
    return Path(read_table(data / "wav.scp")["p1-002"])
