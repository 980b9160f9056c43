"""Audio of a Kaldi data directory by utterance id: any format of libsndfile or ffmpeg, archives, segments, one rate.

The one reader of audio: validation, import, features, enhancement, transcription and the local page all use it.
"""

import io
import logging
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from mimic.errors import AudioError, UserError
from mimic.io.containers import in_archive
from mimic.io.entries import place
from mimic.io.recording import Opener, Unusable, reason
from mimic.io.resampling import resample
from mimic.io.tables import read_segments, read_table

# Names of files that a folder is searched for: those of libsndfile, then those of ffmpeg.
SUFFIXES = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64", ".rf64"}
SUFFIXES |= {".sph", ".nist", ".snd", ".mp2", ".m4a", ".mp4", ".m4v", ".mov", ".aac", ".webm", ".mkv", ".mka", ".avi"}
SUFFIXES |= {".wma", ".wmv", ".asf", ".3gp", ".amr", ".ac3", ".flv", ".mpg", ".mpeg", ".ts", ".wv", ".ape"}
# A segment may end this much after its recording and is trimmed, as by Kaldi's extract-segments (--max-overshoot).
OVERSHOOT_S = 0.5
ROUNDED_S = 0.02  # of which this much is rounding, and not worth a word
# Full scale is 1. Samples of a float file 30 dB above it are integers that somebody has cast (16 bit: up to 32768).
LOUDEST = 32.0
SIDES = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"  # channels in reco2file_and_channel; Kaldi has A and B
FIXES = {
    "missing": "correct wav.scp, or remove the utterance",
    "unreadable": "replace the file, or remove the utterance",
    "truncated": "copy the file again, or remove the utterance",
    "header": "write the file again, or remove the utterance",
    "joined": "split the file, or remove the utterance",
    "ffmpeg": "install ffmpeg (apt-get install ffmpeg), or convert the file to WAV or FLAC",
    "range": "scale the samples to +-1 (16-bit values: divide by 32768), or remove the utterance",
    "empty": "replace the file, or remove the utterance",
    "nan": "write the file again, or remove the utterance",
    "channels": "pick one with --channel N, counted from 0 (for every step at once: of local/import_corpus.sh)",
    "sides": "leave --channel out, or correct reco2file_and_channel",
    "segment": "correct segments",
    "pipe": "pass --allow-pipes true if you trust it",
}


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AudioInfo:
    """Hz, number of channels, samples of the utterance at that rate, libsndfile's names of container and samples.

    direct: whether it is a file that libsndfile reads by itself, as other programs would.
    """

    rate: int
    channels: int
    frames: int
    format: str
    subtype: str
    direct: bool = True

    @property
    def seconds(self) -> float:
        return self.frames / self.rate


class AudioReader(Mapping):
    """Map utterance ids to float32 samples (samples,) in [-1, 1) at `rate` Hz; iteration is in C order.

    Each access opens, decodes and closes, so that memory holds one utterance. Resampling is soxr at high quality.
    Raises UserError naming utterance, file and fix: missing, unreadable, truncated, empty or non-finite audio, samples
    far beyond full scale; several channels without `channel` (0-based) or a line in reco2file_and_channel; a pipe
    without `allow_pipes`; a segment beyond its recording.

    trimmed: {utterance: seconds} of the segments read so far that end after their recordings.
    table: what names the audio: wav.scp, or a table by utterance such as spk1.scp, which knows no segments.
    """

    table = "wav.scp"
    sides: Mapping[str, int] = {}  # channel by recording

    _piped: tuple[str, bytes] = ("", b"")  # the last command and its output

    def __init__(
        self,
        data_dir: str | Path,
        rate: int = 16000,
        allow_pipes: bool = False,
        channel: int | None = None,
        table: str = "wav.scp",
    ) -> None:
        self.table = table
        self.data_dir, self.rate, self.allow_pipes, self.channel = Path(data_dir), rate, allow_pipes, channel
        if channel is not None and channel < 0:
            raise UserError(f"--channel {channel}: channels are counted from 0")
        self.wavs = read_table(self.data_dir / table)
        self.segments: dict[str, tuple[str, float, float]] | None = None
        segments = self.data_dir / "segments"
        if segments.exists() and table == "wav.scp":
            self.segments = read_segments(segments)
        self.utts = sorted(self.wavs if self.segments is None else self.segments)
        sides = self.data_dir / "reco2file_and_channel"
        if sides.exists() and table == "wav.scp":
            self.sides = {reco: _side(sides, reco, line) for reco, line in read_table(sides).items()}

    @cached_property
    def trimmed(self) -> dict[str, float]:
        return {}

    def log_trimmed(self) -> None:
        """Say how many of the segments read so far end after their recordings, if any do."""
        if self.trimmed:
            utt, most = max(self.trimmed.items(), key=lambda item: item[1])
            what = "segments end after their recordings and are trimmed, as in Kaldi"
            log.warning("%s: %d %s; the furthest: %s, by %.3f s", self.data_dir, len(self.trimmed), what, utt, most)

    @cached_property
    def _opener(self) -> Opener:
        return Opener()

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
        return resample(x, rate, self.rate)

    def native(self, utt: str) -> tuple[np.ndarray, int]:
        """Give the samples (samples,) float32 as they are stored, and their rate in Hz."""
        with self.open(utt) as (f, _):
            first, last = self._span(utt, f)
            channel = self._channel(utt, f)
            try:
                f.seek(first) if first else None
                x = f.read(last - first, dtype="float32", always_2d=True)[:, channel]  # (samples,)
            except soundfile.LibsndfileError as error:
                raise self._error(utt, "unreadable", f"{self.entry(utt)} cannot be decoded ({reason(error)})") from None
            rate = f.samplerate
        if len(x) < last - first:
            raise self._error(utt, "truncated", f"{self.entry(utt)} is truncated: {len(x)} of {last - first} samples")
        self._check_samples(utt, x)
        return np.ascontiguousarray(x), rate

    def blocks(self, utt: str, size: int, start: int = 0, end: int | None = None) -> Iterator[np.ndarray]:
        """All channels of a whole file, or of its samples from `start` to `end`, `size` samples at a time.

        Blocks are (samples, channels) float32, as they are stored. Errors are those of `native`.
        """
        with self.open(utt) as (f, _):
            f.seek(start) if start else None
            missing = self._span(utt, f)[1] if end is None else end
            missing -= start
            while missing:
                try:
                    x = f.read(min(size, missing), dtype="float32", always_2d=True)  # (samples, channels)
                except soundfile.LibsndfileError as error:
                    raise self._error(
                        utt, "unreadable", f"{self.entry(utt)} cannot be decoded ({reason(error)})"
                    ) from None
                missing -= len(x)
                if not len(x):
                    raise self._error(utt, "truncated", f"{self.entry(utt)} is truncated: {missing} samples missing")
                self._check_samples(utt, x)
                yield x

    def info(self, utt: str) -> AudioInfo:
        """Read the header only, with the checks that it allows (readable, not truncated, not empty)."""
        with self.open(utt) as (f, subtype):
            first, last = self._span(utt, f)
            direct = f.name == place(self.entry(utt)).path
            return AudioInfo(f.samplerate, f.channels, last - first, f.format, subtype, direct)

    def seconds(self, segment: str) -> float:
        """How long a line of `segments` says that it is."""
        assert self.segments is not None  # else there is no segment to ask for
        _, start, end = self.segments[segment]
        return end - start

    def entry(self, utt: str) -> str:
        """The line of wav.scp that holds the utterance."""
        return self.wavs[utt if self.segments is None else self.segments[utt][0]]

    @contextmanager
    def open(self, utt: str) -> Iterator[tuple[soundfile.SoundFile, str]]:
        """The file that holds the utterance, at its first sample, and how its samples are stored (libsndfile's name);
        it is readable audio, and not truncated as far as its header tells.
        """
        if utt not in self:
            table = self.table if self.segments is None else "segments"
            raise UserError(f"{self.data_dir}/{table}: no utterance {utt}")
        with self._source(utt) as source:
            try:
                f, subtype = self._opener(self.entry(utt), source)
            except Unusable as error:
                raise self._error(utt, error.kind, f"{self.entry(utt)} {error}") from None
            with f:
                yield f, subtype

    def _source(self, utt: str) -> BinaryIO:
        """Open what the line of wav.scp names: a file, a file inside an archive, the output of a command."""
        reco = utt if self.segments is None else self.segments[utt][0]
        entry = self.wavs.get(reco)
        if entry is None:
            raise self._error(utt, "missing", f"recording {reco} is not in {self.data_dir}/wav.scp")
        if not entry:
            raise self._error(utt, "missing", f"{self.data_dir}/{self.table} names no file")
        if entry.endswith("|"):
            if not self.allow_pipes:
                raise self._error(utt, "pipe", f"{entry} is a shell pipe, which runs code")
            return io.BytesIO(self._run(utt, entry))
        path, offset, _ = place(entry)
        try:
            source = open(path, "rb")
        except OSError as error:
            raise self._error(utt, "missing", f"{self.entry(utt)} cannot be opened ({error.strerror})") from None
        return source if offset is None else in_archive(source, offset)

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
        if last > f.frames + ROUNDED_S * f.samplerate:
            self.trimmed[utt] = (last - f.frames) / f.samplerate
        return first, min(last, f.frames)

    def _check_samples(self, utt: str, x: np.ndarray) -> None:
        if not np.isfinite(x).all():
            raise self._error(utt, "nan", f"{self.entry(utt)} holds NaN or infinite samples")
        if len(x) and (peak := float(max(x.max(), -x.min()))) > LOUDEST:
            raise self._error(utt, "range", f"{self.entry(utt)} has samples up to {peak:g}, and full scale is 1")

    def _channel(self, utt: str, f: soundfile.SoundFile) -> int:
        if f.channels == 1:  # where several were, a command in wav.scp or a step has picked one
            return 0
        side = self.sides.get(utt if self.segments is None else self.segments[utt][0])
        if side is not None:
            if side >= f.channels or self.channel not in (None, side):
                what = f"{self.entry(utt)} has {f.channels} channels, reco2file_and_channel names {SIDES[side]}"
                raise self._error(utt, "sides", what)
            return side
        if self.channel is None:
            raise self._error(utt, "channels", f"{self.entry(utt)} has {f.channels} channels")
        if self.channel >= f.channels:
            what = f"{self.entry(utt)} has {f.channels} channels, so no channel {self.channel}"
            raise self._error(utt, "channels", what)
        return self.channel

    def _run(self, utt: str, entry: str) -> bytes:
        # Segments of one recording follow each other, so the last output is all that is worth keeping.
        if self._piped[0] != entry:
            done = subprocess.run(entry[:-1], shell=True, executable="/bin/bash", capture_output=True, check=False)
            if done.returncode:
                message = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
                what = f"{self.entry(utt)} failed with code {done.returncode} ({message[0]})"
                raise self._error(utt, "unreadable", what)
            self._piped = (entry, done.stdout)
        return self._piped[1]

    def _error(self, utt: str, kind: str, what: str) -> AudioError:
        return AudioError(utt, kind, f"{utt}: {what}: {FIXES[kind].replace('wav.scp', self.table)}")


def _side(path: Path, reco: str, line: str) -> int:
    """The channel of a `recording file A` line: A (or 1) is the first, B (or 2) the second, C the third."""
    sides = {"1": 0, "2": 1} | {letter: side for side, letter in enumerate(SIDES)}
    fields = line.split()
    if len(fields) != 2 or fields[1] not in sides:
        raise UserError(f"{path}: {reco}: expected `recording file channel`, channel A to Z, got `{reco} {line}`")
    return sides[fields[1]]
