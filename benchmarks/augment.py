#!/usr/bin/env python3
"""Noisy speech made while training, mimic against speechbrain's and audiomentations' transforms, on one thread.

    steps/setup.sh --benchmarks true && . benchmarks/.venv/bin/activate
    benchmarks/augment.py

All three do the same chain to the same speech in batches of 8: speed 0.9, 1.0 or 1.1; an RIR; noise at 0 to 15 dB; a
band limit; a gain; clipping. Speech is in memory for all; noises and RIRs are on disk, and what of them is kept in
memory is up to each program. Only mimic gives the clean target too, measures the level of speech on its active part,
and keeps target and mixture aligned. Real recordings are taken from $MIMIC_REAL_DATA where they are there.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy and torch read it

import argparse
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "pyscripts"))

from mimic.augment.augmenter import AugmentConfig, Augmenter  # noqa: E402
from mimic.augment.recordings import Recordings  # noqa: E402
from mimic.io.batching import pad  # noqa: E402

RATE, BATCH = 16000, 8
REAL = Path(os.environ.get("MIMIC_REAL_DATA", ROOT.parent / "shared" / "data"))
Step = Callable[[list[np.ndarray]], torch.Tensor]


def material(folder: Path, utterances: int) -> list[np.ndarray]:
    """Write wavs of noises and RIRs to `folder`, real ones or made by rule; give speech (samples,), real or made."""
    draw = np.random.default_rng(0)
    for name in ("noise", "rirs"):
        (folder / name).mkdir()
        found = sorted((REAL / name / "train").glob("*")) if (REAL / name / "train").is_dir() else []
        for i, path in enumerate([path for path in found if path.suffix in (".flac", ".opus", ".wav")][:40]):
            soundfile.write(folder / name / f"{i:03d}.wav", Recordings({"x": str(path)})["x"], RATE, "FLOAT")
        for i in range(0 if found else 40):
            n = int(draw.uniform(5, 20) * RATE) if name == "noise" else 8000
            x = draw.normal(0, 0.1, n) * (1 if name == "noise" else np.exp(-np.arange(n) / 1200))
            soundfile.write(folder / name / f"{i:03d}.wav", x, RATE, "FLOAT")
    audio = sorted((REAL / "speechocean762" / "audio").glob("*.opus"))[:: max(1, 2000 // utterances)][:utterances]
    if audio:
        return [Recordings({"x": str(path)})["x"] for path in audio]
    syllables = np.clip(np.sin(np.arange(5 * RATE) * 8 * np.pi / RATE), 0, None)
    lengths = draw.integers(2 * RATE, 5 * RATE, utterances)
    return [(draw.normal(0, 0.1, n) * syllables[:n]).astype(np.float32) for n in lengths]


def mimic(folder: Path, speech: list[np.ndarray]) -> Step:
    config = AugmentConfig(
        speeds=[0.9, 1.0, 1.1], rir_prob=1, snr=[0, 15], babble=False, band_prob=1, gain_db=6, clip_prob=1
    )
    held: dict[str, np.ndarray] = {}
    speaker_of: dict[str, str] = {}
    noises, rirs = Recordings(folder / "noise"), Recordings(folder / "rirs")
    augment, epoch = Augmenter(held, speaker_of, noises, config, 1, rirs), iter(range(1, 1 << 30))

    def step(waveforms: list[np.ndarray]) -> torch.Tensor:
        number = next(epoch)
        held.update({str(i): waveform for i, waveform in enumerate(waveforms)})
        mixtures = [augment(str(i), number) for i in range(len(waveforms))]
        pad([mixture.target for mixture in mixtures])
        return pad([mixture.noisy for mixture in mixtures])[0]

    return step


def speechbrain(folder: Path, speech: list[np.ndarray]) -> Step:
    from speechbrain.augment import time_domain as sb

    for name in ("noise", "rirs"):
        reader = Recordings(folder / name)
        lines = [f"{n},{reader.info(n).seconds},{reader.wavs[n]},wav,\n" for n in reader.utts]
        (folder / f"{name}.csv").write_text("ID,duration,wav,wav_format,wav_opts\n" + "".join(lines))
    chain = [
        sb.SpeedPerturb(RATE, [90, 100, 110]),
        sb.AddReverb(str(folder / "rirs.csv")),
        sb.AddNoise(str(folder / "noise.csv"), snr_low=0, snr_high=15),
        sb.DropFreq(),
        sb.RandAmp(0.5, 2.0),
        sb.DoClip(0.3, 0.9),
    ]

    def step(waveforms: list[np.ndarray]) -> torch.Tensor:
        batch, samples = pad(waveforms)
        lengths = samples / samples.max()
        for transform in chain:
            if isinstance(transform, sb.AddNoise):
                batch = transform(batch, lengths)
            else:
                batch = transform(batch)
        return batch

    return step


def audiomentations(folder: Path, speech: list[np.ndarray]) -> Step:
    import audiomentations as am

    warnings.filterwarnings("ignore")
    chain = am.Compose(
        [
            am.Resample(round(RATE / 1.1), round(RATE / 0.9), p=1.0),  # played at the old rate, another speed
            am.ApplyImpulseResponse(str(folder / "rirs"), p=1.0),
            am.AddBackgroundNoise(str(folder / "noise"), min_snr_db=0, max_snr_db=15, p=1.0),
            am.BandPassFilter(p=1.0),
            am.Gain(-6, 6, p=1.0),
            am.ClippingDistortion(0, 5, p=1.0),
        ]
    )
    return lambda waveforms: pad([chain(waveform, RATE) for waveform in waveforms])[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=64, help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: for a busy machine (wall)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    clock = {"wall": time.perf_counter, "cpu": time.process_time}[args.clock]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        speech = sorted(material(folder, args.utterances), key=len)
        batches = [speech[i : i + BATCH] for i in range(0, len(speech), BATCH)]
        steps = {make.__name__: make(folder, speech) for make in (mimic, speechbrain, audiomentations)}
        times: dict[str, list[float]] = {program: [] for program in steps}
        for _ in range(args.rounds + 1):
            for program, step in steps.items():  # in turn, so that a busy moment of the machine hits all of them
                begun = clock()
                for batch in batches:
                    assert torch.isfinite(step(batch)).all()
                times[program].append(clock() - begun)
    total = sum(map(len, speech)) / RATE
    print(f"{len(batches)} batches of {BATCH} utterances, {total / len(speech):.1f} s on average, one thread")
    print(f"median of {args.rounds} rounds, {args.clock} time\n{'':18}{'batches/s':>10}{'ms/utterance':>14}")
    for program, spent in times.items():
        median = statistics.median(spent[1:])  # the first round warms up
        print(f"{program:18}{len(batches) / median:10.2f}{1000 * median / len(speech):14.2f}")
    rounds = [dict(zip(times, spent, strict=True)) for spent in zip(*times.values(), strict=True)][1:]
    print()
    for peer in ("speechbrain", "audiomentations"):
        print(f"ratio augment_vs_{peer} {statistics.median(r[peer] / r['mimic'] for r in rounds):.2f}")
    fastest = [min(r["speechbrain"], r["audiomentations"]) / r["mimic"] for r in rounds]
    print(f"ratio augment {statistics.median(fastest):.2f}")


if __name__ == "__main__":
    main()
