"""What runs and what is done below an experiment tree, from the JSON files that trainings and jobs write."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimic.errors import UserError
from mimic.io.lock import is_held
from mimic.progress import figures
from mimic.reporting.jobs import read_events

QUIET_S = 180  # a job whose log is older than this, and has no end, was killed
SKIPPED = (
    "checkpoints",
    "weights",
    "tensorboard",
    "mlflow",
    "wandb",
    "samples",
    "wav",
    "archives",
)  # large, and nothing is in them
ORDER = ("running", "stopped", "failed", "done")


@dataclass(frozen=True)
class State:
    """One training or one step: where, one of ORDER, and the rest in words; when it last wrote, since 1970."""

    name: str
    state: str
    words: str
    last: float


def states(tree: Path) -> list[State]:
    """Of all trainings and steps below the tree: what runs first, then what stopped or failed; the newest first."""
    found = []
    for folder, names, files in os.walk(tree):
        names[:] = sorted(name for name in names if name not in SKIPPED and not name.endswith((".old", ".unfinished")))
        place = Path(folder)
        if "progress.jsonl" in files:
            found.append(_readable(place, tree))
        records = [place / name for name in files if name.endswith(".log.jsonl")]
        if records and place.name == "log" and not (place.parent / "progress.jsonl").exists():
            found += _step(place, records, tree)
    return sorted(found, key=lambda state: (ORDER.index(state.state), -state.last))


def _readable(folder: Path, tree: Path) -> State:
    """_training, also where its files are damaged or of another program: one of them does not hide the others."""
    try:
        return _training(folder, tree)
    except (UserError, AttributeError, KeyError, TypeError, ValueError):
        words = f"{folder} has a damaged status.json, summary.json or progress.jsonl: run the training again"
        return State(str(folder.relative_to(tree)), "failed", words, (folder / "progress.jsonl").stat().st_mtime)


def _training(folder: Path, tree: Path) -> State:
    status, summary = _json(folder / "status.json"), _json(folder / "summary.json")
    last = (folder / "progress.jsonl").stat().st_mtime
    name = str(folder.relative_to(tree))
    if status:
        last = max(last, status["time"])
    if is_held(folder / "checkpoints/.lock"):
        return State(name, "running", _progress(status) if status else _epochs(folder), last)
    if summary:
        words = f"{summary['epochs']} epochs, {summary['steps']} steps in {duration(summary['seconds'])}"
        if value := summary.get("metrics", {}).get(summary["best_metric"]):
            words += f"; best {summary['best_metric']} {value:.4g} (epoch {summary['best_epoch']})"
        return State(name, "done", words, last)
    where = _where(status) if status else _epochs(folder)
    return State(name, "stopped", f"at {where}: the same command resumes it", last)


def _epochs(folder: Path) -> str:
    """Where there is no status.json yet."""
    done = [event["epoch"] for event in read_events(folder / "progress.jsonl") if event["event"] == "epoch"]
    return f"epoch {max(done, default=0) + 1}"


def _where(status: dict[str, Any]) -> str:
    return f"epoch {status['epoch']}/{status['epochs']}, step {status['step']}/{status['steps']}"


def _progress(status: dict[str, Any]) -> str:
    return ", ".join([_where(status), *figures(status), f"{duration(status['seconds_left'])} left"])


def _step(folder: Path, records: list[Path], tree: Path) -> Iterator[State]:
    """The jobs of one directory's logs, as one state."""
    events = []
    for record in sorted(records):
        with suppress(UserError, OSError, KeyError, TypeError):  # half a line, of one that is being written
            events.append((record, {event["event"]: event for event in read_events(record)}))
    if not events:
        return
    open_jobs = [(record, known) for record, known in events if "start" in known and "end" not in known]
    alive = [known for record, known in open_jobs if _age(record.with_suffix("")) < QUIET_S]
    failed = [record for record, known in events if known.get("end", {}).get("code")]
    last = max(record.stat().st_mtime for record, _ in events)
    name = str(folder.parent.relative_to(tree))
    ended = [known for _, known in events if "end" in known]
    if alive:
        yield State(name, "running", f"{len(ended)} of {len(events)} jobs done{_left(alive)}", last)
    elif failed:
        yield State(name, "failed", f"see {tree / failed[0].with_suffix('').relative_to(tree)}", last)
    elif open_jobs:
        yield State(name, "stopped", f"{len(open_jobs)} of {len(events)} jobs have no end: run the step again", last)
    else:
        seconds = max(known["end"]["seconds"] for known in ended) if ended else 0
        words = "1 job" if len(ended) == 1 else f"{len(ended)} jobs, the longest"
        yield State(name, "done", f"{words} took {duration(seconds)}", last)


def _left(alive: list[dict[str, Any]]) -> str:
    """Of jobs that run: how far they are, and how long the slowest still takes at its speed."""
    known = [job for job in alive if _by_this_start(job.get("progress", {}))]
    if not known:
        return ""
    ends = [
        (now["time"] - job["start"]["time"]) * (now["total"] - now["done"]) / _by_this_start(now)
        for job in known
        for now in [job["progress"]]
    ]
    done, total = (sum(job["progress"][key] for job in known) for key in ("done", "total"))
    return f", {done}/{total} {known[0]['progress']['unit']}, {duration(max(ends))} left"


def _by_this_start(progress: dict[str, Any]) -> int:
    return progress.get("done", 0) - progress.get("before", 0)


def _age(path: Path) -> float:
    with suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime
    return QUIET_S


def _json(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        return json.loads(path.read_text(encoding="utf-8"))
    return {}


def duration(seconds: float) -> str:
    """In the two largest units."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{n} {unit}" for n, unit in ((days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")) if n]
    return " ".join(parts[:2]) or "0 s"
