#!/usr/bin/env python3
"""Clean speech, noises and RIRs for the pretrained enhancers, as 16 kHz wavs; see prepare.sh.

Writes <out>/{train,dev}_speech (data directories), <out>/noises/{train,dev} and <out>/rirs/{train,dev}. Long
recordings are cut into pieces, so that a piece is read fast. dev has speakers and noise types that train has not;
the corpora's own test folders are not read.
"""

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mimic.augment.mixing import FRAME_S, RATE, active_power, power, utterance_rng
from mimic.augment.recordings import Recordings, list_recordings
from mimic.cli import progress, run, whole
from mimic.errors import UserError
from mimic.io.atomic import new_dir
from mimic.io.entries import stored
from mimic.io.recording import write_wav
from mimic.io.tables import read_table, read_utt2spk, write_data_dir

sys.path.insert(0, str(Path(__file__).parents[1] / "demo"))
import noises_train

DEV_EVERY = 12  # of LibriSpeech's speakers, so many is one for dev
DEV_KINDS_EVERY = 6  # of the noise types
DEV_UTTERANCES = 60  # of each corpus
MADE = ("pink", "brown", "hum", "machinery", "impulses", "music")  # functions of local/demo/noises_train.py
PREFIXES = ("moodist-", "blanket-")  # what stands before the kind in noise2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speech-piece", type=float, default=4.0, help="longest piece of speech in s")
    parser.add_argument("--noise-piece", type=float, default=10.0, help="longest piece of noise in s")
    parser.add_argument(
        "--min-snr", type=float, default=20.0, help="dB over the quietest frames; noisier speech is left out"
    )
    parser.add_argument("--also", type=Path, help="data directory of more training speech, as of local/demo/prepare.sh")
    parser.add_argument(
        "--recordings", type=whole("--recordings", 1), help="of speech, of train and dev each (default: all)"
    )
    parser.add_argument(
        "corpora", type=Path, help="folder with speechocean762, librispeech251, ljspeech, noise, noise2, rooms"
    )
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    for split in ("train", "dev"):
        with new_dir(args.out / f"{split}_speech") as folder:
            write_speech(args, split, folder, args.out / f"{split}_speech")
    noises = noise_files(args.corpora)
    held = dev_types(noises)
    for split in ("train", "dev"):
        with new_dir(args.out / "noises" / split) as folder:
            named = [(kind, file) for kind, file in noises if (kind in held) == (split == "dev")]
            write_noises(named, round(args.noise_piece * RATE), folder, made=split == "train")
        with new_dir(args.out / "rirs" / split) as folder:
            rirs = Recordings(args.corpora / "rooms" / "train")
            for number, name in enumerate(rirs.utts):
                if (number == 0) == (split == "dev"):
                    write_wav(folder / f"{name}.wav", rirs[name])
    print(f"noise types of dev alone: {' '.join(sorted(held))}")


def speech_files(args: argparse.Namespace, split: str) -> Iterator[tuple[str, str, Path]]:
    """Name, speaker and file of each recording of train or dev."""
    folder = args.corpora / "speechocean762"
    with open(folder / "utterances.tsv", encoding="utf-8", newline="") as f:
        rows = [row for row in csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE) if row["split"] == split]
    if split == "dev":
        rows = rows[:: max(1, len(rows) // DEV_UTTERANCES)][:DEV_UTTERANCES]
    for row in rows:
        yield row["utt"], f"so{row['speaker']}", folder / "audio" / f"{row['utt']}.opus"
    files = sorted((args.corpora / "librispeech251").glob("*.opus"), key=lambda file: int(file.name.partition("-")[0]))
    for number, file in enumerate(files):
        if (number % DEV_EVERY == 0) == (split == "dev"):
            yield file.stem, f"ls{file.stem.partition('-')[0]}", file
    if split == "train":
        for name, file in list_recordings(args.corpora / "ljspeech" / "audio").items():
            yield name, "lj", Path(file)
        if args.also:
            speaker_of = read_utt2spk(args.also / "utt2spk")
            for utt, file in read_table(args.also / "wav.scp").items():
                yield utt, speaker_of[utt], Path(file)


def write_speech(args: argparse.Namespace, split: str, folder: Path, final: Path) -> None:
    found = {f"{speaker}-{name}": (speaker, file) for name, speaker, file in speech_files(args, split)}
    if args.recordings:
        found = dict(sorted(found.items())[:: max(1, len(found) // args.recordings)][: args.recordings])
    audio = Recordings({name: str(file) for name, (_, file) in found.items()})
    tables: dict[str, dict[str, str]] = {"wav.scp": {}, "utt2spk": {}, "utt2dur": {}}
    left_out, most = 0, round(args.speech_piece * RATE)
    (folder / "wav").mkdir()
    for name in progress(sorted(found), len(found), f"{split} speech"):
        whole = audio[name]
        if signal_to_noise(whole) < args.min_snr:
            left_out += 1
            continue
        count = -(-len(whole) // most)
        for number, piece in enumerate(np.array_split(whole, count)):
            if not active_power(piece) > 1e-3 * active_power(whole):
                continue  # a pause
            utt = f"{name}-{number:02d}"
            write_wav(folder / "wav" / f"{utt}.wav", piece)
            tables["wav.scp"][utt] = stored(final / "wav" / f"{utt}.wav")
            tables["utt2spk"][utt], tables["utt2dur"][utt] = found[name][0], f"{len(piece) / RATE:.4f}"
            if split == "dev":
                break  # one piece of each recording
    write_data_dir(folder, tables)
    hours = sum(map(float, tables["utt2dur"].values())) / 3600
    print(f"{split}: {len(tables['wav.scp'])} pieces, {hours:.2f} h; too noisy: {left_out} of {len(found)} recordings")


def signal_to_noise(x: np.ndarray) -> float:
    """dB from the quietest twentieth of the frames of a recording to its active ones: a lower bound."""
    size = round(FRAME_S * RATE)
    if len(x) < 20 * size or not power(x) > 0:
        return -np.inf
    frames = x[: len(x) // size * size].reshape(-1, size).astype(np.float64)
    quiet = np.sort(np.vecdot(frames, frames) / size)[: len(frames) // 20]
    return float(10 * np.log10(active_power(x) / max(quiet.mean(), 1e-12)))


def dev_types(noises: list[tuple[str, str]]) -> set[str]:
    """The noise types of train folders that dev alone has."""
    return set(sorted({kind for kind, _ in noises})[DEV_KINDS_EVERY - 1 :: DEV_KINDS_EVERY])


def noise_files(corpora: Path, split: str = "train") -> list[tuple[str, str]]:
    """Kind and file of each noise of the train folders, or of the test folders."""
    files = []
    for folder in ("noise", "noise2"):
        for name, file in list_recordings(corpora / folder / split).items():
            for prefix in PREFIXES:
                name = name.removeprefix(prefix)
            if name.startswith("babble_"):
                name = f"crowd-{name}"
            kind = name.partition("-")[0] if folder == "noise" else name
            files.append((kind.replace("-", "_"), file))
    return sorted(files)


def write_noises(files: list[tuple[str, str]], most: int, folder: Path, made: bool) -> None:
    audio = Recordings({str(number): file for number, (_, file) in enumerate(files)})
    if not files:
        raise UserError("no noises")
    for number, (kind, _) in enumerate(progress(files, len(files), "noises")):
        whole = audio[str(number)]
        for part, piece in enumerate(np.array_split(whole, -(-len(whole) // most))):
            if power(piece) > 1e-3 * power(whole):
                write_wav(folder / f"{kind}-{number:03d}_{part:02d}.wav", piece)
    if not made:
        return
    for kind in MADE:
        for part in range(6):
            x = getattr(noises_train, kind)(most, utterance_rng(1, f"{kind} {part}"))
            write_wav(folder / f"made_{kind}-{part:02d}.wav", (0.5 * x / np.abs(x).max()).astype(np.float32))


if __name__ == "__main__":
    run(main)
