#!/usr/bin/env python3
"""Steps of a distillation, mimic against the same step in s3prl's pattern; and a pruned encoder against its teacher.

    benchmarks/distill.py
    benchmarks/distill.py --size demo --clock cpu       small networks, on a busy machine

Both have the same networks, losses, batches and corruption, with random weights. s3prl's pattern, with torchaudio's
convolutions: the teacher runs on one utterance after the other, corruption is made inside the step, one utterance at a
time on the padded batch, and padding counts. Mimic: corruption is made in reading threads; the teacher runs on the
batch at once (asked), or its outputs were stored before (known; the time of that is printed, too).
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy and torch read it

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch.nn import functional as F

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "pyscripts"))

from mimic.augment.recordings import Recordings  # noqa: E402
from mimic.io.archives import ArkWriter  # noqa: E402
from mimic.io.batching import prefetch  # noqa: E402
from mimic.io.tables import write_data_dir  # noqa: E402
from mimic.nets.hubert import HubertConfig  # noqa: E402
from mimic.nets.pruned import PrunedConfig, PrunedStudent  # noqa: E402
from mimic.nets.ssl import SslEncoder, base_network  # noqa: E402
from mimic.nets.ssl_files import write_directory  # noqa: E402
from mimic.tasks import config as configuration  # noqa: E402
from mimic.tasks.distill import DistillTask  # noqa: E402
from mimic.training.optimiser import ModuleOptimiser  # noqa: E402

RATE = 16000
DEMO = {"units": 128, "heads": 4, "feedforward": 256, "channels": 64, "position_kernel": 32, "position_groups": 8}
SIZES = {"base": {}, "demo": DEMO}


def corpus(folder: Path, utterances: int, seconds: float) -> None:
    """Speech-like signals of half to one and a half times `seconds`, noises and RIRs as wavs."""
    draw = np.random.default_rng(0)
    tables: dict[str, dict[str, str]] = {"wav.scp": {}, "utt2spk": {}, "utt2dur": {}}
    for name in ("noise", "rirs", "wav"):
        (folder / name).mkdir()
    for i in range(utterances):
        n = int(draw.uniform(0.5, 1.5) * seconds * RATE)
        utt, x = f"s{i % 4}-{i:03d}", draw.normal(0, 0.1, n) * np.clip(np.sin(np.arange(n) * 8 * np.pi / RATE), 0, None)
        soundfile.write(folder / "wav" / f"{utt}.wav", x, RATE)
        tables["wav.scp"][utt], tables["utt2spk"][utt] = str(folder / "wav" / f"{utt}.wav"), utt[:2]
        tables["utt2dur"][utt] = str(n / RATE)
    for i in range(20):
        soundfile.write(folder / "noise" / f"hiss-{i}.wav", draw.normal(0, 0.1, int(draw.uniform(5, 20) * RATE)), RATE)
        h = draw.normal(0, 0.1, 8000) * np.exp(-np.arange(8000) / 1200)
        soundfile.write(folder / "rirs" / f"rir-{i}.wav", h, RATE)
    write_data_dir(folder / "data", tables)


def task_of(folder: Path, size: str, batch: int, *extra: str) -> tuple[DistillTask, ModuleOptimiser]:
    words = [f"--model.{name}={value}" for name, value in SIZES[size].items()]
    pairs = [word for option in words for word in option.split("=")]
    names = {"train": "data", "dev_noisy": "data", "dev_clean": "data", "noises": "noise", "rirs": "rirs"}
    pairs += [word for name, path in names.items() for word in (f"--data.{name}", f"{folder}/{path}")]
    pairs += ["--teacher.path", f"{folder}/teacher", "--augment.crop_s", "0", "--loss.enhance_weight", "0"]
    pairs += ["--train.batch_size", str(batch), *extra]
    config = configuration.read(ROOT / "conf/distill.yaml", pairs)
    task = DistillTask(config, folder)
    task.begin_epoch(1)
    return task, ModuleOptimiser(task.model, config.train, torch.device("cpu"), True)


def as_torchaudio(encoder: SslEncoder) -> None:
    """Let an encoder compute its convolutions and products as torchaudio does."""

    def convolve(waveforms: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        lengths = torch.tensor([len(waveform) for waveform in waveforms])
        return encoder.net.feature_extractor(torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True), lengths)

    for layer in encoder.net.feature_extractor.conv_layers:
        layer.conv.__class__ = torch.nn.Conv1d
    for module in encoder.net.modules():
        if isinstance(module, torch.nn.Linear):
            module.__class__ = torch.nn.Linear
    encoder.convolve = convolve


def mimic(task: DistillTask, optimiser: ModuleOptimiser, batches: list[list[str]]) -> None:
    for batch in prefetch(task.load, batches):
        optimiser.zero_grad()
        optimiser.backward(task(batch, 1)["loss"])
        optimiser.step(1e-4)


def reference(
    task: DistillTask, optimiser: ModuleOptimiser, batches: list[list[str]], noises: Recordings, rirs: Recordings
) -> None:
    draw = np.random.default_rng(1)
    for utts in batches:
        waveforms = [torch.from_numpy(task.augmenter.speech[utt].copy()) for utt in utts]
        padded = torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True)
        noisy = padded.clone()
        for row in noisy:  # noise, RIR, both or neither
            kind = draw.integers(4)
            if kind in (1, 3):
                noise = torch.from_numpy(np.resize(noises[noises.utts[draw.integers(len(noises))]], len(row)))
                gain = (row.square().mean() / noise.square().mean() * 10 ** (-draw.integers(21) / 10)).sqrt()
                row += gain * noise
            if kind in (2, 3):
                h = torch.from_numpy(rirs[rirs.utts[draw.integers(len(rirs))]].copy())
                n = len(row) + len(h) - 1
                row.copy_(torch.fft.irfft(torch.fft.rfft(row, n) * torch.fft.rfft(h, n), n)[: len(row)])
        with torch.no_grad():
            wanted = [task.teacher([waveform], task.config.teacher.layers)[0] for waveform in waveforms]
        optimiser.zero_grad()
        answer = task.model.predict(list(noisy))
        frames = answer.predictions[0].shape[1]
        loss = 0.0
        for i, prediction in enumerate(answer.predictions):
            target = torch.cat([F.pad(row[i], (0, 0, 0, frames - row[i].shape[1])) for row in wanted])
            loss = loss + F.l1_loss(prediction, target) / len(answer.predictions)
            similarity = F.cosine_similarity(prediction, target, dim=2)
            loss = loss - F.logsigmoid(similarity).mean() / len(answer.predictions)
        optimiser.backward(loss)
        optimiser.step(1e-4)


def pruned(teacher: SslEncoder, sparsity: float) -> SslEncoder:
    """What is left of an encoder with random gates, of which so many are shut."""
    torch.manual_seed(1)
    layers = [0, teacher.num_layers]
    model = PrunedStudent(PrunedConfig(groups=[0, 1]), teacher, layers, 768, False).eval()
    noise = {name: 6 * torch.randn(len(gates.odds)) for name, gates in model.gates.items()}
    low, high = -30.0, 30.0
    for _ in range(30):
        middle = (low + high) / 2
        for name, gates in model.gates.items():
            gates.odds.data = (noise[name] + middle) / gates.rate
        low, high = (middle, high) if float(model.sparsity().detach()) > sparsity else (low, middle)
    return model.pruned()


def timed(functions: dict[str, Callable[[], None]], rounds: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Seconds of each round, without the first; the functions take turns, so that a busy moment hits all of them."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds + 1):
        for name, function in functions.items():
            begun = clock()
            function()
            times[name].append(clock() - begun)
    return {name: spent[1:] for name, spent in times.items()}


def ratio(times: dict[str, list[float]], slow: str, fast: str) -> float:
    return statistics.median(a / b for a, b in zip(times[slow], times[fast], strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="base", help="of the networks (default: %(default)s)")
    parser.add_argument("--batches", type=int, default=4, help="(default: %(default)s)")
    parser.add_argument("--utterances", type=int, default=8, help="in a batch (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of an utterance, on average (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: for a busy machine (wall)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # for both, as our training does
    torch.manual_seed(1)
    clock = {"wall": time.perf_counter, "cpu": time.process_time}[args.clock]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpus(folder, args.batches * args.utterances, args.seconds)
        net = base_network(HubertConfig(**SIZES[args.size]), True)
        write_directory(net, False, folder / "teacher")
        asked = task_of(folder, args.size, args.utterances)
        task, utts = asked[0], sorted(asked[0].lengths, key=asked[0].lengths.get)
        (folder / "targets").mkdir()
        begun = clock()
        with ArkWriter(folder / "targets/feats.ark", folder / "targets/feats.scp") as writer, torch.no_grad():
            for utt in utts:
                states, _ = task.teacher([torch.from_numpy(task.augmenter.speech[utt].copy())], [4, 8, 12])
                writer.write(utt, torch.cat(states, 2)[0].numpy())
        stored = clock() - begun
        peer = task_of(folder, args.size, args.utterances)
        as_torchaudio(peer[0].teacher), as_torchaudio(peer[0].model.encoder)
        known = task_of(folder, args.size, args.utterances, "--data.targets", str(folder / "targets"))
        batches = [utts[i : i + args.utterances] for i in range(0, len(utts), args.utterances)]
        recordings = Recordings(folder / "noise"), Recordings(folder / "rirs")
        steps = {
            "s3prl's pattern": lambda: reference(*peer, batches, *recordings),
            "asked": lambda: mimic(*asked, batches),
            "known": lambda: mimic(*known, batches),
        }
        times = timed(steps, args.rounds, clock)
        small = pruned(SslEncoder(net, False).eval(), 0.75)
        waveforms = [torch.from_numpy(task.augmenter.speech[utt].copy()) for utt in batches[-1]]
        encoders = {"teacher": task.teacher, "pruned": small}
        with torch.inference_mode():
            forward = {name: lambda net=net: net(waveforms, [net.num_layers]) for name, net in encoders.items()}
            forward_times = timed(forward, args.rounds, clock)
    print(f"{args.batches} batches of {args.utterances} utterances of {args.seconds:g} s, {args.size} size, one thread")
    print(f"median of {args.rounds} rounds, {args.clock} time")
    for name, spent in times.items():
        print(f"{name:18}{len(batches) / statistics.median(spent):8.3f} steps/s")
    print(f"storing the teacher's hidden states: {stored / statistics.median(times['known']):.2f} epochs of known")
    for name, net in encoders.items():
        size = sum(p.numel() for p in net.parameters())
        print(f"{name:18}{statistics.median(forward_times[name]):8.3f} s a batch, {size} parameters")
    print(f"\nratio distill_asked {ratio(times, next(iter(steps)), 'asked'):.2f}")
    print(f"ratio distill {ratio(times, next(iter(steps)), 'known'):.2f}")
    print(f"ratio pruned_speed {ratio(forward_times, 'teacher', 'pruned'):.2f}")


if __name__ == "__main__":
    main()
