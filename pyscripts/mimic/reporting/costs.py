"""Wall time, real-time factor and peak memory of every step, from the records of its jobs."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mimic.errors import UserError
from mimic.io import atomic
from mimic.io.tables import read_seconds
from mimic.reporting.jobs import Job, read_job
from mimic.reporting.tree import Tree

STAGES = {
    1: "data",
    2: "features",
    3: "perceptual model",
    4: "enhancement",
    5: "dump of enhanced speech",
    6: "recognition",
    7: "scoring",
}
TRAININGS = {"perceptual": 3, "enhance": 4, "asr": 6}


@dataclass(frozen=True)
class Cost:
    """A step or a stage: wall time counts moments when at least one job ran; `speech` is in seconds, None: unknown."""

    stage: int
    name: str
    jobs: int
    wall: float
    work: float
    speech: float | None
    memory: int | None

    @property
    def factor(self) -> float | None:
        """Seconds of one job for a second of speech."""
        return self.work / self.speech if self.speech else None


def costs(tree: Tree) -> list[tuple[Cost, list[Cost]]]:
    """Each stage with its steps; stages and steps without a record or log of a job are not there."""
    steps: dict[int, list[tuple[Cost, list[Job]]]] = {}
    folders = {log.parent for root in (tree.data, tree.path) for log in atomic.glob(root, "**/log/*.log")}
    for folder in sorted(folders - {tree.path / "report" / "log"}):
        jobs = [job for log in sorted(folder.glob("*.log")) if (job := read_job(log))]
        if jobs:
            stage = _stage(folder, jobs[0], tree)
            base = tree.path.parent if folder.is_relative_to(tree.path) else tree.data.parent
            name = str(folder.parent.relative_to(base))
            steps.setdefault(stage, []).append((_cost(stage, name, jobs, _speech(folder.parent, jobs[0], tree)), jobs))
    result = []
    for stage, those in sorted(steps.items()):
        each = [cost for cost, _ in those]
        speech = [cost.speech for cost in each]
        whole = None if None in speech else sum(s for s in speech if s is not None)
        result.append((_cost(stage, STAGES[stage], [job for _, jobs in those for job in jobs], whole), each))
    return result


def _cost(stage: int, name: str, jobs: list[Job], speech: float | None) -> Cost:
    memory = max((job.memory for job in jobs if job.memory), default=None)
    return Cost(stage, name, len(jobs), _union(jobs), sum(job.seconds for job in jobs), speech, memory)


def _union(jobs: Iterable[Job]) -> float:
    """Seconds in which at least one of the jobs ran."""
    total, until = 0.0, float("-inf")
    for job in sorted(jobs, key=lambda job: job.begin):
        end = job.begin + job.seconds
        total += max(0.0, end - max(job.begin, until))
        until = max(until, end)
    return total


def _stage(folder: Path, job: Job, tree: Tree) -> int:
    if not folder.is_relative_to(tree.path):
        return 1
    parts = folder.relative_to(tree.path).parts
    if "scoring" in parts:
        return 7
    if any(part.startswith("decode") for part in parts):
        return 6
    if parts[0] in ("stft", "fbank"):
        return 2
    if len(parts) > 2:  # <enhancer>/{wav,enhanced}/<set>/log
        return 5
    return TRAININGS.get(parts[0].split("_")[0], 6)


def _speech(where: Path, job: Job, tree: Tree) -> float | None:
    """Seconds of speech that a step worked on; a training reads its training set once an epoch."""
    words, epochs = job.command, 1
    log = where / "train_log.jsonl"
    if log.exists():
        epochs = len(log.read_text(encoding="utf-8").splitlines())
        words = [b for a, b in zip(words, words[1:], strict=False) if a in ("--data.train", "--data.train_noisy")]
    places = [where, *(place / word for word in words for place in (tree.path.parent, tree.data.parent))]
    for place in places:
        try:
            return epochs * sum(read_seconds(place / "utt2dur").values())
        except (UserError, ValueError, OSError):
            continue
    return None
