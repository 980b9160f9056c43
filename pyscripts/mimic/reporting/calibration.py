"""Costs of every step for an hour of speech, from the logs that a run on a small sample leaves.

Steps run two at a time, and then each is slower than alone by a factor, the slowdown. What is measured is brought to
the time that a step takes alone; estimate.py puts the slowdown back where steps share the machine.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median

from mimic.errors import UserError

LINE = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) \S+: (.*)$", re.MULTILINE)
EPOCH = re.compile(r"epoch (\d+): (?!loss or)")
PROGRESS = re.compile(r"progress: (\d+)/(\d+) ")
MEMORY = re.compile(r"^# Accounting: .*\bmemory=(\d+)M", re.MULTILINE)


@dataclass(frozen=True)
class Span:
    """From when to when something was at work, in seconds since 1970."""

    begin: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.begin

    def shared(self, others: Iterable["Span"]) -> float:
        """Seconds in which at least one of the others was at work too."""
        total, until = 0.0, self.begin
        for other in sorted(others, key=lambda span: span.begin):
            begin, end = max(other.begin, until), min(other.end, self.end)
            if end > begin:
                total, until = total + end - begin, end
        return total

    def alone(self, others: Iterable["Span"], slowdown: float) -> float:
        """Seconds it would have taken without the others."""
        shared = self.shared(others)
        return self.seconds - shared + shared / slowdown


@dataclass(frozen=True)
class Step:
    """A step: seconds that it takes whatever it works on, seconds for an hour of speech, MiB that a job holds."""

    fixed: float
    rate: float = 0.0
    memory: int = 0


@dataclass(frozen=True)
class Training:
    """A training: seconds for start and end, for an hour of speech and epoch, for an utterance in a validation.

    `size`: bytes of its directory; `utterance`: bytes of memory for each utterance of the training set.
    """

    fixed: float
    rate: float
    validation: float
    memory: int
    size: int
    utterance: float


@dataclass(frozen=True)
class Epochs:
    """When a training began to learn, when each epoch had ended, and MiB it held."""

    begin: float
    ends: list[float]
    memory: int

    def epoch(self, number: int) -> Span:
        """From the end of the epoch before to its own, validation included."""
        return Span(self.ends[number - 2] if number > 1 else self.begin, self.ends[number - 1])


def lines(log: Path) -> list[tuple[float, str]]:
    """What a program has logged: when, and what."""
    text = log.read_text(encoding="utf-8", errors="replace")
    return [(datetime.fromisoformat(time).timestamp(), said) for time, said in LINE.findall(text)]


def memory(logs: Iterable[Path]) -> int:
    """MiB that the largest job held."""
    found = [int(n) for log in logs for n in MEMORY.findall(log.read_text(encoding="utf-8", errors="replace"))]
    return max(found, default=0)


def read_epochs(log: Path) -> Epochs:
    """The epochs of a training; raises UserError where there are less than three."""
    said = lines(log)
    begin = next((time for time, text in said if " utterances" in text), 0.0)
    ends = [time for time, text in said if EPOCH.match(text)]
    if len(ends) < 3:
        raise UserError(f"{log}: {len(ends)} epochs, of at least 3 that tell what one takes: look at the log")
    return Epochs(begin, ends, memory([log]))


def read_loop(log: Path) -> tuple[Span, int]:
    """When a job went through its utterances (or batches of them), and how many they were."""
    found = [(time, match) for time, text in lines(log) if (match := PROGRESS.match(text))]
    if len(found) < 2:
        raise UserError(f"{log}: no progress lines: did the job end?")
    return Span(found[0][0], found[-1][0]), int(found[-1][1][2])


def read_times(path: Path) -> dict[str, Span]:
    """`name begin end` lines."""
    rows = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    return {name: Span(float(begin), float(end)) for name, begin, end in rows}


def slowdown(training: Epochs, others: Iterable[Span]) -> float:
    """How much slower epochs are beside another step, at least 1; the first and the last epoch are left out.

    1 where no epoch was alone or none in company: then the machine has no second place for a step.
    """
    others = list(others)
    spans = [training.epoch(number) for number in range(2, len(training.ends))]
    company = [span.seconds for span in spans if span.shared(others) > 0.9 * span.seconds]
    alone = [span.seconds for span in spans if span.shared(others) < 0.1 * span.seconds]
    return max(1.0, median(company) / median(alone)) if company and alone else 1.0


def step(whole: Span, loops: list[Span], others: list[Span], factor: float, hours: float, memory: int) -> Step:
    """Costs of a step whose jobs went through `hours` of speech in these loops."""
    work = sum(loop.alone(others, factor) for loop in loops)
    longest = max((loop.alone(others, factor) for loop in loops), default=0.0)
    return Step(max(0.0, whole.alone(others, factor) - longest), work / hours, memory)


def training(
    whole: Span,
    epochs: Epochs,
    others: list[Span],
    factor: float,
    hours: float,
    validated: int,
    size: int,
    utterance: float,
) -> Training:
    """Costs of a training of which only the last epoch was validated, on `validated` utterances."""
    times = [epochs.epoch(number).alone(others, factor) for number in range(1, len(epochs.ends) + 1)]
    usual = median(times[1:-1])
    validation = max(0.0, times[-1] - usual)
    fixed = max(0.0, whole.alone(others, factor) - validation - usual * len(times))
    return Training(fixed, usual / hours, validation / validated, epochs.memory, size, utterance)


def others_of(name: str, times: Mapping[str, Span]) -> list[Span]:
    return [span for other, span in times.items() if other != name]
