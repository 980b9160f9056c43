"""Wall time, real-time factor and peak memory of every step, from the records of its jobs."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
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
DATA, FEATURES, DUMP, RECOGNITION = 1, 2, 5, 6
STAGE_OF = {  # programs; what trains or decodes a recogniser: recognition
    "make_feats.py": FEATURES,
    "enhance.py": DUMP,
    "score_asr.py": 7,
    "score_enhancement.py": 7,
}
TRAININGS = {"perceptual": 3, "enhance": 4, "adversarial": 4}  # by the group of the run


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
    logs = {log for root in (tree.data, tree.path) for log in atomic.glob(root, "**/log/*.log")}
    made: dict[Path, list[Job]] = defaultdict(list)  # by the directory that the jobs wrote
    for log in sorted(logs):
        if job := read_job(log):
            made[log.parent.parent].append(job)
    made.pop(tree.path / "report", None)
    for folder, jobs in sorted(made.items()):
        stage = _stage(folder, made, tree)
        base = tree.path.parent if folder.is_relative_to(tree.path) else tree.data.parent
        name = str(folder.relative_to(base))
        steps.setdefault(stage, []).append((_cost(stage, name, jobs, _speech(folder, jobs[0], tree)), jobs))
    result = []
    for stage, those in sorted(steps.items()):
        each = [cost for cost, _ in those]
        speech = [cost.speech for cost in each]
        whole = None if None in speech else sum(s for s in speech if s is not None)
        result.append((_cost(stage, STAGES[stage], [job for _, jobs in those for job in jobs], whole), each))
    return result


def _cost(stage: int, name: str, jobs: list[Job], speech: float | None) -> Cost:
    memory = max((job.memory for job in jobs if job.memory), default=None)
    return Cost(stage, name, len(jobs), union(jobs), sum(job.seconds for job in jobs), speech, memory)


def union(jobs: Iterable[Job]) -> float:
    """Seconds in which at least one of the jobs ran."""
    total, until = 0.0, float("-inf")
    for job in sorted(jobs, key=lambda job: job.begin):
        end = job.begin + job.seconds
        total += max(0.0, end - max(job.begin, until))
        until = max(until, end)
    return total


def _stage(folder: Path, made: Mapping[Path, list[Job]], tree: Tree) -> int:
    """By the program of the first job; features of enhanced speech are part of its dump."""
    if not folder.is_relative_to(tree.path):
        return DATA
    run = next((run for run in tree.runs if tree.path / run.name == folder), None)
    if run:
        return TRAININGS.get(run.group, RECOGNITION)
    stage = STAGE_OF.get(_program(made[folder]), RECOGNITION)
    if stage == FEATURES:
        inputs = [tree.path.parent / word for word in made[folder][0].command]
        if any(_program(made[place]) == "enhance.py" for place in inputs if place in made):
            return DUMP
    return stage


def _program(jobs: Sequence[Job]) -> str:
    return Path(jobs[0].command[0]).name


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
