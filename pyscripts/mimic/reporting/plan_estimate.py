"""Time, memory and disk of every stage of run.sh for any amount of speech, from measured costs; and as tables.

Assumed: utterances as long as the sample's; features, enhancement, decoding and scores take time in proportion to the
speech, and trainings in proportion to speech and epochs; what is trained keeps its size. Two steps run side by side
(trainings: train_jobs), each in nj jobs, as many of them as the machine has cores.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from mimic.errors import UserError
from mimic.reporting.plan_costs import Costs, Step, Training
from mimic.reporting.score_table import aligned

GPU_EFFICIENCY = 0.9  # of each further GPU of a training
SIDES = 2  # clean and noisy
UNITS = {"m": 60.0, "h": 3600.0, "d": 86400.0}
TRAINED = ("3 perceptual", "4 enhancement", "6 recognition")


@dataclass(frozen=True)
class Schedule:
    """Epochs, epochs between validations and utterances validated on (0: all) of a training."""

    epochs: int
    validate_every: int
    validated: int = 0

    @property
    def validations(self) -> int:
        return -(-self.epochs // self.validate_every)


@dataclass(frozen=True)
class Setting:
    """How run.sh is called. `cores` are those of the machine; None: a cluster, which has as many as are asked for."""

    perceptual: Schedule
    enhance: Schedule
    asr: Schedule
    finetune: Schedule
    nj: int = 1
    train_jobs: int = 2
    ngpu: int = 0
    seeds: int = 1
    cores: int | None = 2

    def side_by_side(self, jobs: int) -> int:
        return jobs if self.cores is None else max(1, min(jobs, self.cores))


@dataclass(frozen=True)
class Corpus:
    """Hours of speech of each set."""

    train: float
    dev: float
    test: float

    @property
    def sets(self) -> tuple[float, float, float]:
        return self.train, self.dev, self.test


@dataclass(frozen=True)
class Stage:
    """Seconds, bytes of memory that a job holds at most, bytes of disk that are added."""

    name: str
    seconds: float
    memory: float
    disk: float


def makespan(jobs: Iterable[float], places: int, slowdown: float = 1.0) -> float:
    """Seconds of jobs that start in this order, `places` at a time, each slower by a factor while it is not alone."""
    pending, total = list(jobs), 0.0
    running: list[float] = []
    while pending or running:
        while pending and len(running) < places:
            running.append(pending.pop(0))
        step, speed = min(running), (slowdown if len(running) > 1 else 1.0)
        total += step * speed
        running = [left - step for left in running if left > step]
    return total


def duration(step: Step, hours: float, jobs: float) -> float:
    return step.fixed + step.rate * hours / jobs


def training_duration(cost: Training, schedule: Schedule, hours: float, utterances: float, ngpu: int) -> float:
    """Seconds of a training on `hours` of speech, validated on `utterances`."""
    gpus = 1 + GPU_EFFICIENCY * (max(1, ngpu) - 1)
    validated = min(schedule.validated or utterances, utterances)
    validations = schedule.validations * cost.validation * validated
    return cost.fixed + cost.rate * hours * schedule.epochs / gpus + validations


def estimate(costs: Costs, setting: Setting, corpus: Corpus) -> list[Stage]:
    """The seven stages of run.sh."""
    c, s = costs, setting
    jobs = s.side_by_side(2 * s.nj) / 2  # of each of two steps side by side
    spread = max(1, jobs)
    utts = [hours * 3600 / c.utterance_seconds for hours in corpus.sets]
    train_places = 1 if s.ngpu else s.train_jobs
    everything = sum(corpus.sets)

    def pairs(durations: Iterable[float], places: int = 2) -> float:
        return makespan(durations, places, c.slowdown)

    def train(cost: Training, schedule: Schedule) -> float:
        return training_duration(cost, schedule, corpus.train, utts[1], s.ngpu)

    def memory(*trained: Training) -> float:
        return max(cost.memory * 2.0**20 + cost.utterance * (utts[0] + utts[1]) for cost in trained)

    def mib(*steps: Step) -> float:
        return max(step.memory for step in steps) * 2.0**20

    both = c.stft, c.fbank
    made = (corpus.train, both), (corpus.dev, both), (corpus.test, (c.fbank,))  # nobody reads spectra of test sets
    features = [duration(step, hours, spread) for hours, steps in made for _ in range(SIDES) for step in steps]
    feature_size = SIDES * (everything * c.fbank_size + (corpus.train + corpus.dev) * c.stft_size)
    enhancers = [train(cost, s.enhance) for _ in range(s.seeds) for cost in (c.mse, c.mimic)]
    dumps = [duration(c.enhance, h, spread) + duration(c.fbank, h, spread) for _ in enhancers for h in corpus.sets]
    robust = [train(c.finetune, s.finetune)] * (1 + len(enhancers))
    systems = 1 + len(robust)
    texts = [*(hours for _ in range(systems) for hours in corpus.sets[1:]), *([corpus.test] * len(robust))]
    decodings = [duration(c.decode, hours, spread) for hours in texts]
    word_scores = [duration(c.words, hours, 1) for hours in texts]
    speech_scores = [duration(c.speech, corpus.test, spread)] * (1 + len(enhancers))
    clean = [train(c.asr, s.asr)] if c.perceptual is None else [train(c.perceptual, s.perceptual), train(c.asr, s.asr)]
    if train_places > 1 or c.perceptual is None:  # all of them in stage 3
        clean = [pairs(clean, train_places), 0.0]
    perceptual = c.perceptual or replace(c.asr, size=0)  # whose size is that of stage 6
    data = duration(c.data, everything, s.side_by_side(2 * s.nj))
    enhanced = len(enhancers) * everything * (c.enhanced_size + c.fbank_size)
    return [
        Stage("1 data", data, mib(c.data), everything * c.wav_size),
        Stage("2 features", pairs(features), mib(*both), feature_size),
        Stage("3 perceptual", clean[0], memory(perceptual), perceptual.size),
        Stage("4 enhancement", pairs(enhancers, train_places), memory(c.mse, c.mimic), len(enhancers) * c.mse.size),
        Stage("5 dump", pairs(dumps), mib(c.enhance, c.fbank), enhanced),
        Stage(
            "6 recognition",
            clean[1] + pairs(robust, train_places) + pairs(decodings),
            max(memory(c.asr, c.finetune), mib(c.decode)),
            c.asr.size + len(robust) * c.finetune.size,
        ),
        Stage("7 scoring", pairs([*word_scores, *speech_scores]) + c.table.fixed, mib(c.words, c.speech), 0.0),
    ]


def total(stages: Sequence[Stage]) -> Stage:
    """All stages: seconds and disk are added, memory is that of the largest."""
    return Stage("total", sum(s.seconds for s in stages), max(s.memory for s in stages), sum(s.disk for s in stages))


def reach(costs: Costs, setting: Setting, corpus: Corpus, seconds: float) -> tuple[Setting, float] | None:
    """The least setting that is done in time, and its seconds: fewest GPUs first, then fewest jobs, powers of two.

    On a cluster, which has the cores; without a GPU in `setting`, trainings stay on the CPU. None where even 1024 jobs
    and 64 GPUs are not enough.
    """
    for ngpu in [2**n for n in range(7) if 2**n >= setting.ngpu] if setting.ngpu else [0]:
        for nj in (2**n for n in range(11)):
            tried = replace(setting, nj=nj, ngpu=ngpu, cores=None)
            needed = total(estimate(costs, tried, corpus)).seconds
            if needed <= seconds:
                return tried, needed
    return None


def parse_duration(text: str) -> float:
    """Seconds of 90m, 24h or 3d. UserError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([mhd])", text)
    if not match or not float(match[1]):
        raise UserError(f"--within takes a time such as 90m, 24h or 3d, got {text!r}")
    return float(match[1]) * UNITS[match[2]]


def number(value: float) -> str:
    """Three digits, and no exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}" if value >= 0.01 else f"{value:.2f}"


def tables(plans: Sequence[tuple[Corpus, list[Stage]]]) -> str:
    """Hours, memory of a job and disk of each stage and in all, a column for each amount of training speech."""
    full = [[*stages, total(stages)] for _, stages in plans]
    head = [f"{number(corpus.train)} h" for corpus, _ in plans]
    text = []
    for title, value in (
        ("hours", lambda stage: stage.seconds / 3600),
        ("GiB of memory per job", lambda stage: stage.memory / 2**30),
        ("GB of disk", lambda stage: stage.disk / 1e9),
    ):
        rows = [[title, *head]]
        for row in zip(*full, strict=True):
            rows.append([row[0].name, *(number(value(stage)) for stage in row)])
        text.append(aligned(rows))
    return "\n".join(text)


def advice(
    corpora: Sequence[Corpus],
    found: Sequence[tuple[Setting, float] | None],
    setting: Setting,
    costs: Costs,
    target: str,
) -> str:
    """One line for each amount of speech: which nj and ngpu reach the target time."""
    lines = ["\n"]
    for corpus, reached in zip(corpora, found, strict=True):
        if reached:
            needs = f"--nj {reached[0].nj} --ngpu {reached[0].ngpu}"
            line = f"{needs}: {number(reached[1] / 3600)} h, on a cluster or machine with {2 * reached[0].nj} cores"
        else:
            stages = estimate(costs, setting, corpus)
            trained = sum(stage.seconds for stage in stages if stage.name in TRAINED) / 3600
            line = (
                f"not with 1024 jobs{' and 64 GPUs' if setting.ngpu else ''}: training alone takes {number(trained)} h"
            )
            if not setting.ngpu:
                line += "; --ngpu 1 on a machine with a GPU says how many are needed"
        lines.append(f"{number(corpus.train)} h of speech within {target}: {line}\n")
    return "".join(lines)
