"""Progress in words: lines in the log of a program that works on many items, figures of a training."""

import json
import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

T = TypeVar("T")
log = logging.getLogger(__name__)
INTERVAL_S = 2.0  # least time between two lines
RECORD_S = 20.0  # and between two events in the record of the job


def progress(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Yield `items`, logging `progress: 120/500 WHAT` at the beginning, at most every 2 s and at the end."""
    last = recorded = time.monotonic()
    done = 0
    log.info("progress: %d/%d %s", done, total, what)
    _record(done, total, what)
    for item in items:
        yield item
        done += 1
        if time.monotonic() - last >= INTERVAL_S and done < total:
            last = time.monotonic()
            log.info("progress: %d/%d %s", done, total, what)
            if last - recorded >= RECORD_S:
                recorded = last
                _record(done, total, what)
    log.info("progress: %d/%d %s", done, total, what)
    _record(done, total, what)


def figures(status: Mapping[str, Any]) -> list[str]:
    """What is known of how a training goes, in words, from the values of its status.json."""
    words = [] if status["loss"] is None else [f"loss {status['loss']:.4f}"]
    if best := status["best"]:
        words.append(f"best {best['metric']} {best['value']:.4g} (epoch {best['epoch']})")
    return [*words, f"{status['utterances_per_second']:.3g} utterances/s", f"{status['memory_mb']} MB"]


def _record(done: int, total: int, unit: str) -> None:
    """Add how far a loop is to the record of the launcher's job, if this is one."""
    if record := os.environ.get("MIMIC_JOB"):
        event = {"event": "progress", "time": round(time.time(), 3), "done": done, "total": total, "unit": unit}
        with open(record, "a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")
