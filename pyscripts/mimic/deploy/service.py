"""What a server does with a recording: the models, one recording at a time, and how many may wait."""

import base64
import io
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from mimic.deploy import files
from mimic.deploy.captions import as_record
from mimic.deploy.transcriber import Transcriber
from mimic.errors import UserError
from mimic.frontend.voice_activity import mono
from mimic.io.audio import AudioInfo
from mimic.models.blocks import BlockEnhancer
from mimic.models.recogniser import Segment

UPLOAD = "uploaded recording"
WAITING = 4  # recordings that wait for their turn


class Service:
    """What is done with a recording. At least one of the two models is there.

    names: of the enhancer and of the recogniser, for people; "" for one that is not there.
    """

    def __init__(
        self,
        enhancer: BlockEnhancer | None,
        transcriber: Transcriber | None,
        max_bytes: int,
        max_seconds: float,
        names: tuple[str, str] = ("", ""),
    ):
        if enhancer is None and transcriber is None:
            raise UserError("give an enhancer (--enhance), a recogniser (--recognise) or both")
        self.enhancer, self.transcriber, self.names = enhancer, transcriber, names
        self.max_bytes, self.max_seconds = max_bytes, max_seconds
        self.turn, self.waiting = threading.Lock(), threading.Semaphore(WAITING)

    def about(self) -> dict[str, Any]:
        """What this server does, for the page: plain values for JSON."""
        return {
            "enhances": self.enhancer is not None,
            "writes": self.transcriber is not None,
            "enhancer": self.names[0],
            "recogniser": self.names[1],
            "max_minutes": self.max_seconds / 60,
            "max_mb": self.max_bytes / 2**20,
            "ffmpeg": shutil.which("ffmpeg") is not None,
        }

    def results(self, path: Path) -> dict[str, Any]:
        """Plain values for JSON: waveforms (mono WAV, base64) before and after, transcript of what comes after.

        Raises UserError for what is not audio, and for a recording that is too long.
        """
        with self._enhanced(path) as (info, before, after, reader):
            segments = list(self.transcriber(reader, UPLOAD)) if self.transcriber else None
        result: dict[str, Any] = {"seconds": info.seconds, "before": _wav(before, info.rate)}
        if after is not None:
            result["after"] = _wav(after, info.rate)
        if segments is not None:
            result["transcript"] = as_record("", segments)
        return result

    def transcript(self, path: Path) -> tuple[float, list[Segment]]:
        """Length in seconds and transcript of a recording. Raises UserError as `results`."""
        return files.Files({UPLOAD: str(path)}).info(UPLOAD).seconds, list(self.segments(path))

    def segments(self, path: Path) -> Iterator[Segment]:
        """The transcript of a recording, segment by segment as it is recognised. Raises UserError as `results`."""
        with self._enhanced(path) as (_, _, _, reader):
            if self.transcriber is not None:
                yield from self.transcriber(reader, UPLOAD)

    @contextmanager
    def _enhanced(self, path: Path) -> Iterator[tuple[AudioInfo, np.ndarray, np.ndarray | None, files.Files]]:
        """A recording, its samples before and after enhancement, and a reader of what comes after: one at a time."""
        reader = files.Files({UPLOAD: str(path)})
        info, after = reader.info(UPLOAD), None
        if info.seconds > self.max_seconds:
            raise UserError(f"{info.seconds:.0f} s are more than the {self.max_seconds:.0f} s that are allowed here")
        before = np.concatenate([mono(block)[:, None] for block in reader.blocks(UPLOAD, files.BLOCK)])
        with tempfile.TemporaryDirectory() as folder, self.turn:
            if self.enhancer is not None:
                after = np.concatenate(list(self.enhancer([before], info.rate)))
                reader = files.Files({UPLOAD: f"{folder}/after.wav"})
                soundfile.write(f"{folder}/after.wav", after, info.rate, "FLOAT")
            yield info, before, after, reader


def _wav(x: np.ndarray, rate: int) -> str:
    wav = io.BytesIO()
    soundfile.write(wav, x.clip(-1, 1), rate, "PCM_16", format="WAV")
    return base64.b64encode(wav.getbuffer()).decode()
