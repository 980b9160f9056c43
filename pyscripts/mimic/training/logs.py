"""What a training writes of its progress: log lines, train_log.jsonl, progress.jsonl, status.json and curves.

train_log.jsonl has a line for each epoch: its losses, learning rate and validation metrics. It is the same for an
undisturbed training and one that was resumed. progress.jsonl has the times, which differ: a line with the event "begin"
for each start of the training, when all is loaded, and one with the event "epoch" at the end of each epoch, its
validation included; "time" is in seconds since 1970. status.json says how far it is, for steps/status.sh; it is
rewritten every ten seconds.
"""

import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mimic.io import atomic
from mimic.progress import INTERVAL_S, figures, report
from mimic.training.trackers import tracker

log = logging.getLogger(__name__)
SECONDS_BETWEEN_STATUS = 10.0


class TrainLog:
    """The logs of a training in `directory`, from epoch `epoch` (from 1) and step `step` (from 0) on.

    track: one of the trackers of `mimic.training.trackers`.
    """

    def __init__(self, directory: Path, epoch: int, step: int, track: str = "tensorboard"):
        self.directory = directory
        self.tracker = tracker(track, directory, step)
        self.events = [event for event in _read(directory / "progress.jsonl") if _counts(event, epoch)]
        self._begin = self._reported = time.monotonic()
        self._first, self._utterances, self._written = step, 0, -math.inf
        self.event("begin", epoch, step)

    def event(self, name: str, epoch: int, step: int) -> None:
        """Add a line to progress.jsonl."""
        self.events.append({"event": name, "epoch": epoch, "step": step, "time": round(time.time(), 3)})
        _write(self.directory / "progress.jsonl", self.events)

    def progress(self, step: int, steps: int, status: Callable[[], dict[str, Any]]) -> None:
        """A line after `step` of `steps`, at most every two seconds, and after the last one.

        status: gives, where a line is due, what `Run.status` has. Added to it are utterances per second since the line
        before, and seconds that are left if the rest takes its share of the time since this start.
        """
        now = time.monotonic()
        if now - self._reported < INTERVAL_S and step < steps:
            return
        values = status()
        done = values.pop("utterances")
        values["utterances_per_second"] = round((done - self._utterances) / max(now - self._reported, 1e-9), 2)
        values["seconds_left"] = round((now - self._begin) / (step - self._first) * (steps - step))
        self._utterances, self._reported = done, now
        report(step, steps, f"steps, {describe(values)}", self._first)
        loss = math.nan if values["loss"] is None else values["loss"]
        self.tracker.add({"train/lr": values["lr"], "train/loss": loss}, step)
        if now - self._written > SECONDS_BETWEEN_STATUS or step == steps:
            self._written = now
            with atomic.replace(self.directory / "status.json") as f:
                json.dump(values | {"step": step, "steps": steps, "time": round(time.time(), 3)}, f, indent=2)

    def epoch(self, record: Mapping[str, Any]) -> None:
        """The line and the curves of an epoch that has ended."""
        figures = {name: value for name, value in record.items() if name not in ("epoch", "step")}
        line = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
        log.info("%s, epoch %d: %s", self.directory.name, record["epoch"], line)
        self.tracker.add({name.replace("_", "/", 1): value for name, value in figures.items()}, record["step"])
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


def describe(status: Mapping[str, Any]) -> str:
    """How far a training is, in one line."""
    unknown = ["loss -"] if status["loss"] is None else []
    return ", ".join([f"{status['name']}, epoch {status['epoch']}/{status['epochs']}", *unknown, *figures(status)])


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
