"""Progress: a line in the log and an event in the record of the job; figures of a training in words."""

import json
import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

T = TypeVar("T")
log = logging.getLogger(__name__)
INTERVAL_S = 2.0  # least time between two lines


def progress(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Yield `items`, reporting progress at the beginning, at most every 2 s and at the end."""
    last, done = time.monotonic(), 0
    report(done, total, what)
    for item in items:
        yield item
        done += 1
        if time.monotonic() - last >= INTERVAL_S and done < total:
            last = time.monotonic()
            report(done, total, what)
    report(done, total, what)


def report(done: int, total: int, what: str, before: int = 0) -> None:
    """Log `progress: 120/500 WHAT`, and add it to the record of the launcher's job, if this is one.

    before: how many an earlier start had done, which say nothing of the time that is left.
    """
    log.info("progress: %d/%d %s", done, total, what)
    if record := os.environ.get("MIMIC_JOB"):
        event = {"event": "progress", "time": round(time.time(), 3), "done": done, "total": total, "unit": what}
        if before:
            event["before"] = before
        with open(record, "a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")


def figures(status: Mapping[str, Any]) -> list[str]:
    """What is known of how a training goes, in words, from the values of its status.json."""
    words = [] if status["loss"] is None else [f"loss {status['loss']:.4f}"]
    if best := status["best"]:
        words.append(f"best {best['metric']} {best['value']:.4g} (epoch {best['epoch']})")
    return [*words, f"{status['utterances_per_second']:.3g} utterances/s", f"{status['memory_mb']} MB"]
