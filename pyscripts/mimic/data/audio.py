"""Audio of a Kaldi data directory by utterance id: any libsndfile format, archives, segments, one sampling rate."""

import io
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from mimic.data.containers import Window, missing_part
from mimic.data.entries import place
from mimic.data.kaldi_dir import read_segments, read_table
from mimic.errors import AudioError, UserError

# A segment may end this much after its recording: times in `segments` are often rounded to 10 ms.
OVERSHOOT_S = 0.02
FIXES = {
    "missing": "correct wav.scp, or remove the utterance",
    "unreadable": "replace the file, or remove the utterance",
    "truncated": "copy the file again, or remove the utterance",
    "empty": "replace the file, or remove the utterance",
    "nan": "write the file again, or remove the utterance",
    "channels": "pick one with --channel N, counted from 0",
    "segment": "correct segments",
    "pipe": "pass --allow-pipes true if you trust it",
}


@dataclass(frozen=True)
class AudioInfo:
    """What the header says: Hz, number of channels, samples of the utterance at that rate, libsndfile's names."""

    rate: int
    channels: int
    frames: int
    format: str
    subtype: str

    @property
    def seconds(self) -> float:
        return self.frames / self.rate


class AudioReader(Mapping):
    """Map utterance ids to float32 samples (samples,) in [-1, 1) at `rate` Hz; iteration is in C order.

    Each access opens, decodes and closes, so that memory holds one utterance. Resampling is soxr at high quality.
    Raises UserError naming utterance, file and fix: missing, unreadable, truncated, empty or non-finite audio; several
    channels without `channel` (0-based); a pipe without `allow_pipes`; a segment beyond its recording.
    """

    _piped: tuple[str, bytes] = ("", b"")  # the last command and its output

    def __init__(
        self, data_dir: str | Path, rate: int = 16000, allow_pipes: bool = False, channel: int | None = None
    ) -> None:
        self.data_dir, self.rate, self.allow_pipes, self.channel = Path(data_dir), rate, allow_pipes, channel
        self.wavs = read_table(self.data_dir / "wav.scp")
        self.segments: dict[str, tuple[str, float, float]] | None = None
        segments = self.data_dir / "segments"
        if segments.exists():
            self.segments = read_segments(segments)
        self.utts = sorted(self.wavs if self.segments is None else self.segments)

    def __iter__(self) -> Iterator[str]:
        return iter(self.utts)

    def __len__(self) -> int:
        return len(self.utts)

    def __contains__(self, utt: object) -> bool:
        return utt in (self.wavs if self.segments is None else self.segments)

    def __getitem__(self, utt: str) -> np.ndarray:
        return self.resampled(*self.native(utt))

    def resampled(self, x: np.ndarray, rate: int) -> np.ndarray:
        """Bring samples (samples,) at `rate` Hz to the reader's rate."""
        return x if rate == self.rate else soxr.resample(x, rate, self.rate, quality="HQ")

    def native(self, utt: str) -> tuple[np.ndarray, int]:
        """Give the samples (samples,) float32 as they are stored, and their rate in Hz."""
        with self.open(utt) as f:
            first, last = self._span(utt, f)
            channel = self._channel(utt, f)
            try:
                f.seek(first) if first else None
                x = f.read(last - first, dtype="float32", always_2d=True)[:, channel]  # (samples,)
            except soundfile.LibsndfileError as error:
                raise self._error(
                    utt, "unreadable", f"{self.entry(utt)} cannot be decoded ({_reason(error)})"
                ) from None
            rate = f.samplerate
        if len(x) < last - first:
            raise self._error(utt, "truncated", f"{self.entry(utt)} is truncated: {len(x)} of {last - first} samples")
        if not np.isfinite(x).all():
            raise self._error(utt, "nan", f"{self.entry(utt)} holds NaN or infinite samples")
        return np.ascontiguousarray(x), rate

    def blocks(self, utt: str, size: int, start: int = 0, end: int | None = None) -> Iterator[np.ndarray]:
        """All channels of a whole file, or of its samples from `start` to `end`, `size` samples at a time.

        Blocks are (samples, channels) float32, as they are stored. Errors are those of `native`.
        """
        with self.open(utt) as f:
            f.seek(start) if start else None
            missing = self._span(utt, f)[1] if end is None else end
            missing -= start
            while missing:
                try:
                    x = f.read(min(size, missing), dtype="float32", always_2d=True)  # (samples, channels)
                except soundfile.LibsndfileError as error:
                    raise self._error(
                        utt, "unreadable", f"{self.entry(utt)} cannot be decoded ({_reason(error)})"
                    ) from None
                missing -= len(x)
                if not len(x):
                    raise self._error(utt, "truncated", f"{self.entry(utt)} is truncated: {missing} samples missing")
                if not np.isfinite(x).all():
                    raise self._error(utt, "nan", f"{self.entry(utt)} holds NaN or infinite samples")
                yield x

    def info(self, utt: str) -> AudioInfo:
        """Read the header only, with the checks that it allows (readable, not truncated, not empty)."""
        with self.open(utt) as f:
            first, last = self._span(utt, f)
            return AudioInfo(f.samplerate, f.channels, last - first, f.format, f.subtype)

    def entry(self, utt: str) -> str:
        """The line of wav.scp that holds the utterance."""
        return self.wavs[utt if self.segments is None else self.segments[utt][0]]

    @contextmanager
    def open(self, utt: str) -> Iterator[soundfile.SoundFile]:
        """The file that holds the utterance, at its first sample; it is readable audio, and not truncated as far as
        its header tells.
        """
        if utt not in self:
            table = "wav.scp" if self.segments is None else "segments"
            raise UserError(f"{self.data_dir}/{table}: no utterance {utt}")
        with self._source(utt) as source:
            try:
                if missing := missing_part(source):
                    raise self._error(utt, "truncated", f"{self.entry(utt)} is truncated ({missing})")
                source.seek(0)
                # libsndfile reads a file by itself twice as fast as through Python.
                f = soundfile.SoundFile(source.name if isinstance(source, io.BufferedReader) else source)
            except (soundfile.LibsndfileError, ValueError) as error:
                reason = "it is empty" if source.seek(0, os.SEEK_END) == 0 else _reason(error)
                raise self._error(utt, "unreadable", f"{self.entry(utt)} is not readable audio ({reason})") from None
            with f:
                yield f

    def _source(self, utt: str) -> BinaryIO:
        """Open what the line of wav.scp names: a file, a file inside an archive, the output of a command."""
        reco = utt if self.segments is None else self.segments[utt][0]
        entry = self.wavs.get(reco)
        if entry is None:
            raise self._error(utt, "missing", f"recording {reco} is not in {self.data_dir}/wav.scp")
        if not entry:
            raise self._error(utt, "missing", f"{self.data_dir}/wav.scp names no file")
        if entry.endswith("|"):
            if not self.allow_pipes:
                raise self._error(utt, "pipe", f"{entry} is a shell pipe, which runs code")
            return io.BytesIO(self._run(utt, entry))
        path, offset, _ = place(entry)
        try:
            source = open(path, "rb")
        except OSError as error:
            raise self._error(utt, "missing", f"{self.entry(utt)} cannot be opened ({error.strerror})") from None
        return source if offset is None else Window(source, offset)

    def _span(self, utt: str, f: soundfile.SoundFile) -> tuple[int, int]:
        """First and one-past-last sample of the utterance in its file, at the rate of the file."""
        if f.frames == 0:
            raise self._error(utt, "empty", f"{self.entry(utt)} holds no samples")
        if self.segments is None:
            return 0, f.frames
        reco, start, end = self.segments[utt]
        first, last = round(start * f.samplerate), round(end * f.samplerate)
        if last > f.frames + OVERSHOOT_S * f.samplerate or first >= f.frames:
            what = f"{self.entry(utt)} lasts {f.frames / f.samplerate:.3f} s, its segment of {reco} ends at {end:g} s"
            raise self._error(utt, "segment", what)
        return first, min(last, f.frames)

    def _channel(self, utt: str, f: soundfile.SoundFile) -> int:
        if self.channel is None and f.channels > 1:
            raise self._error(utt, "channels", f"{self.entry(utt)} has {f.channels} channels")
        if (self.channel or 0) >= f.channels:
            raise self._error(
                utt, "channels", f"{self.entry(utt)} has {f.channels} channel(s), so no channel {self.channel}"
            )
        return self.channel or 0

    def _run(self, utt: str, entry: str) -> bytes:
        # Segments of one recording follow each other, so the last output is all that is worth keeping.
        if self._piped[0] != entry:
            done = subprocess.run(entry[:-1], shell=True, executable="/bin/bash", capture_output=True, check=False)
            if done.returncode:
                reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
                raise self._error(
                    utt, "unreadable", f"{self.entry(utt)} failed with code {done.returncode} ({reason[0]})"
                )
            self._piped = (entry, done.stdout)
        return self._piped[1]

    def _error(self, utt: str, kind: str, what: str) -> AudioError:
        return AudioError(utt, kind, f"{utt}: {what}: {FIXES[kind]}")


def _reason(error: Exception) -> str:
    text = getattr(error, "error_string", None) or str(error) or type(error).__name__
    return "unknown format" if "regular file" in text else text.strip().rstrip(".")
