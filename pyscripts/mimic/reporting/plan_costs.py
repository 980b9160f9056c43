"""Costs of every step for an hour of speech, from the directory in which steps/plan.sh has run them on its sample.

Steps run two at a time, and then each is slower than alone by a factor, the slowdown. What is measured is brought to
the time that a step takes alone; plan_estimate.py puts the slowdown back where steps share the machine.
"""

import tracemalloc
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from mimic.errors import UserError
from mimic.io.archives import read_scp
from mimic.io.tables import read_seconds, read_table
from mimic.reporting.jobs import memory, read_events, record_of


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


def read_epochs(directory: Path) -> Epochs:
    """The epochs of a training, from its progress.jsonl; raises UserError where there are less than three."""
    path = directory / "progress.jsonl"
    events = read_events(path)
    begin = next((event["time"] for event in events if event["event"] == "begin"), 0.0)
    ends = [event["time"] for event in events if event["event"] == "epoch"]
    if len(ends) < 3:
        raise UserError(f"{path}: {len(ends)} epochs, of at least 3 that tell what one takes: look at the log")
    return Epochs(begin, ends, memory([directory / "log/train.log"]))


def read_loop(log: Path) -> tuple[Span, int]:
    """When a job went through its utterances (or batches of them), and how many they were."""
    found = [event for event in read_events(record_of(log)) if event["event"] == "progress"]
    if len(found) < 2:
        raise UserError(f"{record_of(log)}: no progress: did the job end?")
    return Span(found[0]["time"], found[-1]["time"]), found[-1]["total"]


def read_times(path: Path) -> dict[str, Span]:
    """What steps/plan.sh noted: name, begin and end of each call."""
    return {event["name"]: Span(event["begin"], event["end"]) for event in read_events(path)}


def slowdown(training: Epochs, others: Iterable[Span]) -> float:
    """How much slower epochs are beside another step, at least 1; the first and the last epoch are left out.

    1 where no epoch was alone or none in company: then the machine has no second place for a step.
    """
    others = list(others)
    spans = [training.epoch(number) for number in range(2, len(training.ends))]
    company = [span.seconds for span in spans if span.shared(others) > 0.9 * span.seconds]
    single = [span.seconds for span in spans if span.shared(others) < 0.1 * span.seconds]
    return max(1.0, median(company) / median(single)) if company and single else 1.0


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


@dataclass(frozen=True)
class Costs:
    """What the calibration found. The sizes are bytes for an hour of speech; wav: of stage 1, both sides.

    perceptual: None where mimic loss is that of the recogniser of clean speech or of a model that is there.
    """

    slowdown: float
    utterance_seconds: float
    data: Step
    stft: Step
    fbank: Step
    perceptual: Training | None
    mse: Training
    mimic: Training
    enhance: Step
    asr: Training
    finetune: Training
    decode: Step
    words: Step
    speech: Step
    table: Step
    wav_size: float
    stft_size: float
    fbank_size: float
    enhanced_size: float


def read_costs(directory: Path, validated: int) -> Costs:
    """The costs; `validated`: utterances that an enhancer is validated on, 0 for all."""
    times = read_times(directory / "times.jsonl")
    seconds = list(read_seconds(directory / "data/train_clean/utt2dur").values())
    hours, utts = sum(seconds) / 3600, len(seconds)
    mimic = read_epochs(directory / "mimic")
    factor = slowdown(mimic, others_of("mimic", times))

    def jobs(name: str, logs: str) -> Step:
        found = sorted(directory.glob(logs))
        loops = [read_loop(log)[0] for log in found]
        return step(times[name], loops, others_of(name, times), factor, hours, memory(found))

    def model(name: str, features: str, checked: int) -> Training:
        epochs = read_epochs(directory / name)
        size, tables = tree_size(directory / name), table_bytes(directory / features)
        return training(times[name], epochs, others_of(name, times), factor, hours, checked, size, tables)

    enhancers = [model(name, "stft/noisy", min(validated or utts, utts)) for name in ("mse", "mimic")]
    words = times["words"].alone(others_of("words", times), factor)
    everything = audio_hours(directory / "data")
    return Costs(
        slowdown=factor,
        utterance_seconds=sum(seconds) / utts,
        data=data_step(directory / "data/demo_audio", times["data"], everything),
        stft=jobs("stft_clean", "stft/clean/log/make_feats.*.log"),
        fbank=jobs("fbank_clean", "fbank/clean/log/make_feats.*.log"),
        perceptual=model("perceptual", "stft/clean", utts) if "perceptual" in times else None,
        mse=enhancers[0],
        mimic=enhancers[1],
        enhance=jobs("enhance", "enhanced/log/enhance.*.log"),
        asr=model("asr_clean", "fbank/clean", utts),
        finetune=model("finetune", "fbank/clean", utts),
        decode=jobs("decode", "asr_clean/decode/log/decode.*.log"),
        words=Step(words, 0.0, memory(directory.glob("words/log/*.log"))),
        speech=jobs("speech", "speech/log/score.*.log"),
        table=Step(times["table"].seconds),
        wav_size=sum(tree_size(directory / "data/demo_audio" / name) for name in ("train", "dev", "test")) / everything,
        stft_size=tree_size(directory / "stft/clean") / hours,
        fbank_size=tree_size(directory / "fbank/clean") / hours,
        enhanced_size=tree_size(directory / "enhanced") / hours,
    )


def data_step(audio: Path, whole: Span, hours: float) -> Step:
    """Stage 1 of the demo corpus, less the noises that it makes once."""
    logs = [sorted(audio.glob(f"log/{part}.*.log")) for part in ("speech", "mix")]
    parts = [[read_loop(log)[0].seconds for log in of_part] for of_part in logs]
    longest = sum(map(max, parts))
    return Step(max(0.0, whole.seconds - longest), sum(map(sum, parts)) / hours, memory(audio.glob("log/*.log")))


def audio_hours(data: Path) -> float:
    """Hours of speech in all sets, counted once for both sides."""
    return sum(sum(read_seconds(folder / "utt2dur").values()) for folder in data.glob("*_clean")) / 3600


def tree_size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def table_bytes(features: Path) -> float:
    """Bytes of memory for an utterance of the tables that a training holds: clean and noisy features and more."""
    tracemalloc.start()
    held: list[Mapping[str, str]] = [read_scp(features / "feats.scp") for _ in range(2)]
    held += [read_table(features / name) for name in ("utt2num_frames", "text", "text.phn")]
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return used / len(held[0])
