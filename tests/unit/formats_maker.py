"""Small recordings, and what an import and an export of them give, for tests of formats of other toolkits."""

import gzip
import json
import random
from pathlib import Path

import numpy as np
import soundfile

from mimic.corpus.formats.detect import detect, read
from mimic.corpus.formats.directory import Written, write_directory
from mimic.corpus.formats.export import WRITERS, Exported, read_utterances
from mimic.corpus.formats.utterance import Reading, Utterance

RATE = 8000
# Ids, speakers and words of all sorts.
NAMES = [
    "a",
    "a-b",
    "a b",
    "a=20b",
    "=",
    "ä/ö",
    "o'neil",
    "o",
    "x" * 300,
    "-n",
    "\u3000",
    "a\nb",
    "#1",
    "1",
    "..",
    "%2F",
]
WORDS = ["one", "zwölf", 'say "no"', "a,b", "x;y", "l'eau", "-", "|", "tab\tnew\nline"]


def recording(path: Path, seconds: float = 1.0, channels: int = 1, rate: int = RATE, seed: int = 0) -> Path:
    """A file of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    x = np.random.default_rng(seed).normal(0, 0.1, (round(seconds * rate), channels))
    soundfile.write(path, x, rate)
    return path


def json_lines(path: Path, *entries: dict) -> Path:
    data = "".join(json.dumps(entry) + "\n" for entry in entries).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def lhotse_recording(path: Path, channels: list[int], name: str = "r", **more) -> dict:
    """A recording as Lhotse writes it: 2 s in one file."""
    sources = [{"type": "file", "channels": channels, "source": str(path)}]
    return {"id": name, "sources": sources, "sampling_rate": 8000, "num_samples": 16000, "duration": 2.0} | more


def imported(source: Path, out: Path, allow_pipes: bool = False, max_skip: float = 0.0, **options) -> Written:
    """What steps/import_data.sh does, in this process."""
    reading = Reading(**options)
    base = source if source.is_dir() else source.parent
    return write_directory(read(detect(source)[0], source, reading), out, base, reading, allow_pipes, max_skip)


def exported(data: Path, kind: str, out: Path, **options) -> Path:
    """What steps/export_data.sh does, in this process."""
    out.mkdir(parents=True, exist_ok=True)
    WRITERS[kind](read_utterances(data, **options), out)
    return out


def content(data: Path) -> dict[str, tuple]:
    """{original id: all that an export knows of the utterance}, less what recordings are called."""
    return {utt.id: facts(utt) for utt in read_utterances(data)}


def facts(utt: Exported) -> tuple:
    return utt.recording.audio, utt.start, utt.end, utt.channel, utt.text, utt.speaker, utt.gender


def random_corpus(folder: Path, seed: int, whole: bool) -> list[Utterance]:
    """Utterances of all sorts, drawn by a seed: of whole files, or several of one, overlapping, in two channels."""
    rng = random.Random(seed)
    names = rng.sample(NAMES, 9)
    speakers = rng.sample(NAMES, 3)
    found = []
    for i, name in enumerate(names):
        number = i if whole else i % 3
        channels = 2 if number == 2 else 1
        path = folder / f"{number} file.wav"
        if not path.exists():
            recording(path, 1 + number / 7, channels, seed=i)
        seconds = soundfile.info(path).duration
        start, end = sorted(rng.sample(range(int(seconds * RATE)), 2))
        span = (0.0, None) if whole else (start / RATE, end / RATE)
        text = " ".join(rng.choices(WORDS, k=rng.randint(0, 4)))
        channel = rng.randrange(2) if channels == 2 else None
        speaker = rng.choice(speakers)
        gender = "f" if speaker < "b" else "m"
        found.append(Utterance("test", str(path), name, text, speaker, gender, "", *span, channel))
    return found
