"""Statistics that jobs collect over their utterances: added up in a job, stored, and added up over all jobs."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mimic.errors import UserError
from mimic.io.atomic import replace

S = TypeVar("S", bound="Sums")


@dataclass
class Sums:
    """What the dataclasses of statistics have in common: every field is a sum."""

    def add(self: S, other: S) -> None:
        for part in fields(self):
            setattr(self, part.name, getattr(self, part.name) + getattr(other, part.name))


def job_path(directory: Path, name: str, job: int) -> Path:
    """The file of the sums of one job."""
    return directory / f"{name}.{job}.acc.npz"


def save(path: Path, sums: Sums, **more: np.ndarray) -> None:
    """The fields of a dataclass of sums, and further arrays that are sums."""
    with replace(path, "wb") as f:
        arrays: dict[str, Any] = dict(more)  # Any: to mypy one of them might be savez's own option
        np.savez(f, **{part.name: getattr(sums, part.name) for part in fields(sums)}, **arrays)


def of_all_jobs(kind: type[S], directory: Path, name: str, nj: int) -> tuple[S, dict[str, np.ndarray]]:
    """The sum of NAME.JOB.acc.npz of all jobs, and that of each further array in them."""
    total: S | None = None
    more: dict[str, np.ndarray] = {}
    for job in range(1, nj + 1):
        path = job_path(directory, name, job)
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


def remove(directory: Path, name: str, nj: int) -> None:
    for job in range(1, nj + 1):
        job_path(directory, name, job).unlink()
