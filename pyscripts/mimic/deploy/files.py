"""Audio files as users have them: which ones a name stands for, reading them in blocks, writing them whole or not."""

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import soundfile

from mimic.augment.recordings import Recordings
from mimic.errors import AudioError, UserError
from mimic.io.audio import SUFFIXES, AudioInfo, AudioReader
from mimic.io.entries import wav_file
from mimic.io.recording import undated

log = logging.getLogger(__name__)
BLOCK = 1 << 18  # samples
STDIN = "standard input"
# Formats that keep a signal as it is. What comes in another one (MP3, Ogg, SPHERE) goes out as WAV.
KEPT = {".wav": "WAV", ".flac": "FLAC", ".aif": "AIFF", ".aiff": "AIFF", ".au": "AU", ".caf": "CAF", ".w64": "W64"}
FINE = ("PCM_24", "PCM_32", "FLOAT", "DOUBLE")  # kept where the format has it; anything else becomes 16 bit
MOST_IN_WAV = 0xFFFF0000  # bytes; longer ones need RF64
FIXES = {
    "missing": "give a file that is there",
    "pipe": "pass --allow-pipes true if you trust it",
    "ffmpeg": "install ffmpeg (apt-get install ffmpeg), or convert the file to WAV or FLAC",
    "range": "scale the samples to +-1 (16-bit values: divide by 32768)",
    "joined": "split the file",
}


class Files(AudioReader):
    """Audio files {name: path}, all channels of them, with errors that speak of the file."""

    spool: IO[bytes]  # of standard input

    def __init__(self, paths: dict[str, str]) -> None:
        self.wavs, self.segments, self.allow_pipes = paths, None, False
        self.utts = sorted(paths)

    def entry(self, utt: str) -> str:
        return utt if utt == STDIN else self.wavs[utt]

    def _error(self, utt: str, kind: str, what: str) -> AudioError:
        return AudioError(utt, kind, f"{what}: {FIXES.get(kind, 'give another file')}")


def find(source: str, allow_pipes: bool = False) -> AudioReader:
    """What `source` names: a file, the audio files of a folder and the folders in it (names are paths below it),
    a data directory or its wav.scp (utterance ids), or `-`, one file on standard input.

    Raises UserError where there is nothing.
    """
    path = Path(source)
    if source == "-":
        spool = tempfile.NamedTemporaryFile(suffix=".audio")
        shutil.copyfileobj(sys.stdin.buffer, spool)
        spool.flush()
        reader = Files({STDIN: spool.name})
        reader.spool = spool  # it is removed together with the reader
        return reader
    if path.suffix == ".scp" or (path / "wav.scp").is_file():
        recordings = Recordings(path)
        recordings.allow_pipes = allow_pipes
        return recordings
    if path.is_dir():
        files = [p for p in sorted(path.rglob("*")) if not p.is_dir()]
        found = {str(p.relative_to(path)): str(p) for p in files if p.suffix.lower() in SUFFIXES}
        if not found:
            raise UserError(f"{source}: no audio files in it (looked for {' '.join(sorted(SUFFIXES))})")
        if others := [str(p.relative_to(path)) for p in files if p.suffix.lower() not in SUFFIXES]:
            names = ", ".join(others[:5]) + (", ..." if len(others) > 5 else "")
            log.warning("%s: %d files are left out, their names are not those of audio: %s", source, len(others), names)
        return Files(found)
    return Files({path.name: source})


def is_single(source: str) -> bool:
    """Whether `source` names one recording, not a folder or list of them."""
    return source == "-" or not (Path(source).is_dir() or Path(source).suffix == ".scp")


def targets(reader: AudioReader, source: str, output: str) -> dict[str, Path]:
    """Where the result for each name goes: below a folder, as the names say; for one file, the file `output`.

    A single file may also go into a folder that is there. Raises UserError where two files would get one name, and
    where a result would replace its source or become a source of the next run.
    """
    out = Path(output)
    if isinstance(reader, Recordings):
        return {utt: wav_file(out, utt) for utt in reader.utts}
    if is_single(source):
        (name,) = reader.utts
        if out.is_dir():
            out = out / (_target_name(name) if source != "-" else "stdin.wav")
        if out.suffix.lower() not in KEPT:
            raise UserError(f"{output}: expected a file that ends in {' '.join(KEPT)}, an existing folder, or -")
        if Path(source).exists() and out.exists() and out.samefile(source):
            raise UserError(f"{output} is the input itself: give another file")
        return {name: out}
    if out.exists() and not out.is_dir():
        raise UserError(f"{output} is a file, but {source} a folder: give a folder")
    if Path(source).resolve() in (out.resolve(), *out.resolve().parents):
        raise UserError(f"{output} lies inside {source}: the next run would take it for input: give another folder")
    return different({name: out / _target_name(name) for name in reader.utts})


def different(paths: dict[str, Path]) -> dict[str, Path]:
    """The results' paths, all of them different; UserError that names two that are not."""
    seen: dict[Path, str] = {}
    for name, path in paths.items():
        if path in seen:
            raise UserError(f"{seen[path]} and {name} would both become {path}: rename one")
        seen[path] = name
    return paths


def _target_name(name: str) -> Path:
    path = Path(name)
    return path if path.suffix.lower() in KEPT else path.with_suffix(".wav")


class Writer:
    """Writes blocks of samples to a file that is complete or absent. Finer samples than 16 bit stay so.

    clipped: whether anything was beyond full scale, and was clipped.
    """

    def __init__(self, path: Path, info: AudioInfo) -> None:
        self.path, self.clipped = path, False
        kind = KEPT[path.suffix.lower()]
        self.subtype = info.subtype if info.subtype in soundfile.available_subtypes(kind) else "PCM_16"
        if self.subtype not in FINE:
            self.subtype = "PCM_16"
        width = {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}[self.subtype]
        if kind == "WAV" and info.frames * info.channels * width > MOST_IN_WAV:
            kind = "RF64"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.tmp = path.with_name(path.name + ".tmp")
        try:
            self.tmp.open("wb").close()  # its OSError says more than libsndfile's
            file = soundfile.SoundFile(self.tmp, "w", info.rate, info.channels, self.subtype, format=kind)
            self.file = undated(file)
        except soundfile.LibsndfileError as error:
            self.tmp.unlink()
            raise UserError(f"{path}: {info.channels} channels, {info.rate} Hz: {error.error_string}") from None

    def write(self, x: np.ndarray) -> None:
        """Append samples (samples, channels)."""
        if self.subtype not in ("FLOAT", "DOUBLE"):
            self.clipped |= bool(np.abs(x).max(initial=0) > 1)
        if self.subtype == "PCM_16":  # scaled as where it was read, so that 16-bit input can come out unchanged
            x = np.clip(np.rint(x * 32768), -32768, 32767).astype(np.int16)
        try:
            self.file.write(x)
        except soundfile.LibsndfileError as error:
            full = shutil.disk_usage(self.tmp.parent).free < x.nbytes
            why = "disk full: free space and run again" if full else error.error_string
            raise UserError(f"{self.path}: {why}") from None

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: type | None, *_) -> None:
        self.file.close()
        if kind is None:
            os.replace(self.tmp, self.path)
        else:
            self.tmp.unlink(missing_ok=True)


@contextmanager
def written_to(path: str) -> Iterator[str]:
    """The name of a file to write; for `-` a temporary one, which goes to standard output at the end."""
    if path != "-":
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        name = f"{folder}/output.wav"
        yield name
        with open(name, "rb") as f:
            shutil.copyfileobj(f, sys.stdout.buffer)
        sys.stdout.buffer.flush()
