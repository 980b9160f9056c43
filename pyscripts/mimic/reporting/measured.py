"""The costs of all steps from the directory in which steps/plan.sh has run them on its sample."""

import tracemalloc
from pathlib import Path

from mimic.io.archives import read_scp
from mimic.io.tables import read_seconds, read_table
from mimic.reporting.calibration import (
    Span,
    Step,
    Training,
    memory,
    others_of,
    read_epochs,
    read_loop,
    read_times,
    slowdown,
    step,
    training,
)
from mimic.reporting.estimate import Costs


def read_costs(directory: Path, validated: int) -> Costs:
    """The costs; `validated`: utterances that an enhancer is validated on, 0 for all."""
    times = read_times(directory / "times")
    seconds = list(read_seconds(directory / "data/train_clean/utt2dur").values())
    hours, utts = sum(seconds) / 3600, len(seconds)
    mimic = read_epochs(directory / "mimic/log/train.log")
    factor = slowdown(mimic, others_of("mimic", times))

    def jobs(name: str, logs: str) -> Step:
        found = sorted(directory.glob(logs))
        loops = [read_loop(log)[0] for log in found]
        return step(times[name], loops, others_of(name, times), factor, hours, memory(found))

    def model(name: str, features: str, checked: int) -> Training:
        epochs = read_epochs(directory / name / "log/train.log")
        size, tables = tree_size(directory / name), table_bytes(directory / features)
        return training(times[name], epochs, others_of(name, times), factor, hours, checked, size, tables)

    enhancers = [model(name, "stft/noisy", min(validated or utts, utts)) for name in ("mse", "mimic")]
    others = [model(name, f"{kind}/clean", utts) for name, kind in (("perceptual", "stft"), ("asr", "fbank"))]
    everything = audio_hours(directory / "data")
    return Costs(
        slowdown=factor,
        utterance_seconds=sum(seconds) / utts,
        data=data_step(directory / "data/demo_audio", times["data"], everything),
        stft=jobs("stft_clean", "stft/clean/log/make_feats.*.log"),
        fbank=jobs("fbank_clean", "fbank/clean/log/make_feats.*.log"),
        perceptual=others[0],
        mse=enhancers[0],
        mimic=enhancers[1],
        enhance=jobs("enhance", "enhanced/log/enhance.*.log"),
        asr=others[1],
        finetune=model("finetune", "fbank/clean", utts),
        decode=jobs("decode", "asr/decode/log/decode.*.log"),
        words=Step(times["words"].alone(others_of("words", times), factor), 0.0, memory(directory.glob("words/log/*"))),
        speech=jobs("speech", "speech/log/score.*.log"),
        table=Step(times["table"].seconds),
        waves_size=sum(tree_size(directory / "data/demo_audio" / name) for name in ("train", "dev", "test"))
        / everything,
        stft_size=tree_size(directory / "stft/clean") / hours,
        fbank_size=tree_size(directory / "fbank/clean") / hours,
        enhanced_size=tree_size(directory / "enhanced") / hours,
    )


def data_step(audio: Path, whole: Span, hours: float) -> Step:
    """Stage 1 of the demo corpus, less the noises that it makes once."""
    logs = sorted(audio.glob("log/*.log"))
    acts = [[read_loop(log)[0].seconds for log in logs if log.name.startswith(act)] for act in ("speech.", "mix.")]
    longest = sum(map(max, acts))
    return Step(max(0.0, whole.seconds - longest), sum(map(sum, acts)) / hours, memory(logs))


def audio_hours(data: Path) -> float:
    """Hours of speech in all sets, counted once for both sides."""
    return sum(sum(read_seconds(folder / "utt2dur").values()) for folder in data.glob("*_clean")) / 3600


def tree_size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def table_bytes(features: Path) -> float:
    """Bytes of memory for an utterance of the tables that a training holds: clean and noisy features and more."""
    tracemalloc.start()
    held = [read_scp(features / "feats.scp") for _ in range(2)]
    held += [read_table(features / name) for name in ("utt2num_frames", "text", "text.phn")]
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return used / len(held[0])
