"""What the jobs of a step leave for it: sums of statistics over their utterances, and which of these have no result."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mimic.errors import UserError
from mimic.io.atomic import replace
from mimic.io.tables import write_skipped

S = TypeVar("S", bound="Sums")


@dataclass
class Sums:
    """What the dataclasses of statistics have in common: every field is a sum."""

    def add(self: S, other: S) -> None:
        for part in fields(self):
            setattr(self, part.name, getattr(self, part.name) + getattr(other, part.name))


def sums_path(directory: Path, name: str, job: int) -> Path:
    """The file of the sums of one job."""
    return directory / f"{name}.{job}.acc.npz"


def save_sums(path: Path, sums: Sums, **more: np.ndarray) -> None:
    """The fields of a dataclass of sums, and further arrays that are sums."""
    with replace(path, "wb") as f:
        arrays: dict[str, Any] = dict(more)  # Any: to mypy one of them might be savez's own option
        np.savez(f, **{part.name: getattr(sums, part.name) for part in fields(sums)}, **arrays)


def add_sums(kind: type[S], directory: Path, name: str, nj: int) -> tuple[S, dict[str, np.ndarray]]:
    """The sum of NAME.JOB.acc.npz of all jobs, and that of each further array in them."""
    total: S | None = None
    more: dict[str, np.ndarray] = {}
    for job in range(1, nj + 1):
        path = sums_path(directory, name, job)
        if not path.exists():
            raise UserError(f"{path} is missing: job {job} has not ended, see its log")
        with np.load(path) as arrays:
            values: dict[str, Any] = {
                key: arrays[key] if arrays[key].ndim else float(arrays[key]) for key in arrays.files
            }
        sums = kind(**{part.name: values.pop(part.name) for part in fields(kind)})
        if total is None:
            total = sums
        else:
            total.add(sums)
        more = {key: more[key] + value if key in more else value for key, value in values.items()}
    assert total is not None  # there is at least one job
    return total, more


def remove_sums(directory: Path, name: str, nj: int) -> None:
    for job in range(1, nj + 1):
        sums_path(directory, name, job).unlink()


def write_summary(directory: Path, job: int, utts: int, skipped: Mapping[str, str], **sums: float) -> None:
    """summary.JOB.json: the number of utterances, {utterance without result: reason}, and sums over the others."""
    with replace(directory / f"summary.{job}.json") as f:
        json.dump({"utts": utts, "skipped": dict(skipped), "sums": sums}, f)


def collect_summaries(directory: Path, nj: int, max_skip: float) -> dict[str, float]:
    """skipped.tsv of all jobs; gives the sums, and `done` and `errors`, the numbers of utterances.

    Raises UserError where no utterance has a result, or more than the share `max_skip` has none.
    """
    utts = 0
    skipped: dict[str, str] = {}
    sums: dict[str, float] = {}
    paths = [directory / f"summary.{job}.json" for job in range(1, nj + 1)]
    for path in paths:
        try:
            job = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise UserError(f"{path}: missing or damaged: a job has not ended, see {directory}/log") from None
        utts, skipped = utts + job["utts"], skipped | job["skipped"]
        sums = {name: sums.get(name, 0) + value for name, value in job["sums"].items()}
    write_skipped(directory / "skipped.tsv", skipped)
    if len(skipped) > max_skip * utts or len(skipped) == utts:
        first = f"; the first, {min(skipped)}: {skipped[min(skipped)]}" if skipped else ""
        more = f", more than --max-skip {max_skip:g} allows" if len(skipped) < utts else ""
        raise UserError(
            f"{directory}: {len(skipped)} of {utts} utterances failed{more}: see skipped.tsv there{first}. "
            "Do model, features and transcripts belong together?"
        )
    for path in paths:
        path.unlink()
    return {"done": utts - len(skipped), "errors": len(skipped)} | sums
