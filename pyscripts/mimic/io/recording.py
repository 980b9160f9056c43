"""One audio file: opened so that it is read to its true end, by libsndfile or from a copy by ffmpeg; written as wav."""

import io
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import IO, BinaryIO, cast

import numpy as np
import soundfile

from mimic.errors import UserError
from mimic.io.atomic import named
from mimic.io.containers import Layout, Window, examine

BLOCK = 1 << 18  # samples that are copied at a time
UNRECOGNISED = 1  # libsndfile's code for a format that it does not know
# Demuxers of recordings; none that follows names inside a file to other files or hosts (playlists).
DEMUXERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dts,eac3,flac,flv,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,mpegts,ogg,"
    "rm,tak,tta,w64,wav,wv,oma"
)
PREFIX = re.compile(r"^\[[^]]* @ 0x[0-9a-f]+\] ")  # the part of ffmpeg that speaks, and where it lies in memory


class Unusable(Exception):
    """A recording that cannot be read to its end: kind of problem as in AudioError, and what it is, in words."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Opener:
    """Opens the recordings of a table; remembers the last one, for its segments or blocks follow each other."""

    def __init__(self) -> None:
        self._last: tuple[tuple, Layout, IO[bytes] | None, str] = ((), Layout(), None, "")

    def __reduce__(self) -> tuple[type, tuple]:
        return Opener, ()  # another process opens for itself

    def __call__(self, entry: str, source: BinaryIO) -> tuple[soundfile.SoundFile, str]:
        """The recording at its first sample, and libsndfile's name of how its samples are stored ("": not known).

        `entry` is its line in the table, `source` its bytes. Raises Unusable.
        """
        last, key = self._last, (entry, *_state(source))
        if last[0] != key:
            layout = examine(source)
            if layout.missing:
                raise Unusable("truncated", f"is truncated ({layout.missing})")
            if layout.flaw:
                raise Unusable("header", f"has a header that does not agree with its content ({layout.flaw})")
            last = self._last = (key, layout, *_copied(source, layout))
        _, layout, copy, subtype = last
        if copy:
            return soundfile.SoundFile(copy.name), subtype
        try:
            f = _open(source, layout)
        except (soundfile.LibsndfileError, ValueError) as error:
            why = "it is empty" if source.seek(0, os.SEEK_END) == 0 else reason(error)
            raise Unusable("unreadable", f"is not readable audio ({why})") from None
        return f, f.subtype


def reason(error: Exception) -> str:
    """What libsndfile says, short."""
    text = getattr(error, "error_string", None) or str(error) or type(error).__name__
    return "unknown format" if "regular file" in text else text.strip().rstrip(".")


def _state(source: BinaryIO) -> tuple[int, ...]:
    if not isinstance(source, io.BufferedReader):
        return (source.seek(0, os.SEEK_END),)
    stat = os.fstat(source.fileno())
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _copied(source: BinaryIO, layout: Layout) -> tuple[IO[bytes] | None, str]:
    """A copy of what libsndfile would not read to its end, or None; how the original stores its samples."""
    subtype, unknown = "", False
    try:
        with _open(source, layout) as f:
            subtype = f.subtype
    except (soundfile.LibsndfileError, ValueError) as error:
        unknown = getattr(error, "code", 0) == UNRECOGNISED
    if layout.foreign:
        if not ffmpeg_installed():
            raise Unusable("ffmpeg", f"is {layout.foreign}, which takes ffmpeg, and there is none")
        try:
            return _by_ffmpeg(source), subtype
        except FfmpegError as error:
            raise Unusable("truncated", f"is damaged or truncated (ffmpeg: {error})") from None
    if len(layout.parts) > 1:
        return _joined(source, layout.parts), subtype
    if unknown and ffmpeg_installed():
        try:
            return _by_ffmpeg(source), subtype
        except FfmpegError:
            pass  # no audio at all: what libsndfile says counts
    return None, subtype


def _open(source: BinaryIO, layout: Layout) -> soundfile.SoundFile:
    if layout.edits:
        # A window has all of BinaryIO that libsndfile reads by.
        source = cast("BinaryIO", Window(source, 0, source.seek(0, os.SEEK_END), layout.edits))
    source.seek(0)
    # libsndfile reads a file by itself twice as fast as through Python.
    return soundfile.SoundFile(source.name if isinstance(source, io.BufferedReader) else source)


def _by_ffmpeg(source: BinaryIO) -> IO[bytes]:
    if isinstance(source, io.BufferedReader):
        return decode_by_ffmpeg(source.name)
    with tempfile.NamedTemporaryFile() as spool:
        source.seek(0)
        shutil.copyfileobj(source, spool)
        spool.flush()
        return decode_by_ffmpeg(spool.name)


def _joined(source: BinaryIO, parts: list[tuple[int, int]]) -> IO[bytes]:
    """Recordings in one file, one after the other, as one: 32-bit float W64."""
    copy, out = tempfile.NamedTemporaryFile(suffix=".w64"), None
    try:
        for begin, end in parts:
            with soundfile.SoundFile(Window(source, begin, end)) as f:
                out = out or soundfile.SoundFile(copy.name, "w", f.samplerate, f.channels, "FLOAT", format="W64")
                if (f.samplerate, f.channels) != (out.samplerate, out.channels):
                    raise Unusable("joined", "is several recordings in one, of different rates or channels")
                left = f.frames
                while left:
                    x = f.read(min(BLOCK, left), dtype="float32", always_2d=True)
                    left -= len(x)
                    if not len(x):
                        raise Unusable("truncated", f"is truncated: {left} samples missing")
                    out.write(x)
    except soundfile.LibsndfileError as error:
        raise Unusable("unreadable", f"cannot be decoded ({reason(error)})") from None
    finally:
        if out:
            out.close()
    return copy


class FfmpegError(UserError):
    """Why ffmpeg did not give the whole recording, in words."""


def ffmpeg_installed() -> bool:
    return shutil.which("ffmpeg") is not None


def decode_by_ffmpeg(path: str) -> IO[bytes]:
    """The first audio stream of a file as 32-bit float WAV, in a temporary file that goes when it is closed.

    Raises FfmpegError with ffmpeg's first message, if it has any: what is damaged or cut is not taken for whole.
    """
    spool = tempfile.NamedTemporaryFile(suffix=".wav")
    words = ["ffmpeg", "-nostdin", "-v", "error", "-protocol_whitelist", "file", "-format_whitelist", DEMUXERS]
    words += ["-i", f"file:{path}", "-map", "0:a:0", "-c:a", "pcm_f32le"]
    words += ["-f", "wav", "-rf64", "auto", "-y", f"file:{spool.name}"]
    done = subprocess.run(words, capture_output=True, check=False)
    messages = [PREFIX.sub("", line) for line in done.stderr.decode(errors="replace").strip().splitlines()]
    if done.returncode or messages:
        spool.close()
        raise FfmpegError(messages[0] if messages else f"ffmpeg ended with code {done.returncode}")
    return spool


def wav_bytes(x: np.ndarray, rate: int = 16000) -> bytes:
    """Samples (samples,) in [-1, 1) as a 16-bit wav file.

    Full scale is 32768, as where wavs are read, so that 16-bit audio comes back unchanged. What passes full scale is
    clipped.
    """
    samples = np.clip(np.rint(x.astype(np.float64) * 32768), -32768, 32767).astype(np.int16)
    wav = io.BytesIO()
    soundfile.write(wav, samples, rate, "PCM_16", format="WAV")
    return wav.getvalue()


def undated(file: soundfile.SoundFile) -> soundfile.SoundFile:
    """A file that was just opened to be written, without the chunk PEAK of floating-point formats, where libsndfile
    1.2.2 puts the time: the same samples give the same bytes.
    """
    add_peak_chunk, off = 0x1050, 0  # SFC_SET_ADD_PEAK_CHUNK; soundfile has no name for it
    soundfile._snd.sf_command(file._file, add_peak_chunk, soundfile._ffi.NULL, off)
    return file


def write_wav(path: str | Path, x: np.ndarray, rate: int = 16000) -> None:
    """Write `wav_bytes` of these samples; the file is complete or absent, also after a kill.

    Raises OSError that names the file, also where the disk is full.
    """
    wav = wav_bytes(x, rate)
    tmp = f"{path}.tmp"
    try:
        with open(tmp, "wb") as f:
            f.write(wav)
        os.replace(tmp, path)
    except OSError as error:
        Path(tmp).unlink(missing_ok=True)
        raise named(error, path) from None
