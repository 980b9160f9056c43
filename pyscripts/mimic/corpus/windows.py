"""Speech in windows of one length: archives that a training reads from beginning to end."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mimic.corpus.copies import OF_AUDIO, Tables, subset
from mimic.io import atomic
from mimic.io.audio import AudioReader
from mimic.io.entries import stored
from mimic.io.recording import wav_bytes
from mimic.io.tables import keyed_by, read_table, write_table

OF_WORDS = {"text", "text.phn", "utt2uniq"}  # nobody knows which words a window has


def starts(samples: int, window: int, stride: int) -> range:
    """First samples of the windows of a signal: the last one has its end, and may pass it."""
    return range(0, max(0, samples - window) + stride, stride)


def windows(x: np.ndarray, window: int, stride: int) -> Iterator[np.ndarray]:
    """The windows (window,) of a signal (samples,), the last one with zeros after the end."""
    for start in starts(len(x), window, stride):
        piece = x[start : start + window]
        yield np.pad(piece, (0, window - len(piece)))


def write_job(reader: AudioReader, utts: list[str], window: int, stride: int, folder: Path, job: int) -> Iterator[str]:
    """Write wav.JOB.ark, 16-bit wavs as in Kaldi's archives, and wav.JOB.scp; yields each utterance when it is done."""
    ark, entries = folder / f"wav.{job}.ark", {}
    with atomic.replace(ark, "wb") as file:
        for utt in utts:
            for number, piece in enumerate(windows(reader[utt], window, stride)):
                name = f"{utt}-{number:05d}"
                file.write(f"{name} ".encode())
                entries[name] = f"{stored(ark)}:{file.tell()}"
                file.write(wav_bytes(piece, reader.rate))
            yield utt
    write_table(folder / f"wav.{job}.scp", entries)


def tables(data: Path, folder: Path, nj: int, seconds: float) -> Tables:
    """The tables of the windows: what `data` says of their utterances, less transcripts; utt2uniq names these."""
    wavs = {name: entry for job in range(1, nj + 1) for name, entry in read_table(folder / f"wav.{job}.scp").items()}
    origin = {name: name.rpartition("-")[0] for name in wavs}
    found: Tables = {"wav.scp": wavs, "utt2uniq": origin, "utt2dur": dict.fromkeys(wavs, f"{seconds:.6f}")}
    for name, table in subset(data, set(origin.values())).items():
        if name in OF_AUDIO | OF_WORDS:
            continue
        if keyed_by(name, False) == "spk":
            found[name] = table
        elif keyed_by(name, False) == "utt":
            found[name] = {window: table[utt] for window, utt in origin.items() if utt in table}
    return found
