"""Audio that libsndfile cannot read to its true end, by ffmpeg, where that is installed."""

import re
import shutil
import subprocess
import tempfile
from typing import IO

from mimic.errors import UserError

# Demuxers of recordings; none that follows names inside a file to other files or hosts (playlists).
DEMUXERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dts,eac3,flac,flv,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,mpegts,ogg,"
    "rm,tak,tta,w64,wav,wv,oma"
)
PREFIX = re.compile(r"^\[[^]]* @ 0x[0-9a-f]+\] ")  # the part of ffmpeg that speaks, and where it lies in memory


class FfmpegError(UserError):
    """Why ffmpeg did not give the whole recording, in words."""


def installed() -> bool:
    return shutil.which("ffmpeg") is not None


def decode(path: str) -> IO[bytes]:
    """The first audio stream of a file as 32-bit float WAV, in a temporary file that goes when it is closed.

    Raises FfmpegError with ffmpeg's first message, if it has any: what is damaged or cut is not taken for whole.
    """
    spool = tempfile.NamedTemporaryFile(suffix=".wav")
    words = ["ffmpeg", "-nostdin", "-v", "error", "-protocol_whitelist", "file", "-format_whitelist", DEMUXERS]
    words += [
        "-i",
        f"file:{path}",
        "-map",
        "0:a:0",
        "-c:a",
        "pcm_f32le",
        "-f",
        "wav",
        "-rf64",
        "auto",
        "-y",
        f"file:{spool.name}",
    ]
    done = subprocess.run(words, capture_output=True, check=False)
    said = [PREFIX.sub("", line) for line in done.stderr.decode(errors="replace").strip().splitlines()]
    if done.returncode or said:
        spool.close()
        raise FfmpegError(said[0] if said else f"ffmpeg ended with code {done.returncode}")
    return spool
