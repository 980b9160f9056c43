"""What the jobs of a step say of their utterances: how many they had, which have no result and why, and sums."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from mimic.errors import UserError
from mimic.io.atomic import replace
from mimic.io.tables import write_skipped

log = logging.getLogger(__name__)


def write_job(directory: Path, job: int, utts: int, skipped: Mapping[str, str], **sums: float) -> None:
    """summary.JOB.json: the number of utterances, {utterance without result: reason}, and sums over the others."""
    with replace(directory / f"summary.{job}.json") as f:
        json.dump({"utts": utts, "skipped": dict(skipped), "sums": sums}, f)


def collect(directory: Path, nj: int, max_skip: float) -> dict[str, float]:
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
