#!/usr/bin/env python3
"""Scores of enhanced speech, mimic against pesq + pystoi + composite called one after another, each on one core.

    benchmarks/scoring.py                      # a test set of VoiceBank-DEMAND's size: 824 utterances of 2.5 s
    benchmarks/scoring.py --utterances 100     # the same ratios from less

ratio scoring          time of wb-PESQ, then STOI by pystoi, then CSIG, CBAK, COVL (which compute PESQ once more) as
                       enhancement recipes call them / time of our nine measures; more is better
ratio scoring_step     time of the three as above, in one process / seconds that steps/score_enhancement.sh takes with
                       two jobs, from its start to its tables; needs two free cores
ratio scoring_vs_pesq  time of our wb-PESQ, STOI, eSTOI and SI-SDR together / time of the package pesq alone for
                       wb-PESQ; less is better, 1 is the least there can be
ratio stoi             time of STOI and eSTOI by pystoi / time of mimic; more is better

Mimic is otherwise timed from opening the audio to a row of the table, the others without reading. The programs take
turns at each utterance and are timed in seconds of the processor, which are seconds of the clock on a free machine.
Real speech and noise are taken from $MIMIC_REAL_DATA where they are there.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy reads it

import argparse
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from pesq import pesq
from pystoi import stoi

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "pyscripts"))

from composite_reference import composite  # noqa: E402

from mimic.allocator import keep_freed_memory  # noqa: E402
from mimic.metrics.enhancement import STANDARD, score  # noqa: E402
from mimic.metrics.pairs import Pairs  # noqa: E402
from mimic.metrics.stoi import stoi_estoi  # noqa: E402

RATE = 16000
SAMPLES = 40000  # mean length of an utterance
REAL = Path(os.environ.get("MIMIC_REAL_DATA", ROOT.parent / "shared" / "data"))
FEW = ("wb-pesq", "stoi", "estoi", "si-sdr")
TOLERANCES = {"wb-pesq": 1e-6, "stoi": 1e-6, "estoi": 1e-6, "csig": 1e-3, "cbak": 1e-3, "covl": 1e-3}


def signals(folder: str) -> list[np.ndarray]:
    """Real recordings at 16 kHz below a folder of $MIMIC_REAL_DATA, up to 200 of them; [] where there are none."""
    files = sorted(p for p in (REAL / folder).rglob("*") if p.suffix in (".opus", ".ogg", ".wav", ".flac"))
    read = (soundfile.read(path, dtype="float32") for path in files[:200])
    return [x for x, rate in read if rate == RATE and x.ndim == 1]


def test_set(folder: Path, utterances: int) -> Pairs:
    """Clean and noisy wavs of 1.25 to 3.75 s, mixed at 2.5, 7.5, 12.5 and 17.5 dB."""
    draw = np.random.default_rng(0)
    speech, noises = signals("speechocean762/audio"), signals("noise")
    kind = "real speech" if speech else "noise with the rhythm of speech"
    voice = np.concatenate(speech) if speech else _rhythm(draw, 200 * RATE)
    noise = np.concatenate(noises) if noises else draw.standard_normal(100 * RATE)
    for side in ("clean", "noisy"):
        (folder / side).mkdir()
    for k in range(utterances):
        n = int(draw.uniform(0.5, 1.5) * SAMPLES)
        x, d = crop(draw, voice, n), crop(draw, noise, n)
        d = d * np.sqrt(np.mean(x**2) / (np.mean(d**2) + 1e-12)) * 10 ** -((2.5 + 5 * (k % 4)) / 20)
        scale = 0.9 / max(np.abs(x).max(), np.abs(x + d).max())
        for side, signal in (("clean", x), ("noisy", x + d)):
            soundfile.write(folder / side / f"p{k % 2}-{k:04d}.wav", scale * signal, RATE, "PCM_16")
    print(f"{utterances} utterances of {SAMPLES / RATE:g} s on average, {kind}")
    return Pairs(folder / "clean", folder / "noisy")


def crop(draw: np.random.Generator, source: np.ndarray, samples: int) -> np.ndarray:
    """A piece of a recording that is not a pause: PESQ gives no value without speech."""
    loud = np.mean(source**2)
    while True:
        start = draw.integers(len(source) - samples)
        x = source[start : start + samples]
        if np.mean(x**2) > loud / 4:
            return x


def _rhythm(draw: np.random.Generator, samples: int) -> np.ndarray:
    envelope = np.clip(np.sin(np.arange(samples) * 2 * np.pi * 3 / RATE), 0.001, None)
    return 0.1 * envelope * draw.standard_normal(samples)


class Clock:
    """Processor seconds by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def __call__(self, name: str, compute: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        begun = time.process_time()
        result = compute(*arguments, **options)
        self.seconds[name] += time.process_time() - begun
        return result


def one(pairs: Pairs, utt: str, clock: Clock) -> dict[str, float]:
    """Score one utterance in every way; returns how far the others are from mimic."""
    x, y, _ = pairs.load(utt)
    reference = {"wb-pesq": clock("pesq", pesq, RATE, x, y, "wb"), "stoi": clock("pystoi", stoi, x, y, RATE)}
    reference |= zip(("csig", "cbak", "covl"), clock("composite", composite, x, y), strict=True)
    reference["estoi"] = clock("pystoi, extended", stoi, x, y, RATE, extended=True)
    mimic = clock("mimic, all nine", lambda: next(score(pairs, [utt], STANDARD))).scores
    clock("mimic, wb-PESQ, STOI, eSTOI, SI-SDR", lambda: next(score(pairs, [utt], FEW)))
    clock("mimic, STOI and eSTOI", stoi_estoi, x.astype(np.float64), y.astype(np.float64))
    return {name: abs(value - mimic[name]) for name, value in reference.items()}


def step(folder: Path) -> float:
    """Seconds that the step takes for all measures of a test set."""
    command = [ROOT / "steps/score_enhancement.sh", "--nj", "2", folder / "clean", folder / "noisy", folder / "scores"]
    begun = time.perf_counter()
    subprocess.run(list(map(str, command)), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=824, help="default: %(default)s")
    args = parser.parse_args()
    keep_freed_memory()  # as pyscripts/score_enhancement.py does, and here for the others, too
    with tempfile.TemporaryDirectory() as folder:
        pairs = test_set(Path(folder), args.utterances)
        one(pairs, pairs.utts[0], Clock())  # the first use of anything is slow
        clock = Clock()
        far = [one(pairs, utt, clock) for utt in pairs.utts]
        clock.seconds["steps/score_enhancement.sh, two jobs"] = step(Path(folder))
    worst = {name: max(d[name] for d in far) for name in TOLERANCES}
    print(f"\n{'':36}{'seconds':>9}{'ms/utterance':>14}")
    for name, seconds in clock.seconds.items():
        print(f"{name:36}{seconds:9.2f}{1000 * seconds / args.utterances:14.2f}")
    print("\nlargest difference between reference and mimic: " + ", ".join(f"{m} {d:.1e}" for m, d in worst.items()))
    if wrong := [name for name, limit in TOLERANCES.items() if not worst[name] <= limit]:
        sys.exit(f"not the same figures: {', '.join(wrong)}")
    t = clock.seconds
    recipe = t["pesq"] + t["pystoi"] + t["composite"]
    print(f"ratio scoring {recipe / t['mimic, all nine']:.2f}")
    print(f"ratio scoring_step {recipe / t['steps/score_enhancement.sh, two jobs']:.2f}")
    print(f"ratio scoring_vs_pesq {t['mimic, wb-PESQ, STOI, eSTOI, SI-SDR'] / t['pesq']:.2f}")
    print(f"ratio stoi {(t['pystoi'] + t['pystoi, extended']) / t['mimic, STOI and eSTOI']:.2f}")


if __name__ == "__main__":
    main()
