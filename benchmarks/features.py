#!/usr/bin/env python3
"""Filterbank features, mimic against kaldi-native-fbank and torchaudio.compliance.kaldi, on one thread.

    benchmarks/features.py                 # ten minutes of speech: read wavs, compute, write archives
    benchmarks/features.py --memory        # peak memory of one job of steps/make_feats.sh for 20 hours

Reading and writing are the same code for all three. Real speech is taken from $MIMIC_REAL_DATA where it is there.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy and torch read it

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import kaldi_native_fbank
import numpy as np
import soundfile
import torch
import torchaudio

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "pyscripts"))

from mimic.frontend.extraction import make_extractor  # noqa: E402
from mimic.io.archives import ArkWriter  # noqa: E402
from mimic.io.audio import AudioReader  # noqa: E402
from mimic.io.tables import write_data_dir  # noqa: E402

RATE = 16000
OPTIONS = ROOT / "conf" / "fbank.conf"
REAL = Path(os.environ.get("MIMIC_REAL_DATA", ROOT.parent / "shared" / "data")) / "speechocean762" / "audio"


def speech(folder: Path, seconds: float) -> list[Path]:
    """Write 16-bit wavs of `seconds` in all: real utterances, or noise with the rhythm and the levels of speech."""
    sources = sorted(p for p in REAL.rglob("*") if p.suffix in (".opus", ".ogg", ".wav", ".flac"))
    draw = np.random.default_rng(0)
    paths, samples = [], 0
    while samples < seconds * RATE:
        if sources:
            x, rate = soundfile.read(sources[len(paths) % len(sources)], dtype="int16")
            assert rate == RATE
        else:
            n = int(draw.uniform(1, 6) * RATE)
            x = draw.normal(0, 1500, n) * (1.1 + np.sin(np.arange(n) * 2 * np.pi * 4 / RATE))
            x = x.clip(-32768, 32767).astype(np.int16)
        paths.append(folder / f"spk{len(paths) % 10}-{len(paths):06d}.wav")
        soundfile.write(paths[-1], x, RATE, "PCM_16")
        samples += len(x)
    print(f"{len(paths)} utterances, {samples / RATE:.0f} s of {'real speech' if sources else 'noise like speech'}")
    return paths


def data_dir(folder: Path, paths: list[Path], repeats: int = 1) -> Path:
    """A data directory in which every file stands `repeats` times."""
    wavs = {f"{path.stem}-{i}": str(path) for path in paths for i in range(repeats)}
    write_data_dir(folder / "data", {"wav.scp": wavs, "utt2spk": {utt: utt.partition("-")[0] for utt in wavs}})
    return folder / "data"


def mimic() -> Callable[[np.ndarray], np.ndarray]:
    return make_extractor("fbank", OPTIONS).extract


def knf() -> Callable[[np.ndarray], np.ndarray]:
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.dither = 0
    options.mel_opts.num_bins = 80

    def compute(x: np.ndarray) -> np.ndarray:
        fbank = kaldi_native_fbank.OnlineFbank(options)
        fbank.accept_waveform(RATE, (x * 32768).tolist())  # a list passes faster than an array
        fbank.input_finished()
        return np.stack([fbank.get_frame(i) for i in range(fbank.num_frames_ready)])

    return compute


def compliance() -> Callable[[np.ndarray], np.ndarray]:
    fbank = torchaudio.compliance.kaldi.fbank
    return lambda x: fbank(torch.from_numpy(x * 32768)[None], num_mel_bins=80, dither=0.0).numpy()


def run(data: Path, archive: Path, compute: Callable[[np.ndarray], np.ndarray]) -> float:
    """Seconds from opening the data directory to an archive that lies complete on disk."""
    begun = time.perf_counter()
    reader = AudioReader(data, RATE)
    with torch.inference_mode(), ArkWriter(archive.with_suffix(".ark"), archive.with_suffix(".scp")) as writer:
        for utt in reader:
            writer.write(utt, compute(reader[utt]))
    return time.perf_counter() - begun


def compare(folder: Path, seconds: float, repeats: int) -> None:
    data = data_dir(folder, speech(folder, seconds))
    programs = {"mimic": mimic(), "kaldi-native-fbank": knf(), "torchaudio.compliance": compliance()}
    programs["reading and writing"] = lambda x: np.zeros(((len(x) - 400) // 160 + 1, 80), np.float32)
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(repeats + 1):
        for name, compute in programs.items():  # in turn, so that a busy moment of the machine hits all of them
            times[name].append(run(data, folder / "feats", compute))
    median = {name: statistics.median(spent[1:]) for name, spent in times.items()}  # the first round warms up
    print(f"\nmedian of {repeats} rounds, one thread\n{'':24}{'seconds':>9}{'x real time':>13}")
    for name, spent in median.items():
        print(f"{name:24}{spent:9.3f}{seconds / spent:13.0f}")
    print()
    for name, peer in (("knf", "kaldi-native-fbank"), ("torchaudio", "torchaudio.compliance")):
        # Within a round the machine is about equally busy, so the ratio is taken there.
        ratios = [reference / mimic for reference, mimic in zip(times[peer][1:], times["mimic"][1:], strict=True)]
        print(f"ratio features_vs_{name} {statistics.median(ratios):.2f}")


def memory(folder: Path, hours: float, kind: str) -> None:
    data = data_dir(folder, speech(folder, 600), round(hours * 6))
    program = [ROOT / "pyscripts/make_feats.py", "--type", kind, "--config", ROOT / f"conf/{kind}.conf"]
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, *program, data, folder / "out"], stderr=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = max(peak, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")), 0)
        time.sleep(0.05)
    assert process.returncode == 0
    print(f"{kind}, {hours:g} hours in one job: {time.perf_counter() - begun:.0f} s")
    print(f"memory features_{kind} {peak / 1024:.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600, help="speech (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=7, help="rounds (default: %(default)s)")
    parser.add_argument("--memory", action="store_true", help="measure memory instead")
    parser.add_argument("--hours", type=float, default=20, help="with --memory (default: %(default)s)")
    parser.add_argument("--type", default="fbank", choices=("fbank", "stft"), help="with --memory (default: fbank)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        if args.memory:
            memory(Path(folder), args.hours, args.type)
        else:
            compare(Path(folder), args.seconds, args.repeats)


if __name__ == "__main__":
    main()
