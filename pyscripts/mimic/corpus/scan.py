"""Read all audio of a data directory once, in several processes: what is wrong with it, and how long it is."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mimic.errors import AudioError
from mimic.io.audio import AudioReader

BATCH = 32  # utterances that a process takes at a time: few enough to share evenly, enough to be cheap

_reader: AudioReader  # of a process of `scan`


@dataclass(frozen=True)
class Scanned:
    """One utterance: samples at the reader's rate, the file's own rate in Hz, or what is wrong (samples is 0 then)."""

    utt: str
    samples: int = 0
    rate: int = 0
    problem: AudioError | None = None


def scan(reader: AudioReader, nj: int = 1) -> Iterator[Scanned]:
    """Decode every utterance of `reader` in `nj` processes; results come in C order, one is in memory."""
    if nj == 1:
        yield from _scan(reader, reader.utts)
        return
    from concurrent.futures import ProcessPoolExecutor  # here: one process does not need what it loads

    batches = [reader.utts[i : i + BATCH] for i in range(0, len(reader.utts), BATCH)]
    with ProcessPoolExecutor(nj, initializer=_keep, initargs=(reader,)) as pool:
        for results in pool.map(_scan_kept, batches):
            yield from results


def check(utt: str, x: np.ndarray, entry: str) -> None:
    """Raise AudioError for samples that are all zero, which AudioReader lets pass."""
    if not x.any():
        raise AudioError(utt, "silent", f"{utt}: {entry} is all zero: replace the file, or remove the utterance")


def resampled_length(samples: int, rate: int, new_rate: int) -> int:
    """Length that soxr gives to `samples` at `rate` Hz when it makes them `new_rate` Hz."""
    return (2 * samples * new_rate + rate) // (2 * rate)


def _scan(reader: AudioReader, utts: list[str]) -> Iterator[Scanned]:
    for utt in utts:
        try:
            x, rate = reader.native(utt)
            check(utt, x, reader.entry(utt))
            yield Scanned(utt, resampled_length(len(x), rate, reader.rate), rate)
        except AudioError as error:
            yield Scanned(utt, problem=error)


def _keep(reader: AudioReader) -> None:
    global _reader
    _reader = reader


def _scan_kept(utts: list[str]) -> list[Scanned]:
    return list(_scan(_reader, utts))
