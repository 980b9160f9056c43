"""Curves of a training, for TensorBoard."""

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from mimic.io import atomic


class Curves:
    """A new event file in `directory`, which takes the place of older ones from `step` on.

    Written by the thread that calls it: PyTorch's SummaryWriter has one of its own, and a full disk that this one meets
    leads to a traceback and to an error that names no file.
    """

    def __init__(self, directory: Path, step: int):
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
        self._records = RecordWriter(open(self._path, "wb"))
        self._write(Event(file_version="brain.Event:2"))
        self._write(Event(session_log=SessionLog(status=SessionLog.START), step=step))

    def add(self, values: Mapping[str, float], step: int) -> None:
        """Put a point on each of these curves. Raises OSError, with the file's name."""
        points = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(Event(summary=Summary(value=points), step=step))

    def close(self) -> None:
        self._records.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        try:
            self._records.write(event.SerializeToString())
            self._records.flush()
        except OSError as error:
            raise atomic.named(error, self._path) from None
