"""What a training writes of its progress: log lines, train_log.jsonl, progress.jsonl and curves for TensorBoard.

train_log.jsonl has a line for each epoch: its losses, learning rate and validation metrics. It is the same for an
undisturbed training and one that was resumed. progress.jsonl has the times, which differ: a line with the event "begin"
for each start of the training, when all is loaded, and one with the event "epoch" at the end of each epoch, its
validation included; "time" is in seconds since 1970.
"""

import json
import logging
import os
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from mimic.io import atomic

log = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 2.0


class TrainLog:
    """The logs of a training in `directory`, from epoch `epoch` (from 1) and step `step` (from 0) on."""

    def __init__(self, directory: Path, epoch: int, step: int):
        self.directory = directory
        self.curves = Curves(directory / "tensorboard", step)
        self.events = [event for event in _read(directory / "progress.jsonl") if _counts(event, epoch)]
        self._reported = time.monotonic()
        self.event("begin", epoch, step)

    def event(self, name: str, epoch: int, step: int) -> None:
        """Add a line to progress.jsonl."""
        self.events.append({"event": name, "epoch": epoch, "step": step, "time": round(time.time(), 3)})
        _write(self.directory / "progress.jsonl", self.events)

    def progress(self, step: int, steps: int, epoch: int, loss: float, rate: float) -> None:
        """A line after `step` of `steps`, at most every two seconds, and after the last one."""
        if time.monotonic() - self._reported < SECONDS_BETWEEN_LINES and step < steps:
            return
        self._reported = time.monotonic()
        log.info("progress: %d/%d steps, epoch %d, loss %.4f", step, steps, epoch, loss)
        self.curves.add({"train/lr": rate, "train/loss": loss}, step)

    def epoch(self, record: Mapping[str, Any]) -> None:
        """The line and the curves of an epoch that has ended."""
        figures = {name: value for name, value in record.items() if name not in ("epoch", "step")}
        log.info("epoch %d: %s", record["epoch"], ", ".join(f"{name} {value:.4g}" for name, value in figures.items()))
        self.curves.add({name.replace("_", "/", 1): value for name, value in figures.items()}, record["step"])
        self.event("epoch", record["epoch"], record["step"])

    def history(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Write train_log.jsonl."""
        _write(self.directory / "train_log.jsonl", records)

    def seconds(self) -> float:
        """Time from each start of the training to the last epoch that ended before the next start."""
        total, begin, last = 0.0, 0.0, 0.0
        for event in self.events:
            if event["event"] == "begin":
                total, begin = total + last - begin, event["time"]
            last = event["time"]
        return round(total + last - begin, 3)


def _counts(event: Mapping[str, Any], epoch: int) -> bool:
    """Whether an event of an earlier start counts where the training resumes in this epoch."""
    return event["event"] == "begin" or event["epoch"] < epoch


def _read(path: Path) -> list[dict[str, Any]]:
    with suppress(OSError, ValueError):  # nothing depends on these times
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return []


def _write(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    with atomic.replace(path) as f:
        f.writelines(json.dumps(record) + "\n" for record in records)


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
